from __future__ import annotations

from itertools import combinations

import numpy as np

from data_prep.phantom.streams import STREAMS, stream


def test_the_same_name_gives_the_same_numbers() -> None:
    assert np.array_equal(stream(3, "eta", 1, 0, 2).random(5), stream(3, "eta", 1, 0, 2).random(5))


def test_names_keys_and_seeds_give_different_numbers() -> None:
    draws = [stream(3, name).random() for name in STREAMS]
    draws += [stream(3, "eta", *keys).random() for keys in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0))]
    draws.append(stream(4, "eta", 1, 0, 0).random())
    assert all(one != other for one, other in combinations(draws, 2))
