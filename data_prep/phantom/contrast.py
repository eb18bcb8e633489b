"""How bright each tissue is in each sequence, in units of the image noise.

Levels follow what radiologists see: fluid bright in T2 and MD and dark in FLAIR and T1, an enhancing rim in
T1Gd and srCBV, low anisotropy in the tumour. In the five sequences that carry the hidden field, core, rim and
oedema differ by half a unit or so, and a patch stays readable.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from data_prep.arrays import FloatArray
from data_prep.phantom.spec import SEQUENCES

TISSUES: Final = ("scalp", "skull", "csf", "gm", "wm", "core", "rim", "oedema")

LEVELS: Final = {
    "FA": (1.6, 0.6, 0.8, 3.0, 6.0, 2.4, 2.7, 3.1),
    "MD": (2.0, 0.6, 8.5, 4.0, 3.3, 5.4, 5.0, 5.2),
    "EPI-C": (2.0, 0.4, 8.0, 6.0, 4.9, 6.3, 5.8, 6.2),
    "FLAIR": (4.5, 0.6, 1.2, 5.2, 4.3, 6.6, 6.8, 7.2),
    "rCBV": (1.6, 0.4, 1.0, 5.4, 3.0, 2.6, 3.1, 2.8),
    "srCBV": (1.4, 0.4, 0.7, 5.4, 2.6, 1.4, 6.6, 2.4),
    "T1": (8.5, 0.6, 1.8, 5.2, 7.4, 3.0, 4.2, 4.6),
    "T1Gd": (9.0, 0.6, 1.8, 5.4, 7.2, 2.6, 9.6, 4.4),
    "T2": (4.2, 0.6, 9.8, 5.8, 4.2, 8.2, 6.4, 7.8),
}
"""Level of each of `TISSUES` (columns) in each sequence; air is 0."""


def contrast_images(tissues: FloatArray) -> FloatArray:
    """The anatomy A of every sequence.

    Args:
        tissues: Fraction of each of `TISSUES` in each voxel, shape (8, n, n, n).

    Returns:
        Noise-free images in the order of `SEQUENCES`, shape (9, n, n, n).
    """
    levels = np.array([LEVELS[sequence] for sequence in SEQUENCES])
    return np.asarray(np.tensordot(levels, tissues, axes=1), np.float32)
