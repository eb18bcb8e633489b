"""Energy in Gabor filters: how strongly a patch varies at a wavelength along a direction.

A filter is a wave under a round Gaussian, `exp(-(x^2 + y^2) / 2 s^2) / (2 pi s^2) exp(2 pi i f (x cos t +
y sin t))`. Being a product of a function of x and one of y, it is applied as two matrices of the patch's
size, which reflect the patch at its borders as often as the filter is long: a patch of 5 pixels will do.

References:
    Daugman 1985; the width for one octave of bandwidth as in Clausi and Jernigan 2000, "Designing Gabor
    filters for optimal texture separability".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray

WAVELENGTHS = (3, 6, 12)
"""Of the waves in pixels, an octave apart; a filter for shorter ones would reach beyond what pixels hold."""

ANGLES = (0, 45, 90, 135)
"""Of the waves in degrees, from the first axis of a patch towards the second."""

# In standard deviations; beyond, the Gaussian is below single precision.
_REACH = 6

_ComplexArray = npt.NDArray[np.complex128]


def gabor(images: DoubleArray) -> dict[str, DoubleArray]:
    """Mean and standard deviation of the filters' magnitude over each image.

    The image's mean is taken away first, as the filters would let a part of it through.

    Args:
        images: Shape (images, edge, edge).

    Returns:
        "gabor_6px_45_mean" (wavelength, angle) and so on by name, shape (images,).
    """
    flat = images - images.mean(axis=(1, 2), keepdims=True)
    features = {}
    for wavelength in WAVELENGTHS:
        for angle in ANGLES:
            magnitude = np.abs(_filtered(flat, 1 / wavelength, angle))
            features[f"gabor_{wavelength}px_{angle}_mean"] = magnitude.mean(axis=(1, 2))
            features[f"gabor_{wavelength}px_{angle}_sd"] = magnitude.std(axis=(1, 2))
    return features


def _filtered(images: DoubleArray, frequency: float, angle: int) -> _ComplexArray:
    edge, sigma = images.shape[1], width(frequency)
    across = _operator(edge, frequency * np.cos(np.deg2rad(angle)), sigma)
    along = _operator(edge, frequency * np.sin(np.deg2rad(angle)), sigma)
    return np.asarray(across @ images @ along.T, dtype=np.complex128)


def width(frequency: float) -> float:
    """Standard deviation in pixels of the Gaussian whose filter passes one octave.

    >>> round(width(0.1), 3)
    5.622
    """
    return float(np.sqrt(np.log(2) / 2) / np.pi * 3 / frequency)


def _operator(edge: int, frequency: float, sigma: float) -> _ComplexArray:
    """Convolution of a line of pixels, reflected about its outer borders, with a wave; shape (edge, edge)."""
    reach = int(np.ceil(_REACH * sigma))
    x = np.arange(-reach, reach + 1)
    wave = np.exp(-(x**2) / (2 * sigma**2) + 2j * np.pi * frequency * x) / (np.sqrt(2 * np.pi) * sigma)
    target = np.arange(edge)[:, None]
    source = (target - x) % (2 * edge)
    source = np.minimum(source, 2 * edge - 1 - source)
    operator = np.zeros((edge, edge), dtype=np.complex128)
    np.add.at(operator, (target, source), np.broadcast_to(wave, source.shape))
    return operator
