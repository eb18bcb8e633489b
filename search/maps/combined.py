"""Pheno-regions: which of several labels dominates where."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from search.maps.drawing import Drawn

NOTHING = 0


def pheno_regions(drawn: Drawn) -> npt.NDArray[np.uint8]:
    """Number of the label that dominates each voxel, shape (x, y, z).

    0 where no label is above its threshold or there is no map, else k for the k-th: of those above, the label
    whose logit is farthest above that of its own threshold, so that a common and a rare label are compared on
    one scale; of equals the first.
    """
    regions = np.zeros(drawn.region.shape, dtype=np.uint8)
    where = drawn.above.any(axis=-1)
    with np.errstate(divide="ignore"):
        margin = logit(drawn.probability[where].astype(np.float64)) - logit(np.array(drawn.thresholds))
    regions[where] = 1 + np.argmax(np.where(drawn.above[where], margin, -np.inf), axis=1)
    return regions


def meaning(labels: tuple[str, ...]) -> dict[str, str]:
    """What each number of `pheno_regions` stands for.

    >>> meaning(("CD3D", "CD8A"))
    {'0': 'none above its threshold', '1': 'CD3D', '2': 'CD8A'}
    """
    return {str(NOTHING): "none above its threshold"} | {
        str(number): label for number, label in enumerate(labels, start=1)
    }
