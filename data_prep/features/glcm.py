"""Haralick's texture features of the grey level co-occurrence matrix (GLCM), many images at once.

References:
    Haralick, Shanmugam, Dinstein 1973, "Textural features for image classification", f1 to f13; in the
    definitions of the Image Biomarker Standardisation Initiative, reference manual 3.6.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import entr

from data_prep.arrays import DoubleArray, IntArray
from data_prep.features.levels import LEVELS, frequencies

DIRECTIONS = 4


def glcm(levels: IntArray) -> dict[str, DoubleArray]:
    """Features at distance 1, each the mean over the four directions (IBSI's "2D, averaged").

    Args:
        levels: From 0 to 15, shape (images, height, width), at least 2 pixels an edge.

    Returns:
        Each feature by name, shape (images,).
    """
    matrices = cooccurrence(levels, LEVELS)
    return {name: values.mean(axis=1) for name, values in haralick(matrices).items()}


def cooccurrence(levels: IntArray, count: int) -> DoubleArray:
    """Symmetric matrices: how likely two neighbours in one direction have levels i and j.

    Args:
        levels: From 0 to count - 1, shape (images, height, width), at least 2 pixels an edge.
        count: Number of levels.

    Returns:
        Shape (images, 4, count, count), each matrix summing to 1; the neighbours are at (0, 1), (1, 1),
        (1, 0) and (1, -1).
    """
    images = len(levels)
    matrices = np.empty((images, DIRECTIONS, count, count))
    for direction, (one, other) in enumerate(_neighbours(levels)):
        pairs = (one * count + other).reshape(images, one.shape[1] * one.shape[2])
        counted = frequencies(pairs, count * count).reshape(images, count, count)
        matrices[:, direction] = (counted + counted.transpose(0, 2, 1)) / (2 * pairs.shape[1])
    return matrices


def _neighbours(levels: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    yield levels[:, :, :-1], levels[:, :, 1:]
    yield levels[:, :-1, :-1], levels[:, 1:, 1:]
    yield levels[:, :-1, :], levels[:, 1:, :]
    yield levels[:, :-1, 1:], levels[:, 1:, :-1]


def haralick(matrices: DoubleArray) -> dict[str, DoubleArray]:
    """Features of symmetric matrices that sum to 1.

    Where all pixels are equal, correlation is 1 (a pixel tells its neighbour) and both measures of
    information are 0.

    Args:
        matrices: Shape (..., count, count).

    Returns:
        Each feature by name, shape (...); entropies in bits.
    """
    count = matrices.shape[-1]
    flat = matrices.reshape(*matrices.shape[:-2], count * count)
    first, second = (level.ravel() for level in np.indices((count, count)) + 1.0)
    marginal = matrices.sum(axis=-1)
    difference, total = _distribution(flat, np.abs(first - second)), _distribution(flat, first + second)
    gap, levels = np.arange(difference.shape[-1]), np.arange(1, count + 1)
    mean, dissimilarity, contrast = marginal @ levels, difference @ gap, difference @ gap**2
    variance = _central(marginal, levels, mean, 2)
    sums = np.arange(total.shape[-1])
    return {
        "asm": (flat**2).sum(axis=-1),
        "contrast": contrast,
        "dissimilarity": dissimilarity,
        "homogeneity": difference @ (1 / (1 + gap**2)),
        "correlation": 1 - contrast / np.where(variance > 0, 2 * variance, 1.0),
        "variance": variance,
        "sum_average": 2 * mean,
        "sum_variance": _central(total, sums, 2 * mean, 2),
        "cluster_shade": _central(total, sums, 2 * mean, 3),
        "cluster_prominence": _central(total, sums, 2 * mean, 4),
        "sum_entropy": _entropy(total),
        "difference_variance": _central(difference, gap, dissimilarity, 2),
        "difference_entropy": _entropy(difference),
        **_information(_entropy(flat), _entropy(marginal)),
    }


def _information(joint: DoubleArray, marginal: DoubleArray) -> dict[str, DoubleArray]:
    """Entropy and the two measures of information; HXY1 = HXY2 = 2 HX in a symmetric matrix."""
    # Equal but for rounding where neighbours are independent.
    mutual = np.maximum(2 * marginal - joint, 0.0)
    return {
        "entropy": joint,
        "information_1": -mutual / np.where(marginal > 0, marginal, 1.0),
        "information_2": np.sqrt(1 - np.exp(-2 * mutual)),
    }


def _distribution(flat: DoubleArray, key: DoubleArray) -> DoubleArray:
    """How likely a pair has each value of a key, 0 to its largest; shape (..., largest + 1)."""
    return np.asarray(flat @ (key[:, None] == np.arange(key.max() + 1)), dtype=np.float64)


def _central(share: DoubleArray, values: IntArray, mean: DoubleArray, order: int) -> DoubleArray:
    """Central moment of a distribution over `values`."""
    return np.asarray((share * (values - mean[..., None]) ** order).sum(axis=-1), dtype=np.float64)


def _entropy(share: DoubleArray) -> DoubleArray:
    return np.asarray(entr(share).sum(axis=-1) / np.log(2), dtype=np.float64)
