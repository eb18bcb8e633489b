"""Splits to compare folds with: one participant at a time, and one that shares participants on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import IntArray
from data_prep.folds import Split
from data_prep.problems import InputError

# Parts of a random split that are stopped on and held out; the rest is fitted on.
_STOP_SHARE, _TEST_SHARE = 0.2, 0.2


@dataclass(frozen=True, eq=False)
class Scheme:
    """Splits of n biopsies that are no fold table of a search.

    Attributes:
        name: "participant" or "random".
        title: What every table that shows a result of it calls it.
        splits: In order; the repeats are what a result is averaged over.
        stop: For each split, rows beside those to learn from and those held out, by which early stopping and
            the decision threshold are decided; None where that is left to an inner split by participant.
        shares_participants: Whether a participant lies on both sides of a split: what is found is then no
            estimate for a new participant.
        is_pooled: Whether held-out biopsies are ranked over the splits, whose models differ: the AUC is then
            biased below 0.5 where there is no signal.
    """

    name: str
    title: str
    splits: tuple[Split, ...]
    stop: tuple[IntArray, ...] | None
    shares_participants: bool
    is_pooled: bool


def leave_one_participant_out(participant_id: Sequence[str]) -> Scheme:
    """Each participant held out once, in the order of their names.

    An AUC within a participant is mostly undefined, so that theirs are ranked together.

    Args:
        participant_id: n names.

    Raises:
        InputError: Fewer than two participants.
    """
    names, inverse = np.unique(np.asarray(participant_id, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"participants: two are needed to hold one out, but got {len(names)}.")
    splits = tuple(
        Split(
            fold,
            0,
            fold,
            *(np.flatnonzero(side).astype(np.int64) for side in (inverse != fold, inverse == fold)),
        )
        for fold in range(len(names))
    )
    title = "leave-one-participant-out (AUC pooled over participants: biased below 0.5 without signal)"
    return Scheme("participant", title, splits, None, shares_participants=False, is_pooled=True)


def random_60_20_20(biopsies: int, repeats: int, seed: int) -> Scheme:
    """Random splits of biopsies whatever their participant: 60 % to fit, 20 % to stop on, 20 % held out.

    It is what a published report did, and shows by how much that is too good. The parts have no biopsy in
    common: `splits[i].train` is the 60 %, `stop[i]` the first 20 %, `splits[i].test` the other.

    Args:
        biopsies: How many there are.
        repeats: How many splits.
        seed: The same seed gives the same splits, the first ones whatever `repeats` is.

    Raises:
        InputError: Fewer than five biopsies.
    """
    if biopsies < 5:
        raise InputError(f"biopsies: five are needed for a split into 60/20/20 %, but got {biopsies}.")
    rngs = [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(repeats)]
    orders = [rng.permutation(biopsies).astype(np.int64) for rng in rngs]
    n_test, n_stop = (round(share * biopsies) for share in (_TEST_SHARE, _STOP_SHARE))
    splits = tuple(
        Split(repeat, repeat, 0, np.sort(order[n_test + n_stop :]), np.sort(order[:n_test]))
        for repeat, order in enumerate(orders)
    )
    stop = tuple(np.sort(order[n_test : n_test + n_stop]) for order in orders)
    title = "random 60/20/20 split (shares participants: too good)"
    return Scheme("random", title, splits, stop, shares_participants=True, is_pooled=False)
