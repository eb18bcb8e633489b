"""What stands beside the searched label: figures over fewer biopsies, and of other labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from search.records import FoldResult
from search.report.beside import beside_section, beside_table
from search.report.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Told(Evidence):
    """Evidence whose trials said what a test has them say, of a cohort with some incomplete biopsies."""

    folds: Sequence[FoldResult] = ()
    complete: tuple[int, ...] | None = None

    @property
    def cohort(self) -> Mapping[str, Any]:
        return {**super().cohort, "complete": self.complete}

    def folds_of(self, number: int) -> tuple[FoldResult, ...]:
        return tuple(self.folds)


@pytest.fixture
def told(evidence: Evidence) -> Told:
    assert evidence.best is not None
    return Told(**vars(evidence), folds=evidence.folds_of(evidence.best.number))


def with_gene(fold: FoldResult) -> FoldResult:
    """A further label, unknown of the first biopsy of each fold."""
    labels = [-1, *(1 - label for label in fold.labels[1:])]
    head = {"labels": labels, "probabilities": list(fold.probabilities), "threshold": 0.5}
    return replace(fold, heads={"CD8A": {**head, "label_threshold": 1.0}})


def test_of_one_label_and_complete_biopsies_nothing_is_shown(evidence: Evidence, told: Told) -> None:
    assert beside_section(evidence).blocks == ()
    assert beside_section(told).blocks == ()
    assert beside_table(replace(told, honest=None)) is None


def test_complete_cases_stand_beside_all_biopsies(told: Told) -> None:
    complete = tuple(range(0, 36, 2))
    table = beside_table(replace(told, complete=complete))
    assert table is not None
    everybody, cases = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (everybody["label"], everybody["biopsies"]) == ("CD3D, all biopsies", 36)
    assert (cases["label"], cases["biopsies"]) == ("CD3D, complete cases", 18)
    pairs = [
        pair for fold in told.folds for pair in zip(fold.rows, fold.labels, fold.probabilities, strict=True)
    ]
    for row, kept in ((everybody, range(36)), (cases, complete)):
        of_them = np.array([(label, said) for place, label, said in pairs if place in kept])
        assert row["Brier score"] == pytest.approx(brier_score_loss(*of_them.T))


def test_a_further_label_is_told_where_it_is_known(told: Told) -> None:
    table = beside_table(replace(told, folds=[with_gene(fold) for fold in told.folds]))
    assert table is not None
    first, gene = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (gene["label"], gene["biopsies"]) == ("CD8A", 36 - len(told.folds))
    assert gene["AUC"] != first["AUC"]
    assert "first row alone" in table.note
    assert json.dumps(table.rows)
