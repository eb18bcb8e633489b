"""What was planted in a phantom, voxel by voxel, on the grid of whoever asks: its `truth/` folder read back.

The truth of a map is what the labels follow: the field z, of an interaction the product of the two. A phantom
without signal plants fields in its images as well, but its labels follow others, which no image shows: these
are its truth, drawn once more from the seed. Of a second scan, whose head lies 0.5 mm away, it is that of the
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.ndimage import affine_transform

from data_prep.arrays import FloatArray
from data_prep.cohort import Cohort
from data_prep.geometry import Grid, between, overlap, ras_sign, same_places
from data_prep.phantom.fields import draw_field
from data_prep.phantom.hidden import Field, Hidden, draw_hidden
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.map_bound import Reach, map_bound
from data_prep.phantom.placing import draw_affine, stored_grid
from data_prep.phantom.plan import Plan, make_plan
from data_prep.phantom.tables import GENES
from data_prep.phantom.truth_files import SITES, TrueSites, read_answers, read_field, read_true_sites
from data_prep.phantom.views import Axes
from data_prep.problems import InputError, named, nearest

_DEVIATIONS: Final = 6.0  # of the site's error, and a mm: no recorded site lies farther from the true one
_ROUNDING: Final = 1e-3  # of a field at a site that is written to a ten thousandth of a mm


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth of a phantom.

    Attributes:
        folder: Where it lies.
        plan: The phantom's plan, drawn from its spec.
        sites: Where its biopsies were taken.
        hashes: sha256 of its files by their path in its folder.
    """

    folder: Path
    plan: Plan
    sites: TrueSites
    hashes: Mapping[str, str]

    @property
    def is_null(self) -> bool:
        """Whether no image shows what the labels follow."""
        return self.plan.spec.signal == "none"

    @property
    def length_mm(self) -> float:
        """Correlation length l of each field: `exp(-d^2 / 2 l^2)`."""
        return self.plan.spec.model.length

    @staticmethod
    def is_followed_by(label: str) -> bool:
        """Whether a label follows the field: a gene that does, or several with one that does ("CD3D+GFAP").

        The others are noise of each biopsy alone, of which there is no map.
        """
        return any(GENES[gene][1] != 0 for gene in label.split("+") if gene in GENES)

    def check_labels(self, labels: Sequence[str]) -> None:
        """Refuse labels none of which follows the field.

        Raises:
            InputError: None does.
        """
        if not any(map(self.is_followed_by, labels)):
            genes = ", ".join(gene for gene in GENES if self.is_followed_by(gene))
            raise InputError(
                f"--score: a label that follows what was planted is needed, made of {genes}, but the model's "
                f"are {named(labels)}"
            )

    def field(self, participant: str, grid: Grid) -> FloatArray:
        """What the labels of one participant follow.

        Args:
            participant: Their id.
            grid: Wherever its voxels lie in the world, in whatever order they are stored.

        Returns:
            Of the grid's canonical shape. On the phantom's own voxels as planted; elsewhere interpolated by a
            cubic spline, NaN beyond the phantom's field of view.

        Raises:
            InputError: An unknown participant, a grid that lies elsewhere, a file that is damaged or was
                changed, a seed that draws other fields than those of the labels.
        """
        index = self._index(participant)
        if self.is_null:
            planted, own = self._drawn(index)
        else:
            planted, own = read_field(self.folder, participant, self.hashes)
        if same_places(grid, own):
            return planted
        if not overlap(grid, own):
            raise InputError(
                f"{self.folder}: the truth of {participant} must lie where the images are, but shares no "
                "place with them. Is it that of another cohort?"
            )
        turn, shift = between(grid, own)
        moved = affine_transform(
            planted, turn, shift, output_shape=grid.canonical_shape, order=3, mode="constant", cval=np.nan
        )
        return np.asarray(moved, np.float32)

    def bound(self, participant: str, reach: Reach) -> float | None:
        """The largest correlation that a map of patches can have with the field; None of a null phantom.

        Raises:
            InputError: An unknown participant.
        """
        index = self._index(participant)
        return None if self.is_null else map_bound(self.plan, index, reach)

    def alike(self, rng: np.random.Generator, axes: Axes) -> FloatArray:
        """Another field by the law of this one, on the grid of three axes in mm from 0; shape (a, b, c)."""
        spec, model = self.plan.spec, self.plan.spec.model
        size = int(np.ceil(max(float(axis[-1]) for axis in axes))) + 1
        levels = model.tau2**0.5 * rng.standard_normal(spec.fields)
        drawn = [Field(float(level), draw_field(size, model.length, rng), model.tau2) for level in levels]
        return Hidden(tuple(drawn)).at(*axes, box=lattice_of(spec).box)

    def check(self, cohort: Cohort) -> None:
        """Refuse a cohort that this is not the truth of.

        Some of its participants must be known, and biopsies of known names lie where they were taken, up to
        the error of recording. Sites in voxels are not compared: where those lie, only a grid tells.

        Raises:
            InputError: It is another's.
        """
        law, hint = "must be the truth of the cohort", "Is it that of another?"
        if not set(cohort.participants) & set(self.plan.participants):
            theirs = named(cohort.participants)
            raise InputError(f"{self.folder}: {law}, but knows none of its participants ({theirs}). {hint}")
        if cohort.coordinates.space == "voxel":
            return
        rows = {name: row for row, name in enumerate(self.sites.biopsy_id)}
        known = [biopsy for biopsy in cohort.biopsies if biopsy.biopsy_id in rows]
        sign, most = ras_sign(cohort.coordinates), _DEVIATIONS * self.plan.spec.site_error + 1
        for biopsy in known:
            true = self.sites.world[rows[biopsy.biopsy_id]]
            apart = float(np.linalg.norm(sign * np.array(biopsy.position) - true))
            if apart > most:
                raise InputError(
                    f"{self.folder}: {law}, a biopsy within {most:g} mm of where it was taken, but "
                    f"{biopsy.biopsy_id} lies {apart:.0f} mm away. {hint}"
                )

    def _index(self, participant: str) -> int:
        known = self.plan.participants
        if participant not in known:
            raise InputError(
                f"{self.folder}: the truth of every participant is needed, but got {participant!r}; "
                f"{nearest(participant, known)}"
            )
        return known.index(participant)

    def _drawn(self, index: int) -> tuple[FloatArray, Grid]:
        spec, hidden = self.plan.spec, draw_hidden(self.plan, index, "null")
        self._check_drawn(index, hidden)
        lattice = lattice_of(spec)
        volume, affine = stored_grid(spec, index).stored(hidden.at(*lattice.axes, box=lattice.box))
        grid = Grid((volume.shape[0], volume.shape[1], volume.shape[2]), affine)
        return np.asarray(grid.to_canonical(volume), np.float32), grid

    def _check_drawn(self, index: int, hidden: Hidden) -> None:
        """What is drawn must be what the labels were made from."""
        start = int(self.plan.counts[:index].sum())
        rows = slice(start, start + int(self.plan.counts[index]))
        inverse = np.linalg.inv(draw_affine(self.plan.spec, index))
        places = self.sites.world[rows] @ inverse[:3, :3].T + inverse[:3, 3]
        drawn = np.array([hidden.at(*place[:, None]).item() for place in places])
        if np.abs(drawn - self.sites.driver[rows]).max() > _ROUNDING:
            raise InputError(
                f"{self.folder / SITES}: must have what seed {self.plan.spec.seed} draws, but got other "
                f"fields for {self.plan.participants[index]}. Was the phantom written by another version?"
            )


def truth_of(folder: Path) -> Truth:
    """Open the truth of a phantom.

    Args:
        folder: The `truth` folder that `radsearch phantom` writes.

    Raises:
        InputError: It is not one, or was changed.
    """
    spec, hashes = read_answers(folder)
    return Truth(folder, make_plan(spec), read_true_sites(folder, spec.biopsies), hashes)
