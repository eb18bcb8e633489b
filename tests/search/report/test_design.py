from __future__ import annotations

from typing import Any

import pytest

from search.report.design import further_labels_row, grids_words, normalisation_words, slices_words
from search.study_file import Study


def study(**sections: Any) -> Study:
    return Study.model_validate({"name": "a", "space": {}, **sections})


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "1 slice"), ({"slices": 3}, "3 slices"), ({"slices": 3, "slice_mm": 5.0}, "3 slices 5.0 mm apart")],
)
def test_the_depth_of_a_patch_in_words(options: dict[str, Any], words: str) -> None:
    assert slices_words(study(input=options)) == words


def test_what_is_learned_beside_the_outcome_is_named() -> None:
    assert further_labels_row(study()) == []
    several = study(label={"genes": ["A", "B", "C"], "combine": "multi-label", "rule": "log-tpm"})
    rows = dict(further_labels_row(several))
    assert rows["learned beside it"] == "B and C, by the same rule"
    assert "regression" in rows["learned"]


def test_grids_and_normalisation_in_words() -> None:
    assert grids_words(study()) == "refused"
    assert grids_words(study(input={"resample_to": "T1Gd"})).startswith("resampled to that of T1Gd, for")
    assert normalisation_words(study(input={"normalisation": "robust"}), None) == "robust"
    table = study(input={"normalisation": {"FA": "none", "*": "zscore"}})
    assert normalisation_words(table, None) == "FA: none and *: zscore"
