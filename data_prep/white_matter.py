"""The white-matter peak in the histogram of a brain, and the stripe of intensities around it.

References:
    Shinohara et al. 2014, "Statistical normalization techniques for magnetic resonance imaging", and the
    authors' R package WhiteStripe: the brightest mode of T1-like images and the highest one of T2-like
    images; the mean and the standard deviation of the intensities whose rank is within 5 % of the peak's;
    what is below a fifth of the highest mode is rare tissue.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.intensity import Scale

_HALF_WIDTH: Final = 0.05  # of the stripe, in ranks
_RARE: Final = 0.2

# Of voxels in the stripe: the standard error of its standard deviation is then 16 %.
_LEAST: Final = 20

# Standard errors by which a mode stands out of its valley: chance alone does so once in 700 times.
_BEYOND_CHANCE: Final = 3.0

_BINS: Final = 2048
_BINS_A_WIDTH: Final = 4  # at least, of the Gaussian that smooths
_REACH: Final = 4  # of that Gaussian, in its standard deviations
_LOOKED_AT: Final = 100_000  # values, for the step between stored intensities


def _stripe_of_a_normal() -> float:
    """Standard deviation of the stripe around the peak of a standard normal distribution: 0.0725."""
    normal = NormalDist()
    edge = normal.inv_cdf(0.5 + _HALF_WIDTH)
    return math.sqrt(1 - edge * normal.pdf(edge) / _HALF_WIDTH)


_UNIT: Final = _stripe_of_a_normal()


def white_matter(values: FloatArray) -> Scale:
    """Mean of the stripe, and its standard deviation as a share of that of a normal's stripe.

    The published spread is that of the stripe itself, in which a brain is some 14 units wide. Here it is
    divided by what the stripe around the peak of a standard normal spreads, so that units are those of a
    z-score where the brain's histogram is normal.

    Args:
        values: Intensities that count, shape (n,); they may come back in another order.

    Returns:
        Spread 0 where there are no values, or the stripe holds equal ones or fewer than 20.
    """
    if not len(values):
        return Scale(spread=0.0)
    peak, width = _peak(values)
    # Of stored intensities that are steps apart, few may be at the peak itself.
    rank = float(np.mean(values <= peak - width) + np.mean(values <= peak + width)) / 2
    ranks = np.clip([rank - _HALF_WIDTH, rank + _HALF_WIDTH], 0.0, 1.0)
    low, high = np.quantile(values, ranks, overwrite_input=True)
    stripe = values[(values >= low) & (values <= high)].astype(np.float64)
    if len(stripe) < _LEAST:
        return Scale(spread=0.0)
    return Scale(float(stripe.mean()), float(stripe.std()) / _UNIT)


def _peak(values: FloatArray) -> tuple[float, float]:
    """The intensity of white matter, and the standard deviation of the Gaussian that smoothed the histogram.

    Fluid tells the contrast: where it is dark, the brain has a dark tail, its deciles 1 and 9 lie further
    below the median than above, and white matter is the brightest mode. Otherwise it is the highest.
    """
    first, p10, q1, median, q3, p90, last = np.percentile(values, (1, 10, 25, 50, 75, 90, 99)).tolist()
    if last <= first:
        return float(median), 0.0
    width = _bandwidth(values, q3 - q1, last - first)
    centres, density, error = _histogram(values, first, last, width)
    modes = _modes(density, error)
    is_dark_tailed = p90 + p10 < 2 * median
    brightest = modes[-1] if is_dark_tailed and len(modes) else density.argmax()
    return float(centres[brightest]), width


def _bandwidth(values: FloatArray, interquartile: float, extent: float) -> float:
    """Silverman's rule (1986, eq. 3.31), but no less than the step of stored intensities, or some bins."""
    spreads = (float(values.std(dtype=np.float64)), interquartile / 1.34)
    rule = 0.9 * min(spread for spread in spreads if spread > 0) * float(len(values) ** -0.2)
    levels = np.unique(values[:: max(1, len(values) // _LOOKED_AT)])
    step = float(np.median(np.diff(levels))) if len(levels) > 1 else 0.0
    return max(rule, step, extent * _BINS_A_WIDTH / _BINS)


def _histogram(
    values: FloatArray, first: float, last: float, width: float
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Bins between two intensities, how many values a Gaussian counts there, and that count's standard error.

    The Gaussian sees beyond both ends, so that neither looks like a flank.
    """
    reach = _REACH * width
    counts, edges = np.histogram(values, _BINS, (first - reach, last + reach))
    centres = (edges[1:] + edges[:-1]) / 2
    half = int(np.ceil(reach / (edges[1] - edges[0])))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * (edges[1] - edges[0]) / width) ** 2)
    inside = (centres >= first) & (centres <= last)
    density = np.convolve(counts, kernel, mode="same")[inside]
    variance = np.convolve(counts, kernel**2, mode="same")[inside]
    return centres[inside], density, np.sqrt(variance)


def _modes(density: DoubleArray, error: DoubleArray) -> list[int]:
    """Bins at which the density peaks, is not rare, and is higher than the valley beside it beyond chance."""
    # Only here, because it is slow to load and few studies need it.
    from scipy.signal import find_peaks

    peaks, found = find_peaks(density, height=_RARE * density.max(), prominence=0)
    bases = np.stack([found["left_bases"], found["right_bases"]])
    valleys = bases[density[bases].argmax(axis=0), np.arange(len(peaks))]
    chance = np.hypot(error[peaks], error[valleys])
    return [int(peak) for peak in peaks[found["prominences"] > _BEYOND_CHANCE * chance]]
