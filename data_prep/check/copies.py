"""Images that are copies: of another sequence, of another participant, of the first scan.

Two images are compared by their voxels, and where these differ by the fine detail of the small volumes, which
stays where an image is scaled, shifted in brightness or stored with fewer grey values.

Measured by the correlation of that detail (phantoms of 24 to 64 voxels an edge, a real case): different
sequences of one participant reach 0.947, different participants 0.77, two scans of one participant 0.895;
copies that were scaled or have 8 bits 0.9999, those with noise of 2 % of the deviation 0.9989.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.check.findings import Finding
from data_prep.check.intensities import Image, images_of, is_constant, is_mask
from data_prep.check.subject import Subject
from data_prep.problems import named

COPY: Final = 0.997
"""Correlation of the detail of two images, from which one is made from the other."""

SCANNED_ONCE: Final = 0.9999
"""The same of a scan and its repeat, whose noise averages out in the small volumes."""

_LEAST_EDGE: Final = 8  # voxels of a small volume; fewer are alike by chance
_BLOCK: Final = 512  # images that are compared at a time

Pair = tuple[Image, Image, float]


def copy_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on images that are copies of each other."""
    across: dict[tuple[str, str], list[Pair]] = {}
    for pair in copied_pairs(subject):
        one, other, _ = pair
        if one.participant != other.participant:
            across.setdefault((one.participant, other.participant), []).append(pair)
        elif _is_repeat(one, other):
            yield _repeat(pair)
        else:
            yield _sequence(pair)
    for (first, second), pairs in across.items():
        yield _participants(first, second, pairs)


def copied_pairs(subject: Subject) -> list[Pair]:
    """Pairs of images that are copies, and how alike they are: 1 for equal voxels."""
    images = [image for image in images_of(subject) if not is_constant(image.digest)]
    by_content: dict[str, list[int]] = {}
    for place, image in enumerate(images):
        by_content.setdefault(image.digest.content, []).append(place)
    found = {pair: 1.0 for places in by_content.values() for pair in combinations(places, 2)}
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        if (
            not is_mask(image.digest)
            and not image.digest.unusable
            and min(image.digest.small.shape) >= _LEAST_EDGE
        ):
            by_shape.setdefault(image.digest.small.shape, []).append(place)
    for places in by_shape.values():
        details = np.stack([detail(images[place].digest.small) for place in places])
        for a, b, value in _alike(details):
            one, other = images[places[a]], images[places[b]]
            if value >= (SCANNED_ONCE if _is_repeat(one, other) else COPY):
                found.setdefault((places[a], places[b]), value)
    return [(images[a], images[b], value) for (a, b), value in sorted(found.items())]


def detail(small: FloatArray) -> FloatArray:
    """What a Gaussian of one voxel smooths away, as a vector of length 1, or 0 where there is none."""
    volume = small.astype(np.float64)
    fine: DoubleArray = (volume - gaussian_filter(volume, 1.0)).ravel()
    length = float(np.linalg.norm(fine))
    # Rounding of float32 is no detail.
    is_rounding = length <= 1e-6 * float(np.abs(volume).max(initial=0.0)) * fine.size**0.5
    return np.asarray(np.zeros_like(fine) if is_rounding else fine / length, dtype=np.float32)


def _alike(details: FloatArray) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows whose correlation, or that of one's negative, reaches `COPY`."""
    for start in range(0, len(details), _BLOCK):
        likeness = np.abs(details[start : start + _BLOCK] @ details[start:].T)
        for a, b in np.argwhere(np.triu(likeness >= COPY, 1)).tolist():
            yield start + a, start + b, float(likeness[a, b])


def _is_repeat(one: Image, other: Image) -> bool:
    """Whether they show one sequence of one participant at two visits by [repeats]."""
    same = (one.participant, one.file.name) == (other.participant, other.file.name)
    return same and one.file.kind != other.file.kind


def _alikeness(value: float) -> str:
    return "equal in every voxel" if value == 1.0 else f"alike (correlation of the detail {value:.4f})"


def _repeat(pair: Pair) -> Finding:
    one, other, value = pair
    if one.file.kind == "repeat":
        one, other = other, one
    return Finding(
        "warning",
        "repeat-copied",
        other.file.label,
        f"a repeat must be scanned anew, but it is {_alikeness(value)} with {one.file.label}.",
        "Put the second scan there or remove the file: agreement with itself measures nothing.",
        one.participant,
        one.biopsies,
    )


def _sequence(pair: Pair) -> Finding:
    one, other, value = pair
    return Finding(
        "warning",
        "sequence-copied",
        other.file.label,
        f"files of one participant must show different images, but it is {_alikeness(value)} with "
        f"{one.file.label}.",
        "Was one file copied under another name? Export the right one, or remove it.",
        one.participant,
        tuple(dict.fromkeys((*one.biopsies, *other.biopsies))),
    )


def _participants(first: str, second: str, pairs: Sequence[Pair]) -> Finding:
    one, other, value = pairs[0]
    files = named([pair[1].file.label for pair in pairs[1:]])
    more = f" So are {files}." if files else ""
    return Finding(
        "warning",
        "participant-copied",
        other.file.label,
        f"participants must have images of their own, but it is {_alikeness(value)} with {one.file.label}."
        f"{more}",
        f"Are {first} and {second} one person under two ids, or was a file copied to the wrong folder?",
        second,
        other.biopsies,
    )
