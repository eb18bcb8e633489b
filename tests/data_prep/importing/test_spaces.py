"""Spaces of images."""

from __future__ import annotations

import pytest

from data_prep.importing.spaces import own_spaces


@pytest.mark.parametrize("space", ["T1w", "T1Gd", "flair", "individual", "orig", "fsnative", "native"])
def test_what_sequences_and_participants_are_called_is_their_own(space: str) -> None:
    assert own_spaces([space], []) == [space]


@pytest.mark.parametrize(
    "space", ["MNI152NLin6Asym", "mni152", "standard", "fsaverage", "SRI24", "Template1", "acpc"]
)
def test_any_other_space_is_not(space: str) -> None:
    assert own_spaces([space], ["T1"]) == []


def test_a_sequence_of_the_cohort_is_one_too() -> None:
    assert own_spaces(["EPIC", "standard"], ["EPIC"]) == ["EPIC"]
