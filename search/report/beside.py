"""What stands beside the searched label: its complete cases, and the further labels of the same models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_prep.labels import UNKNOWN
from search.beside import complete_cases, further_labels
from search.metrics import DIRECTIONS, pooled_metrics
from search.records import FoldResult
from search.report.blocks import Cell, Section, Table
from search.report.evidence import Evidence
from search.report.phrases import named


def beside_section(evidence: Evidence) -> Section:
    """Nothing where every biopsy has every sequence and no further label is learned."""
    return Section.of("beside", "Beside the searched label", beside_table(evidence))


def beside_table(evidence: Evidence) -> Table | None:
    """The first selected trial over all biopsies, over complete cases, and of further labels, a row each."""
    best = evidence.best
    if best is None:
        return None
    folds, target = evidence.folds_of(best.number), evidence.definition.label.definition.target
    cases = complete_cases(folds, evidence.cohort.get("complete"))
    further = further_labels(folds)
    if cases is None and not further:
        return None
    all_rows = len({row for fold in folds for row in fold.rows})
    rows = [_row(f"{target}, all biopsies", all_rows, pooled_metrics([fold.scores for fold in folds]))]
    if cases is not None:
        rows.append(_row(f"{target}, complete cases", cases["biopsies"], cases["metrics"]))
    rows += [_row(name, measured(folds, name), metrics) for name, metrics in further.items()]
    return Table(
        "beside",
        f"Trial {best.number}, the first of those selected, beside what it was selected by",
        ("label", "biopsies", *(named(metric) for metric in DIRECTIONS)),
        tuple(rows),
        note=(
            "Complete cases are the biopsies that have every sequence: the same predictions, over fewer. "
            "Further labels are learned at once with the first, and scored where they were measured. Search "
            "and selection went by the first row alone, and no row is corrected for them."
        ),
    )


def measured(folds: Sequence[FoldResult], name: str) -> int:
    """How many biopsies a further label is known of."""
    labels = ((fold.rows, fold.heads[name]["labels"]) for fold in folds)
    pairs = (pair for rows, known in labels for pair in zip(rows, known, strict=True))
    return len({row for row, label in pairs if label != UNKNOWN})


def _row(name: str, biopsies: int, metrics: Mapping[str, float | None]) -> tuple[Cell, ...]:
    return (name, biopsies, *(metrics[metric] for metric in DIRECTIONS))
