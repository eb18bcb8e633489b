"""Comparing MLflow's runs with what Optuna's record says they should be: which there are, then each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from search.doctor.mending import Difference, Shelf, Tools, publish
from search.doctor.run_keys import Scope, subject_of
from search.doctor.run_parts import differences_of
from search.ledger import FoundRun, RunRecord
from search.run_ids import RunIds


def differences(
    expected: Mapping[str, RunRecord],
    found: Sequence[FoundRun],
    scope: Scope,
    shelf: Shelf | None,
    run_ids: RunIds,
) -> Iterator[Difference]:
    """Everything in which the runs found differ from those expected, parents before what hangs below them.

    Args:
        expected: The runs that should be there, by key.
        found: The runs that are there, deleted ones too.
        scope: Which of them are looked at.
        shelf: To look up what a list of runs does not tell; None where nothing was found.
        run_ids: Which run was noted for which key.
    """
    by_key: dict[str, list[FoundRun]] = defaultdict(list)
    for run in found:
        if not scope.leaves_alone(run.key):
            by_key[run.key].append(run)
    picked = {key: _chosen(runs, run_ids.get(key)) for key, runs in by_key.items()}
    chosen = {key: run for key, run in picked.items() if run is not None and scope.has(key)}
    for key, run in chosen.items():
        yield from _unknown(key, run, run_ids.get(key))
    for key, runs in by_key.items():
        yield from _superfluous([run for run in runs if scope.may_end(run)], chosen.get(key))
    for key, record in expected.items():
        if not scope.has(key):  # of a trial that ended since
            continue
        if key not in chosen:
            yield _missing(key, record, by_key.get(key, ()), run_ids.get(key), expected)
        else:
            may_end = scope.may_end(chosen[key])
            yield from differences_of(key, record, chosen[key], chosen, shelf, may_end)
    for key, run in chosen.items():
        if key not in expected and scope.may_end(run):
            yield from _unfinished(run, expected)


def _chosen(runs: Sequence[FoundRun], noted: str | None) -> FoundRun | None:
    """The run that goes by a key: the one noted, else the oldest."""
    active = [run for run in runs if not run.deleted]
    return next((run for run in active if run.run_id == noted), active[0] if active else None)


def _unknown(key: str, run: FoundRun, noted: str | None) -> Iterator[Difference]:
    """Events of a key go to the run that was noted for it."""

    def note_it(tools: Tools) -> None:
        with tools.run_ids.locked() as note:
            note(key, run.run_id)

    if noted != run.run_id:
        yield Difference("run id lost", subject_of(key), f"noted again: run {run.run_id}", note_it)


def _superfluous(runs: Sequence[FoundRun], chosen: FoundRun | None) -> Iterator[Difference]:
    for run in runs:
        if run.deleted or run is chosen:
            continue
        yield Difference(
            "run without trial" if chosen is None else "second run",
            f"run {run.run_id} of {subject_of(run.key)}",
            f"moved to MLflow's bin; back with: mlflow runs restore --run-id {run.run_id}",
            lambda tools, run_id=run.run_id: tools.shelf.delete(run_id),  # type: ignore[misc]
        )


def _missing(
    key: str,
    record: RunRecord,
    runs: Sequence[FoundRun],
    noted: str | None,
    expected: Mapping[str, RunRecord],
) -> Difference:
    """A run that is not there is taken out of the bin or, where it is not there either, published again."""
    level = record.tags["level"]
    binned = next((run for run in runs if run.run_id == noted), None)
    if binned is not None:
        return Difference(
            f"{level} without run",
            subject_of(key),
            f"run {binned.run_id} taken out of MLflow's bin",
            lambda tools: tools.shelf.restore(binned.run_id),
        )
    return Difference(
        f"{level} without run",
        subject_of(key),
        "published again from Optuna's record",
        lambda tools: publish(key, record, tools),
    )


def _unfinished(run: FoundRun, expected: Mapping[str, RunRecord]) -> Iterator[Difference]:
    """The run of a fold without a result, or of a trial that waits: it may be there, but must have ended."""
    if run.status in ("FAILED", "KILLED"):
        return
    trial = expected.get("/".join(run.key.split("/")[:2]))
    status = "KILLED" if trial is not None and trial.status == "KILLED" else "FAILED"
    yield Difference(
        "run left running" if run.status == "RUNNING" else "status differs",
        subject_of(run.key),
        f"ended as {status}",
        lambda tools: tools.tracker.end_run(run.key, status),
    )
