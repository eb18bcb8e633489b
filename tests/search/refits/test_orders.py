from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.refits.orders import draw_order

# Participants of a cohort whose biopsies may stand in any order in its table.
people = st.lists(st.integers(0, 5), min_size=1, max_size=20).map(np.array)


@given(people, st.integers(0, 99), st.sampled_from(["global", "within"]))
def test_every_biopsy_gets_one_expression_and_none_is_lost(
    participant: np.ndarray, seed: int, null: str
) -> None:
    order = draw_order(null, participant, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(participant)))


@given(people, st.integers(0, 99))
def test_within_participants_each_keeps_its_own_expressions(participant: np.ndarray, seed: int) -> None:
    order = draw_order("within", participant, np.random.default_rng(seed))
    assert participant[order].tolist() == participant.tolist()


@given(people, st.integers(0, 99))
def test_globally_expressions_of_one_participant_stay_next_to_each_other(
    participant: np.ndarray, seed: int
) -> None:
    order = draw_order("global", participant, np.random.default_rng(seed))
    blocks = [np.flatnonzero(participant == who) for who in dict.fromkeys(participant.tolist())]
    line = participant[order[np.concatenate(blocks)]].tolist()  # laid over the biopsies by participant
    changes = [line[0], *(two for one, two in pairwise(line) if one != two)]
    assert len(changes) == len(set(changes)) == len(blocks)


def shares(null: str, participant: np.ndarray, draws: int = 6000) -> dict[tuple[int, ...], float]:
    random = np.random.default_rng(0)
    found = Counter(tuple(draw_order(null, participant, random).tolist()) for _ in range(draws))
    return {order: count / draws for order, count in found.items()}


def test_all_orders_of_a_null_are_equally_likely() -> None:
    """Of 1 and 2 biopsies: the global null has 2 orders of participants x 2 of the second's biopsies."""
    globally, within = (shares(null, np.array([0, 1, 1])) for null in ("global", "within"))
    assert set(globally) == {(0, 1, 2), (0, 2, 1), (1, 2, 0), (2, 1, 0)}
    assert set(within) == {(0, 1, 2), (0, 2, 1)}
    standard_error = 0.5 / np.sqrt(6000)
    assert all(abs(share - 1 / 4) < 4 * standard_error for share in globally.values())
    assert all(abs(share - 1 / 2) < 4 * standard_error for share in within.values())
