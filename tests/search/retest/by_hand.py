"""Sites scored by hand, in place of fits."""

from __future__ import annotations

import numpy as np

from search.retest.paired import Paired


def paired(seed: int = 0, people: int = 10, each: int = 4, trials: int = 2, noise: float = 0.05) -> Paired:
    """Probabilities of sites of several participants, by several configurations."""
    rng = np.random.default_rng(seed)
    n = people * each
    who = tuple(f"sub-{index // each:02}" for index in range(n))
    truth = np.clip(0.5 + 0.2 * rng.normal(size=n), 0.05, 0.95)
    first, second = (np.clip(truth + noise * rng.normal(size=(trials, n)), 0, 1) for _ in range(2))
    sites = tuple(f"b{index:02}" for index in range(n))
    return Paired(
        sites, who, tuple(index % 3 for index in range(n)), first, second, np.full((trials, n), 0.5)
    )
