"""How far a place lies from the training patches: what a model is shown there may be nothing it ever learned.

Of each sequence two numbers describe a patch: mean and standard deviation of its intensities, in the units of
the training set. A place's distance is that of Mahalanobis by the shrunken covariance of Ledoit and Wolf,
over the sequences that it has: the root of the mean square a number, so that 1 is usual whatever they are.

Of each fold there is a reference without its biopsies: the whole one contains those that were held out, and
would find them nearer than anybody new can be.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.covariance import LedoitWolf

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.files import whole_file
from data_prep.fold_input import FoldInput, fit_input
from data_prep.intensity import LANDMARKS
from data_prep.patch_set import PatchSet
from data_prep.plain_files import read_plain
from data_prep.problems import InputError
from data_prep.saved_input import read_input, write_input
from search.deployment.facts import REFERENCE, REFERENCE_INPUT
from search.deployment.reference_facts import ReferenceFacts

SHARE: Final = 0.99
"""Of the training biopsies, those nearest to the other participants': what is farther is unlike them."""

ROUNDING: Final = 1e-6
"""A number that varies by less, relative to its mean, varies by the rounding of single precision."""

# A thousand sequences take it.
_MAX_BYTES: Final = 2**25

_BROKEN: Final = (OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, OverflowError)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Where numbers usually lie, of which any may be absent.

    Attributes:
        mean: Of d numbers, shape (d,).
        deviation: Standard deviation of each, shape (d,); 0 for one that never varies, or that nobody has:
            it is not looked at.
        covariance: Of those that vary, in units of their deviation, shape (d, d); 0 elsewhere.
    """

    mean: DoubleArray
    deviation: DoubleArray
    covariance: DoubleArray

    def distance(self, values: DoubleArray) -> DoubleArray:
        """Root of the mean squared Mahalanobis distance a number, shape (n,); NaN where all are absent.

        Args:
            values: Shape (n, d), NaN where absent.
        """
        varies = self.deviation > 0
        unit = (values - self.mean)[:, varies] / self.deviation[varies]
        covariance = self.covariance[np.ix_(varies, varies)]
        patterns, which = np.unique(~np.isnan(unit), axis=0, return_inverse=True)
        distance = np.full(len(values), np.nan)
        for number, present in enumerate(patterns):
            rows = np.flatnonzero(which == number)
            if present.any():
                lower = np.linalg.cholesky(covariance[np.ix_(present, present)])
                white = solve_triangular(lower, unit[np.ix_(rows, present)].T, lower=True)
                distance[rows] = np.sqrt(np.mean(white**2, axis=0))
        return distance


@dataclass(frozen=True, eq=False)
class Reference:
    """The training patches, as far as new ones are held against them.

    Attributes:
        view: Units of the training set, and the radius of the patches that are described.
        gaussian: Of their numbers.
        cut: What is farther is unlike them.
    """

    view: FoldInput
    gaussian: Gaussian
    cut: float

    def distance(self, patches: PatchSet) -> DoubleArray:
        """Distance of each patch from the training set, shape (n,); NaN where it has no sequence at all.

        Args:
            patches: Of the request of the training set, in units of each image.

        Raises:
            ValueError: They are of other sequences, slices or methods.
        """
        return self.gaussian.distance(describe(self.view, patches))

    def unlike(self, distance: DoubleArray) -> BoolArray:
        """Whether distances (n,) are beyond the cut, also where nothing is known of a place; shape (n,)."""
        return ~(distance <= self.cut)


def fit_reference(patches: PatchSet, rows: IntArray, radius: int, missing: str) -> Reference:
    """Describe the training patches.

    The cut is the distance within which 99 % of the training biopsies lie from the others': each by mean and
    covariance without its own participant, as a new participant will be.

    Args:
        patches: Of the whole cohort.
        rows: The training biopsies: all, or those of other folds than one.
        radius: Of the patches to describe, at most theirs.
        missing: As in `inputs.channel_layout`.
    """
    view = fit_input(patches, rows, radius, missing)
    train = patches.take(rows)
    values = describe(view, train)
    distance = left_out(values, train.participant_id)
    known = distance[~np.isnan(distance)]
    cut = float(np.quantile(known, SHARE, method="inverted_cdf")) if len(known) else 0.0
    return Reference(view, fit_gaussian(values), cut)


def describe(view: FoldInput, patches: PatchSet) -> DoubleArray:
    """Mean of each of C sequences over the patch, then its standard deviation, shape (n, 2 * C).

    Voxels beyond the grid count as air, as they do for a network. NaN where a sequence is absent, or where
    nobody in the training set had it.

    Args:
        view: Units and radius.
        patches: As of `view`.
    """
    normal = view.normalised(patches)
    images = normal.images(view.radius)
    count = len(view.sequences)
    voxels = images.reshape(len(images), -1, count)
    mean = voxels.mean(axis=1, dtype=np.float64)
    # In two passes: the square of a mean may be far larger than a variance.
    deviation = np.sqrt(np.mean((voxels - mean[:, None, :]) ** 2, axis=1))
    return np.where(np.tile(normal.present, 2), np.concatenate([mean, deviation], axis=1), np.nan)


def fit_gaussian(values: DoubleArray) -> Gaussian:
    """Mean, deviation and shrunken covariance of the rows.

    Absent numbers count as the mean while the covariance is fitted, which is then brought back to what the
    present ones vary by: entry i, j is divided by the root of the shares of rows that have i and that have j.

    The covariance is shrunk by at least one part in n. Of Gaussian rows Ledoit and Wolf expect no less than
    two, but two rows that differ in everything shrink by nothing at all, and have no distance then.

    Args:
        values: Shape (n, d), NaN where absent.

    References:
        Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, values, 0.0).sum(axis=0) / count
    apart = np.where(present, values - mean, 0.0)
    deviation = np.sqrt((apart**2).sum(axis=0) / count)
    varies = deviation > ROUNDING * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)
    deviation = np.where(varies, deviation, 0.0)
    covariance = np.zeros((len(mean), len(mean)))
    if varies.any():
        unit = apart[:, varies] / deviation[varies]
        fitted = _shrunk(unit)
        share = np.sqrt(present[:, varies].mean(axis=0))
        covariance[np.ix_(varies, varies)] = fitted / np.outer(share, share)
    return Gaussian(mean, deviation, covariance)


def _shrunk(unit: DoubleArray) -> DoubleArray:
    """The covariance of centred rows, shape (n, d), as `fit_gaussian` has it."""
    found, least = LedoitWolf(assume_centered=True).fit(unit), 1 / len(unit)
    if found.shrinkage_ >= least:
        return np.asarray(found.covariance_)
    plain = unit.T @ unit / len(unit)
    return (1 - least) * plain + least * np.mean(np.diag(plain)) * np.eye(len(plain))


def left_out(values: DoubleArray, participants: Sequence[str]) -> DoubleArray:
    """Distance of each row from those of the other participants, shape (n,).

    Args:
        values: Shape (n, d), NaN where absent.
        participants: Whose each row is, n names.
    """
    whose = np.asarray(participants, dtype=str)
    distance = np.full(len(values), np.nan)
    for one in np.unique(whose):
        own = whose == one
        if not own.all():
            distance[own] = fit_gaussian(values[~own]).distance(values[own])
    return distance


def write_reference(reference: Reference, folder: Path) -> None:
    """Write what `read_reference` reads into a model folder, as arrays alone."""
    write_input(reference.view, folder / REFERENCE_INPUT)
    gaussian, buffer = reference.gaussian, io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        mean=gaussian.mean,
        deviation=gaussian.deviation,
        covariance=gaussian.covariance,
        cut=np.array(reference.cut),
    )
    with whole_file(folder / REFERENCE) as new:
        new.write_bytes(buffer.getvalue())


def read_reference(folder: Path) -> Reference:
    """What `write_reference` wrote, bit by bit.

    Raises:
        InputError: A file is absent, damaged, or says what cannot be.
    """
    view, path = read_input(folder / REFERENCE_INPUT), folder / REFERENCE
    try:
        gaussian, cut = _read(read_plain(path, _MAX_BYTES), 2 * len(view.sequences))
    except (*_BROKEN, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: the reference must be readable, but the file is absent or damaged. "
            "Make the model again: radsearch refit."
        ) from error
    return Reference(view, gaussian, cut)


def _read(content: bytes, size: int) -> tuple[Gaussian, float]:
    """The arrays of an archive, none of which may be larger than the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(content):
            raise ValueError("its parts claim more than its size")
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        arrays = {name: np.asarray(kept[name]) for name in ("mean", "deviation", "covariance", "cut")}
    shapes = [array.shape for array in arrays.values()]
    if shapes != [(size,), (size,), (size, size), ()] or {a.dtype.str for a in arrays.values()} != {"<f8"}:
        raise ValueError(f"arrays of {size} numbers are needed, but got {shapes}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("finite numbers are needed")
    gaussian = Gaussian(arrays["mean"], arrays["deviation"], arrays["covariance"])
    _check_covariance(gaussian)
    return gaussian, float(arrays["cut"])


def _check_covariance(gaussian: Gaussian) -> None:
    """Refuse what gives no distances.

    Raises:
        ValueError: A covariance that is none: not symmetric, or not positive definite.
    """
    varies = gaussian.deviation > 0
    covariance = gaussian.covariance[np.ix_(varies, varies)]
    if not np.allclose(covariance, covariance.T, rtol=1e-9, atol=1e-12):
        raise ValueError("a symmetric covariance is needed")
    np.linalg.cholesky(covariance)  # its error is a ValueError


def facts_of_reference(reference: Reference) -> ReferenceFacts:
    """The numbers of a reference, for `model.json`."""
    view, gaussian = reference.view, reference.gaussian
    return ReferenceFacts(
        known=tuple(view.known.tolist()),
        location=tuple(view.location.tolist()),
        spread=tuple(view.spread.tolist()),
        standard=tuple(map(tuple, view.standard.tolist())),
        mean=tuple(gaussian.mean.tolist()),
        deviation=tuple(gaussian.deviation.tolist()),
        covariance=tuple(map(tuple, gaussian.covariance.tolist())),
        cut=reference.cut,
    )


def reference_of_facts(facts: ReferenceFacts, whole: Reference) -> Reference:
    """A fold's reference, bit by bit.

    Args:
        facts: What `facts_of_reference` said.
        whole: Of the same model: patches are of the same sequences, methods and radius.

    Raises:
        InputError: The numbers are not as many as there must be, or say what cannot be.
    """
    count = len(whole.view.sequences)
    shapes = {
        "known": (count,),
        "location": (count,),
        "spread": (count,),
        "standard": (count, LANDMARKS),
        "mean": (2 * count,),
        "deviation": (2 * count,),
        "covariance": (2 * count, 2 * count),
    }
    try:
        arrays = {name: np.array(getattr(facts, name), dtype=np.float64) for name in shapes}
        if any(arrays[name].shape != shape for name, shape in shapes.items()):
            raise ValueError(f"numbers of {count} sequences are needed")
        if not (arrays["spread"] > 0).all():
            raise ValueError("spreads above 0 are needed")
        gaussian = Gaussian(arrays["mean"], arrays["deviation"], arrays["covariance"])
        _check_covariance(gaussian)
    except ValueError as error:
        raise InputError(f"the training patches of a fold must be told in full, but: {error}") from error
    view = replace(
        whole.view,
        known=arrays["known"].astype(np.bool_),
        location=arrays["location"],
        spread=arrays["spread"],
        standard=arrays["standard"],
        fill=None,  # absent sequences are not described: nothing stands in for them
    )
    return Reference(view, gaussian, facts.cut)
