from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.home import StudyFolder
from search.refits.nested import Nested, OuterFold, nested_file, read_nested, write_nested
from search.statistics.performance import Measured

FOLDS = tuple(
    OuterFold(0, fold, (1, 0), ({"architecture": "a"}, {"architecture": "b"}), 0.6, None) for fold in range(3)
)
NESTED = Nested(
    study="s",
    metric="roc_auc",
    rule={"name": "rank-average", "top": None},
    configurations=4,
    inner_folds=4,
    outer_folds=3,
    repeats=1,
    table="ab",
    folds=FOLDS,
    performance={"roc_auc": Measured(0.55, 0.4, 0.7), "spearman": Measured(None, None, None)},
    informative_pairs=12,
    fits=54,
    failed=0,
    fit_seconds=2.5,
    overrides=("training.epochs=2",),
    protocol="cd",
    versions={"python": "3.11"},
    study_id="0f",
    labels="ef",
    patches="01",
)


def test_a_validation_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    assert read_nested(folder) is None
    write_nested(folder, NESTED)
    assert read_nested(folder) == NESTED


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"folds": [{}], "performance": {}}'])
def test_what_is_no_record_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    nested_file(StudyFolder(tmp_path)).write_text(text)
    with pytest.raises(InputError, match=r"nested\.json: the record of a nested cross-validation"):
        read_nested(StudyFolder(tmp_path))


@pytest.mark.parametrize(
    ("selected", "overlap", "stable"),
    [
        ([(0, 1), (1, 0), (0, 1)], 1.0, True),
        ([(0, 1), (0, 2), (0, 1)], (1 + 1 / 3 + 1 / 3) / 3, False),
        ([(0,), (1,), (2,)], 0.0, False),
    ],
)
def test_a_selection_is_stable_where_all_outer_folds_make_it(
    selected: list[tuple[int, ...]], overlap: float, stable: bool
) -> None:
    folds = tuple(replace(fold, selected=one) for fold, one in zip(FOLDS, selected, strict=True))
    nested = replace(NESTED, folds=folds)
    assert (nested.overlap, nested.is_stable) == (pytest.approx(overlap), stable)
    assert nested.record()["stable"] is stable
