"""By which an image is known again, whoever it is said to be of, without its name or its numbers.

An imprint is the sha256 of an image's shape and intensities in canonical order, in single precision. It does
not hang on how the file stores them (order, type, scaling, compression), nor on where the header says they
lie: single-precision affines differ from one order of storage to another, and an image that was only moved is
the same image. One voxel that differs gives another imprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.arrays import FloatArray
from data_prep.problems import InputError, Problems
from data_prep.records import Biopsy, Cohort
from data_prep.survey import Progress, in_parallel
from data_prep.volumes import open_volume, read_volume


def imprint(canonical: FloatArray) -> str:
    """Of the voxels of a canonical volume."""
    digest = hashlib.sha256(repr(canonical.shape).encode())
    for index in range(canonical.shape[2]):
        # A zero has a sign, which storage in whole numbers loses.
        plane = canonical[:, :, index] + np.float32(0)
        digest.update(np.ascontiguousarray(plane, dtype="<f4").data)
    return digest.hexdigest()


def imprints_of(
    cohort: Cohort, biopsies: Sequence[Biopsy], sequences: Sequence[str], progress: Progress | None = None
) -> tuple[str, ...]:
    """The imprints of all images of some biopsies, such as those of one participant.

    Args:
        cohort: The cohort.
        biopsies: Some of its biopsies; those that see the same files add nothing.
        sequences: Those whose images count.
        progress: Called with (done, total) files, from this thread.

    Returns:
        Sorted, each once. Images that are the same everywhere tell nobody from anybody and have none.

    Raises:
        InputError: Every file that cannot be read.
    """
    every = [cohort.images(biopsy, tuple(sequences)).values() for biopsy in biopsies]
    paths = list(dict.fromkeys(path for files in every for path in files))
    problems = Problems()
    found = set()
    for path, one in zip(paths, in_parallel(_imprint_of, paths, progress), strict=True):
        if isinstance(one, InputError):
            problems.add(cohort.label_of(path), str(one))
        elif one is not None:
            found.add(one)
    problems.raise_any()
    return tuple(sorted(found))


def _imprint_of(path: Path) -> str | InputError | None:
    """None where the image does not vary."""
    try:
        voxels = read_volume(open_volume(path))
    except InputError as error:
        return error
    return imprint(voxels) if voxels.min() < voxels.max() else None
