from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.statistics.concordance import Concordance, informative_pairs, of_biopsies, of_participants, share
from search.statistics.predictions import Outputs

# Of each participant: fold, and of each biopsy: labels and scores in two repeats.
biopsy = st.tuples(*[st.integers(0, 1)] * 2, *[st.sampled_from([0.1, 0.3, 0.5, 0.9])] * 2)
people = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.lists(biopsy, min_size=1, max_size=4)),
    min_size=1,
    max_size=6,
)
People = list[tuple[int, int, list[tuple[int, int, float, float]]]]


def outputs_of(people: People) -> Outputs:
    rows = [(p, folds[:2], biopsy) for p, folds in enumerate(people) for biopsy in folds[2]]
    label = np.array([biopsy[:2] for _, _, biopsy in rows]).T
    score = np.array([biopsy[2:] for _, _, biopsy in rows]).T
    fold = np.array([of for _, of, _ in rows]).T
    who = np.array([p for p, _, _ in rows])
    return Outputs(label, who, fold, score, score, (score > 0.4).astype(np.int64))


def psi(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def slow_pairs(o: Outputs, within: bool) -> tuple[float, int]:
    right, total = 0.0, 0
    for r in range(len(o.label)):
        for i in range(len(o.participant)):
            for j in range(len(o.participant)):
                same = o.participant[i] == o.participant[j] or not within
                if o.label[r, i] > o.label[r, j] and o.fold[r, i] == o.fold[r, j] and same:
                    right, total = right + psi(o.score[r, i], o.score[r, j]), total + 1
    return right, total


def slow_between(people: People) -> tuple[float, int]:
    right, total = 0.0, 0
    for r in (0, 1):
        for one in people:
            for other in people:
                shares = [sum(b[r] for b in who[2]) / len(who[2]) for who in (one, other)]
                means = [sum(b[2 + r] for b in who[2]) / len(who[2]) for who in (one, other)]
                if one[r] == other[r] and shares[0] > shares[1] + 1e-9:
                    tie = abs(means[0] - means[1]) < 1e-9
                    right, total = right + (0.5 if tie else psi(*means)), total + 1
    return right, total


def once(found: Concordance) -> np.ndarray:
    return np.ones((1, len(found.pairs)))


def check(value: np.ndarray, expected: tuple[float, int]) -> None:
    right, total = expected
    assert value == pytest.approx([right / total if total else np.nan], nan_ok=True)


@given(people)
def test_pairs_of_biopsies_are_those_of_a_triple_loop(people: People) -> None:
    o = outputs_of(people)
    found = of_biopsies(o)
    check(found.auc(once(found)), slow_pairs(o, within=False))
    check(found.auc_within(once(found)), slow_pairs(o, within=True))


@given(people)
def test_pairs_of_participants_are_those_of_a_double_loop(people: People) -> None:
    found = of_participants(outputs_of(people))
    check(found.auc(once(found)), slow_between(people))


@given(people, st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_participant_who_is_there_twice_is_two_participants(people: People, counts: list[int]) -> None:
    """Drawing participants by weight is the same as a cohort in which they were written down so often."""
    weight = np.array(counts[: len(people)], dtype=float)[None]
    copied = [person for person, count in zip(people, counts, strict=False) for _ in range(count)]
    if not copied:
        return
    by_weight, o = of_biopsies(outputs_of(people)), outputs_of(copied)
    check(by_weight.auc(weight), slow_pairs(o, within=False))
    check(by_weight.auc_within(weight), slow_pairs(o, within=True))
    check(of_participants(outputs_of(people)).auc(weight), slow_between(copied))


def test_participants_are_ranked_by_their_means_and_only_where_their_shares_differ() -> None:
    """Three participants of one fold with 2/2, 1/2 and 2/4 positives: only the first is above the others."""
    label = np.array([[1, 1, 1, 0, 1, 1, 0, 0]])
    score = np.array([[0.5, 0.6, 0.9, 0.4, 0.1, 0.2, 0.3, 0.4]])
    who = np.array([0, 0, 1, 1, 2, 2, 2, 2])
    found = of_participants(Outputs(label, who, np.zeros_like(label), score, score, label))
    assert found.pairs.tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert found.ranked.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_an_informative_pair_counts_once_however_many_repeats_there_are() -> None:
    label = np.array([[0, 1, 1, 0, 1], [0, 1, 1, 0, 1]])
    who = np.array([0, 0, 0, 1, 2])
    fold = np.array([[0, 0, 0, 0, 1], [1, 1, 1, 0, 1]])
    score = np.zeros((2, 5))
    o = Outputs(label, who, fold, score, score, label)
    assert informative_pairs(o) == 2
    assert of_biopsies(o).pairs.trace() == 2 * informative_pairs(o)


def test_a_share_of_nothing_is_undefined() -> None:
    assert share(np.array([1.0, 0.0]), np.array([2.0, 0.0])) == pytest.approx([0.5, np.nan], nan_ok=True)
