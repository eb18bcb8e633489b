"""In what one run differs from what Optuna's record says it should be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from data_prep.problems import named
from search.doctor.mending import Difference, Shelf, complete, put_back
from search.doctor.run_keys import subject_of
from search.ledger import FoundRun, RunRecord
from search.publishing import STUDY

# Tags by which runs are found and compared; others tell of one process, or of versions that may be newer.
COMPARED_TAGS = ("level", "study", "fold_table", "trial", "fold", "ending", "device")


def differences_of(
    key: str,
    record: RunRecord,
    run: FoundRun,
    chosen: Mapping[str, FoundRun],
    shelf: Shelf | None,
    may_end: bool,
) -> Iterator[Difference]:
    """In what a run that is there differs."""
    subject = subject_of(key)
    if may_end:
        yield from _status(key, record, run)
    params = {name: text for name, text in record.params.items() if name not in run.params}
    if params:
        yield Difference(
            "parameters missing",
            subject,
            f"logged again: {named([*params])}",
            lambda tools: tools.tracker.log_params(key, params),
        )
    tags = {name: record.tags[name] for name in COMPARED_TAGS if name in record.tags}
    tags = {name: text for name, text in tags.items() if run.tags.get(name) != text}
    if tags:
        yield Difference(
            "tags differ",
            subject,
            f"set again: {named([*tags])}",
            lambda tools: tools.tracker.set_tags(key, tags),
        )
    points = {name: curve for name, curve in record.points.items() if not _same(curve, run.metrics.get(name))}
    if points:
        yield Difference(
            "metrics differ",
            subject,
            f"logged again: {named([*points])}",
            lambda tools: complete(key, run, points, tools),
        )
    parent = chosen.get(record.parent or "")
    if parent is not None and run.parent != parent.run_id:
        yield Difference(
            "run misplaced",
            subject,
            f"put below {subject_of(parent.key)}",
            lambda tools: tools.shelf.nest(run.run_id, parent.run_id),
        )
    yield from _artifacts(key, record, run, shelf)


def _status(key: str, record: RunRecord, run: FoundRun) -> Iterator[Difference]:
    # How a study ended is known to its last process alone: it may have failed with every trial in order.
    as_it_should = run.status in ("FINISHED", "FAILED") if key == STUDY else run.status == record.status
    if not as_it_should:
        yield Difference(
            "run left running" if run.status == "RUNNING" else "status differs",
            subject_of(key),
            f"ended as {record.status}",
            lambda tools: tools.tracker.end_run(key, record.status, record.ended),
        )


def _same(curve: Mapping[int, float], last: float | None) -> bool:
    return last is not None and math.isclose(curve[max(curve)], last, rel_tol=1e-12, abs_tol=1e-300)


def _artifacts(key: str, record: RunRecord, run: FoundRun, shelf: Shelf | None) -> Iterator[Difference]:
    wanted = [*record.texts, *record.files]
    held = shelf.files(run.run_id) if wanted and shelf is not None else {}
    for name in wanted:
        if not held.get(name):
            yield Difference(
                "artifact missing",
                f"{name} of {subject_of(key)} in MLflow",
                "put back",
                lambda tools, name=name: put_back(key, name, record, tools),  # type: ignore[misc]
            )
