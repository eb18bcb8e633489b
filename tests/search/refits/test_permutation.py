from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.home import StudyFolder
from search.refits.permutation import (
    Permutation,
    chosen,
    permutation_file,
    read_permutation,
    write_permutation,
)
from tests.search.refits.test_history import FIRST

TEST = Permutation(
    study="s",
    study_id="0f",
    null="global",
    statistic="roc_auc",
    observed=0.61,
    values=(0.5, None, 0.4),
    p_value=0.5,
    permutations=3,
    configurations=2,
    selected=({"architecture": "roi_means", "patch_radius": 5},),
    rule={"name": "rank-average", "top": None, "metric": "roc_auc"},
    seed=0,
    reductions=("training.epochs=2",),
    fits=24,
    failed=1,
    drawn_again=0,
    fit_seconds=1.5,
    protocol="ab",
    versions={"python": "3.11"},
)


def test_a_test_is_read_as_it_was_written_and_the_nulls_are_kept_apart(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    within = replace(TEST, null="within", observed=0.55, declared_after=True, earlier=(FIRST,))
    assert read_permutation(folder) is None
    write_permutation(folder, TEST)
    assert (read_permutation(folder), read_permutation(folder, "within")) == (TEST, None)
    write_permutation(folder, within)
    assert (read_permutation(folder, "global"), read_permutation(folder, "within")) == (TEST, within)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"values": 3, "selected": [], "reductions": []}'])
def test_what_is_no_record_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    permutation_file(StudyFolder(tmp_path), "global").write_text(text)
    with pytest.raises(InputError, match=r"permutation-global\.json: the record of a permutation test"):
        read_permutation(StudyFolder(tmp_path))


@pytest.mark.parametrize(
    ("reductions", "sections"),
    [
        ((), []),
        (("training.epochs=2", "validation.folds = 3"), []),
        (("search.enqueue: 1 put in line after the search had begun are left out",), []),
        ((" space.patch_radius = 5",), ["space"]),
        (("space={ architecture = [1] }",), ["space"]),
        (("space.patch_radius: was changed after the search had begun",), ["space"]),
        (("input.sequences=['a']", "space.a.b=1"), ["space", "input"]),
    ],
)
def test_a_smaller_space_or_input_is_a_choice_and_less_training_is_none(
    reductions: tuple[str, ...], sections: list[str]
) -> None:
    assert chosen(reductions) == sections


def test_what_was_declared_after_the_search_says_so_wherever_it_is_read() -> None:
    assert TEST.record()["caution"] is None
    late = replace(TEST, reductions=("space.patch_radius=5",), declared_after=True)
    assert late.record()["caution"] == (
        "the reduction of the space was declared after the search: this p-value is not valid as evidence if "
        "results led to it"
    )
