"""What quality control looks at: the tables of a cohort and a digest of each of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.geometry import Grid
from data_prep.records import Biopsy, Cohort
from data_prep.volumes import Volume

_EDGE: Final = 32  # voxels of a small volume, at most


@dataclass(frozen=True, eq=False)
class Digest:
    """What one reading of a volume's voxels leaves; values are intensities, scaled.

    Attributes:
        low: The least value.
        high: The greatest value.
        mean: Of all finite voxels.
        std: Likewise.
        zeros: Share of voxels that are exactly 0.
        negative: Share of voxels below 0.
        unusable: Number of voxels that are NaN or infinite.
        at_top: Share of the voxels that are not zero which hold the greatest value.
        at_bottom: Share of the voxels that are not zero which hold the least value among them.
        content: sha256 of the scaled voxels in canonical order, as little-endian float32.
        small: The volume in canonical order, block-averaged to at most 32 voxels an edge; float32.
        enclosed: As `at_bottom`, but without the background, whose voxels touch each other all the way to the
            volume's rim; 0 where `at_bottom` is below a thousandth or the next value is as frequent.
    """

    low: float
    high: float
    mean: float
    std: float
    zeros: float
    negative: float
    unusable: int
    at_top: float
    at_bottom: float
    content: str
    small: FloatArray
    enclosed: float = 0.0


@dataclass(frozen=True, eq=False)
class File:
    """One image or mask.

    Attributes:
        name: The sequence, or the mask's name ("brain", "tumor").
        kind: "image", "mask" or "repeat".
        label: Its path as problems quote it.
        volume: Its header; None where that cannot be read.
        sform: Shape (4, 4); None where the header's sform_code is 0.
        qform: Likewise.
        digest: None where the header or the voxels cannot be read to their end.
        problem: Why not, None if they can.
        fault: The kind of `problem`: "empty" (no byte in it), "truncated" (its end is missing), "damaged" (a
            wrong checksum), "forbidden" (no permission), "unsuitable" (a volume of another kind: of four
            dimensions, in colour, complex), or "unreadable" (it is something else).
    """

    name: str
    kind: str
    label: str
    volume: Volume | None
    sform: DoubleArray | None
    qform: DoubleArray | None
    digest: Digest | None
    problem: str | None
    fault: str | None = None


@dataclass(frozen=True, eq=False)
class Region:
    """Which sites of a visit fall into one part of its images.

    Attributes:
        inside: By name of the reading (`conventions.READINGS`), shape (k,): whether the site falls into it.
        gap: Shape (k,): mm from the site, read as cohort.toml says, to the part's nearest voxel; 0 inside.
    """

    inside: Mapping[str, BoolArray]
    gap: DoubleArray


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the sites of a visit fall, read as cohort.toml says and in the other ways that are usual.

    Attributes:
        grid: The one that most of the images have; `voxels` are in it.
        voxels: Canonical voxels of the sites, read as cohort.toml says, shape (k, 3); may lie outside.
        inside: By name of the reading, shape (k,): whether the site falls into the image.
        regions: "tumor" and "brain" where there is such a mask that can be read, "head" where there is air.
        spill: Share of the tumour mask that lies outside the brain mask, None unless both are at hand.
    """

    grid: Grid
    voxels: IntArray
    inside: Mapping[str, BoolArray]
    regions: Mapping[str, Region]
    spill: float | None


@dataclass(frozen=True, eq=False)
class Visited:
    """The biopsies that see the same files, and these.

    Attributes:
        biopsies: In the order of the table; of one participant unless several share their files.
        images: By sequence.
        masks: By name.
        repeats: Images of the second scan, by sequence.
        placement: Where the sites fall; None where no header can be read.
    """

    biopsies: tuple[Biopsy, ...]
    images: Mapping[str, File]
    masks: Mapping[str, File]
    repeats: Mapping[str, File]
    placement: Placement | None = None

    @property
    def participant(self) -> str:
        """Whose files they are."""
        return self.biopsies[0].participant_id

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the biopsies."""
        return tuple(biopsy.biopsy_id for biopsy in self.biopsies)

    @property
    def files(self) -> tuple[File, ...]:
        """All of them."""
        return (*self.images.values(), *self.masks.values(), *self.repeats.values())


@dataclass(frozen=True, eq=False)
class Subject:
    """A cohort as far as it can be read.

    Attributes:
        cohort: With the rows of its tables that are sound.
        problems: What is wrong with cohort.toml and the tables, a line each, as `read_cohort` says it.
        visits: In the order of their first biopsy.
    """

    cohort: Cohort
    problems: tuple[str, ...]
    visits: tuple[Visited, ...]


def block_steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels of a block along each axis, so that no edge of the small volume exceeds 32.

    >>> block_steps((256, 64, 33)), block_steps((32, 20, 1))
    ((8, 2, 2), (1, 1, 1))
    """
    return tuple(-(-size // _EDGE) for size in shape)


def block_averaged(volume: FloatArray) -> FloatArray:
    """A volume averaged over blocks of `block_steps`; what is left over is cut off."""
    steps = block_steps(volume.shape)
    cut = volume[tuple(slice(0, size // step * step) for size, step in zip(volume.shape, steps, strict=True))]
    shape = [part for size, step in zip(cut.shape, steps, strict=True) for part in (size // step, step)]
    return np.asarray(cut.reshape(shape).mean(axis=(1, 3, 5)), dtype=np.float32)
