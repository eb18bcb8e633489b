from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.cohort import read_cohort
from search.audit.confounders import (
    check_confounders,
    check_one,
    fitted,
    grouped,
    judge,
    one_hot,
    scanners,
    widened,
)
from search.audit.record import NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.subject import Subject
from search.statistics.performance import Measured


def test_what_the_cohort_does_not_tell_is_not_applicable(audited: Subject) -> None:
    found = {check.name: check for check in check_confounders(audited)}
    assert found["scanner"].verdict == NOT_APPLICABLE
    assert found["missingness"].verdict == NOT_APPLICABLE
    assert found["location"].verdict in (PASSED, SUSPICIOUS)
    assert len(found["location"].figures["ci95"]) == 2


def test_a_scanner_that_decides_the_label_is_flagged(
    audited: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = audited.material.labels.label
    names = ["a" if positive else "b" for positive in label]
    monkeypatch.setattr("search.audit.confounders.scanners", lambda *_: names)
    check = check_one(audited, "scanner")
    assert (check.verdict, check.figures["roc_auc"]) == (SUSPICIOUS, 1.0)
    assert "which scanner" in check.sentence.lower()


def test_a_model_of_a_fold_never_sees_its_held_out_labels(audited: Subject) -> None:
    """One column that names each biopsy's label only outside the training rows would score 1."""
    material = audited.material
    seen: list[set[str]] = []

    def predict(train: np.ndarray, labels: np.ndarray) -> np.ndarray:
        seen.append({material.patches.participant_id[row] for row in train})
        return fitted(labels[:, None].astype(float), train, labels, audited)

    outputs = grouped(audited, predict)
    assert outputs.label.shape == (1, 36)
    for number, split in enumerate(audited.splits):
        held = {material.patches.participant_id[row] for row in split.test}
        assert not held & seen[number]
    np.testing.assert_array_equal(outputs.label[0], material.labels.label)


@pytest.mark.parametrize(
    ("auc", "winner", "alike", "verdict"),
    [
        (Measured(0.7, 0.55, 0.85), 0.75, True, SUSPICIOUS),
        (Measured(0.7, 0.48, 0.9), 0.75, True, SUSPICIOUS),
        (Measured(0.7, 0.48, 0.9), 0.75, False, PASSED),
        (Measured(0.55, 0.4, 0.7), 0.75, True, PASSED),
        (Measured(0.55, 0.4, 0.7), 0.56, None, PASSED),
        (Measured(0.55, 0.4, 0.7), None, None, PASSED),
        (Measured(None, None, None), 0.7, True, NOT_CHECKED),
    ],
)
def test_verdicts(auc: Measured, winner: float | None, alike: bool | None, verdict: str) -> None:
    assert judge("location", auc, winner, alike).verdict == verdict


def test_the_scanner_comes_from_either_table(make_cohort: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_cohort(tmp_path / "c", participants=3, biopsies=6, size=12)
    biopsies = [f"b{n:02}" for n in range(6)]
    assert scanners(read_cohort(folder), biopsies) is None
    (folder / "participants.tsv").write_text("participant_id\tscanner\nsub-000\tA\nsub-001\tB\n")
    assert scanners(read_cohort(folder), biopsies) == ["A", "B", "n/a"] * 2
    table = (folder / "biopsies.tsv").read_text().splitlines()
    lines = [table[0] + "\tscanner", *(f"{line}\tX{n}" for n, line in enumerate(table[1:]))]
    (folder / "biopsies.tsv").write_text("\n".join(lines) + "\n")
    assert scanners(read_cohort(folder), biopsies) == [f"X{n}" for n in range(6)]


def test_columns_of_names_and_wider_intervals() -> None:
    found = one_hot(["b", "a", "b"])
    assert found is not None
    np.testing.assert_array_equal(found, [[0, 1], [1, 0], [0, 1]])
    assert one_hot(None) is None
    wide = widened(Measured(0.6, 0.5, 0.9))
    assert (wide.low, wide.high) == (pytest.approx(0.46), 1.0)
    assert widened(Measured(None, None, None)).value is None
    assert replace(wide, value=0.6) == wide
