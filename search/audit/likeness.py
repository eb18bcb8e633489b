"""Which images show the same head, whatever was done to their intensities."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray
from search.audit.scans import EDGE, Scan

CANDIDATE = 0.12  # unshifted likeness from which shifts are tried; a judgement
SAME = 0.65  # 64,000 pairs of unrelated phantoms reach 0.55, copies cropped by two voxels 0.78 and more
COPY = 0.97  # of two sequences of one participant, which show one head anyway; a judgement
LAGS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # blocks
WAVES = 8  # cycles across the window, up to which detail is compared; a judgement
LEAST = 8  # participants from which an average head is an average; a judgement
MIRRORS = ((), (0,), (1,), (2,))  # axes along which one of the two images is turned round
NOT_LOOKED_FOR = "rotated or stretched copies, and those that show another part of the head"
"""What images may have become so that `likenesses` does not find them."""

Complexes = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Likeness:
    """Two images that show the same.

    Attributes:
        one: Place of an image in the list.
        other: Of the other.
        value: Correlation of what is their own, at the best shift of up to a block; 1 for equal voxels.
    """

    one: int
    other: int
    value: float


def likenesses(scans: Sequence[Scan], among: Collection[int] | None = None) -> list[Likeness]:
    """Pairs of images that are copies: of different participants, or of two sequences of one.

    Heads are alike. What all have in common is taken out first: the mean image of each sequence, by
    projection. What is left of two unrelated heads hardly correlates, that of a copy does, also after a
    change of scale, rounding, some noise, a shift, a crop or a pad; mirrored and inverted copies are found by
    turning one image round and by correlations below zero. Images of few values, as masks, are not compared,
    and those of a sequence that fewer than eight participants have only voxel by voxel.

    Args:
        scans: The images.
        among: Only pairs with one of these images, by their place; None for all pairs.
    """
    chosen = set(range(len(scans)) if among is None else among)
    found = {(a, b): Likeness(a, b, 1.0) for a, b in _equal(scans) if {a, b} & chosen}
    places = comparable(scans)
    if not places:
        return sorted(found.values(), key=_order)
    spectra = _spectra([scans[place] for place in places])
    who = np.array(["\n".join(scans[place].participants) for place in places])
    for turned in spectra:
        for a, b in _candidates(spectra[0], turned, who):
            pair = (places[a], places[b])
            if not chosen & set(pair):
                continue
            value = _shifted(spectra[0][a], turned[b])
            best = found.get(pair, Likeness(*pair, 0.0)).value
            if value >= (SAME if who[a] != who[b] else COPY) and value > best:
                found[pair] = Likeness(*pair, round(value, 3))
    return sorted(found.values(), key=_order)


def comparable(scans: Sequence[Scan]) -> list[int]:
    """Places of the images that are compared by more than equal voxels."""
    people: dict[str, set[tuple[str, ...]]] = {}
    usable = [place for place, scan in enumerate(scans) if not scan.flat and scan.detail.any()]
    for place in usable:
        people.setdefault(scans[place].sequence, set()).add(scans[place].participants)
    return [place for place in usable if len(people[scans[place].sequence]) >= LEAST]


def _order(pair: Likeness) -> tuple[float, int, int]:
    return -pair.value, pair.one, pair.other


def _equal(scans: Sequence[Scan]) -> Iterator[tuple[int, int]]:
    """Pairs of equal voxels."""
    groups: dict[str, list[int]] = {}
    for place, scan in enumerate(scans):
        if not scan.flat:
            groups.setdefault(scan.content, []).append(place)
    for group in groups.values():
        yield from ((a, b) for index, a in enumerate(group) for b in group[index + 1 :])


def _spectra(scans: Sequence[Scan]) -> list[Complexes]:
    """What is each image's own, as waves, of length 1: as it is, then mirrored along each axis."""
    details = np.stack([scan.detail for scan in scans]).astype(np.float64)
    waves = _low_waves(details)
    means = np.stack([waves[rows].mean(axis=0) for rows in _rows_by_sequence(scans)])
    common = np.linalg.qr(_as_real(_moved(means)).T)[0]
    mirrored = (_low_waves(np.flip(details, tuple(axis + 1 for axis in axes))) for axes in MIRRORS)
    return [_own(each, common) for each in mirrored]


def _own(waves: npt.NDArray[np.complex128], common: DoubleArray) -> Complexes:
    """Waves without their part in the columns of `common`, of length 1."""
    real = _as_real(waves)
    own = real - (real @ common) @ common.T
    own /= np.maximum(np.sqrt((own**2).sum(axis=1, keepdims=True)), 1e-12)
    half = own.shape[1] // 2
    return np.asarray(own[:, :half] + 1j * own[:, half:], dtype=np.complex64).reshape(waves.shape)


def _moved(means: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """The means, also moved by a block along any axes: the head of a copy may be moved."""
    turns = [np.exp(2j * np.pi * np.outer((-1, 0, 1), _cycles(kept)) / EDGE) for kept in means.shape[1:]]
    moved: npt.NDArray[np.complex128] = np.einsum("mabc,xa,yb,zc->mxyzabc", means, *turns)
    return moved.reshape(-1, *means.shape[1:])


def _as_real(waves: npt.NDArray[np.complex128]) -> DoubleArray:
    flat = waves.reshape(len(waves), -1)
    return np.concatenate([flat.real, flat.imag], axis=1)


def _rows_by_sequence(scans: Sequence[Scan]) -> list[list[int]]:
    rows: dict[str, list[int]] = {}
    for row, scan in enumerate(scans):
        rows.setdefault(scan.sequence, []).append(row)
    return list(rows.values())


def _low_waves(images: DoubleArray) -> npt.NDArray[np.complex128]:
    """The waves of few cycles of each image, without their means."""
    waves = np.fft.fftn(images, axes=(1, 2, 3))
    waves[:, 0, 0, 0] = 0
    for axis, size in enumerate(images.shape[1:], start=1):
        waves = np.take(waves, np.flatnonzero(np.abs(_cycles(size)) <= WAVES), axis=axis)
    return waves


def _cycles(size: int) -> DoubleArray:
    return np.asarray(np.fft.fftfreq(size) * size)


def _candidates(spectra: Complexes, turned: Complexes, who: npt.NDArray[np.str_]) -> list[tuple[int, int]]:
    """Pairs worth a second look: of different participants, or of different sequences of one."""
    one, other = (_parts(each) for each in (spectra, turned))
    likeness: FloatArray = np.abs(one @ other.T)
    floor = np.where(who[:, None] == who, COPY, CANDIDATE)
    return [(int(a), int(b)) for a, b in np.argwhere(np.triu(likeness >= floor, 1))]


def _parts(spectra: Complexes) -> FloatArray:
    flat = spectra.reshape(len(spectra), -1)
    return np.concatenate([flat.real, flat.imag], axis=1)


def _shifted(one: Complexes, other: Complexes) -> float:
    """The largest correlation of two images, or of one's negative, over shifts by up to a block."""
    waves: npt.NDArray[np.complex128] = (one * other.conj()).astype(np.complex128)
    for kept in one.shape:
        turn = np.exp(2j * np.pi * np.outer(_cycles(kept), LAGS) / EDGE)
        waves = np.tensordot(waves, turn, axes=(0, 0))
    return float(np.abs(waves.real).max())
