"""What values of expression look like, where they should be transcripts per million."""

from __future__ import annotations

import numpy as np

from data_prep.arrays import DoubleArray

_MILLION = 1e6
_WHOLE = 10_000  # genes of a whole transcriptome, over which TPM sum to a million
_SOME = 200  # genes of which some have a TPM above 30 in any tissue
_LARGEST_LOG = 30.0  # log2 of a million is 20
_FEW = 100.0  # counts of a sequenced sample exceed it somewhere


def suspicions(values: DoubleArray) -> tuple[str, ...]:
    """What is probably wrong with values that are taken as TPM, and what to do.

    Args:
        values: Shape (samples, genes), NaN where there is none.

    Returns:
        A line for each suspicion; none where nothing is odd.
    """
    known = values[np.isfinite(values)]
    if known.size == 0:
        return ()
    if np.all(known == np.rint(known)) and known.max() > _FEW:
        return (
            "expression looks like counts (all are whole numbers), and is stored as it is: give "
            "--gene-lengths to make TPM of it",
        )
    if values.shape[1] >= _SOME and known.max() < _LARGEST_LOG:
        return (
            f"expression looks logged (no value above {known.max():.3g}), and is stored as it is: a study "
            "takes logarithms itself, so export TPM instead",
        )
    if values.shape[1] >= _WHOLE:
        sums = np.nansum(values, axis=1)
        if np.median(np.abs(sums - _MILLION)) > _MILLION / 10:
            return (
                f"expression is not TPM (samples sum to {np.median(sums):.4g}, not to a million), and is "
                "stored as it is: thresholds such as above:1.03 then mean something else",
            )
    return ()


def are_tpm(values: DoubleArray) -> bool:
    """Whether values that are called counts sum to a million in every sample, as counts never do."""
    return bool(np.all(np.abs(np.nansum(values, axis=1) - _MILLION) < 1.0))
