"""Splits for comparison: whole participants where that is promised, and shared ones where that is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.problems import InputError
from data_prep.schemes import leave_one_participant_out, random_60_20_20

OWNERS = st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=30).filter(
    lambda names: len(set(names)) > 1
)


@settings(max_examples=40)
@given(OWNERS)
def test_each_participant_is_held_out_once_and_alone(owners: list[str]) -> None:
    scheme = leave_one_participant_out(owners)
    held_out = [{owners[row] for row in split.test} for split in scheme.splits]
    assert held_out == [{name} for name in sorted(set(owners))]
    for index, split in enumerate(scheme.splits):
        assert (split.index, split.repeat, split.fold) == (index, 0, index)
        assert sorted([*split.train, *split.test]) == list(range(len(owners)))
        assert not {owners[row] for row in split.train} & held_out[index]
    assert (scheme.shares_participants, scheme.is_pooled, scheme.stop) == (False, True, None)
    assert "pooled" in scheme.title
    assert "biased below 0.5" in scheme.title


def test_one_participant_cannot_be_left_out() -> None:
    with pytest.raises(InputError, match="participants: two are needed to hold one out, but got 1"):
        leave_one_participant_out(["a", "a"])


@settings(max_examples=40)
@given(st.integers(5, 200), st.integers(1, 6), st.integers(0, 1000))
def test_a_random_split_is_60_20_20_of_the_biopsies(n: int, repeats: int, seed: int) -> None:
    scheme = random_60_20_20(n, repeats, seed)
    assert scheme.stop is not None
    assert [(s.index, s.repeat, s.fold) for s in scheme.splits] == [(r, r, 0) for r in range(repeats)]
    for split, stop in zip(scheme.splits, scheme.stop, strict=True):
        assert sorted([*split.train, *stop, *split.test]) == list(range(n))
        assert len(split.test) == len(stop) == round(0.2 * n)


def test_a_random_split_shares_participants_and_says_so() -> None:
    owners = np.arange(150) % 45
    scheme = random_60_20_20(150, 10, 0)
    assert all(set(owners[split.train]) & set(owners[split.test]) for split in scheme.splits)
    assert scheme.shares_participants
    assert scheme.title == "random 60/20/20 split (shares participants: too good)"
    assert not scheme.is_pooled


def test_random_splits_follow_from_the_seed_and_do_not_depend_on_their_number() -> None:
    def tests(repeats: int, seed: int) -> list[list[int]]:
        return [split.test.tolist() for split in random_60_20_20(50, repeats, seed).splits]

    assert tests(2, 1) == tests(5, 1)[:2]
    assert tests(2, 1) != tests(2, 2)
    assert tests(2, 1)[0] != tests(2, 1)[1]


def test_too_few_biopsies_for_a_random_split_are_a_problem() -> None:
    with pytest.raises(InputError, match="five are needed for a split into 60/20/20 %, but got 4"):
        random_60_20_20(4, 1, 0)
