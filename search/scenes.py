"""Other patches than the biopsies' that a fold's model scores too: second scans, and lattices for maps.

A scene is of participants, by their ids: a fold's model is shown those held out from it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from data_prep.arrays import IntArray
from data_prep.cache import load_patches
from data_prep.map_sites import MapSites, Spread, map_sites
from data_prep.patches import PatchRequest, PatchSet
from data_prep.problems import InputError
from data_prep.records import Cohort
from data_prep.repeats import second_scans
from search.material import Material, Progress
from search.refits.fit import Fit

SECOND, MAP_FIRST, MAP_SECOND = "second", "map-first", "map-second"

MOST_SITES = 256
"""Sites of a lattice that a participant may have."""
MOST_BYTES = 2**28
"""What the patches of one lattice may take in memory, of all participants together."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Patches that are scored beside the biopsies of a fold.

    Attributes:
        name: Of the scene, as in `Fit.scenes`.
        source: The cohort of the patches, for the features of shallow models.
        patches: By the request of the study's own, but for the radius.
    """

    name: str
    source: Cohort
    patches: PatchSet


def map_scenes(stride_mm: float) -> tuple[str, str]:
    """Names of the lattice of this stride as the first scan and as the second shows it.

    >>> map_scenes(4.0)
    ('map-first:4', 'map-second:4')
    """
    return f"{MAP_FIRST}:{stride_mm:g}", f"{MAP_SECOND}:{stride_mm:g}"


class Scenes:
    """The scenes of a study, each loaded once.

    Args:
        material: The study's dataset.
        radius: The largest that a trial may ask for.
        cache: Keeps patches, by content.
    """

    def __init__(self, material: Material, radius: int, cache: Path) -> None:
        self._material, self._radius, self._cache = material, radius, cache
        self._whole: dict[str, Scene] = {}
        self._lattices: dict[float, MapSites] = {}
        self._shown: dict[str, tuple[tuple[int, ...], Scene]] = {}

    def whole(self, name: str, progress: Progress | None = None) -> Scene:
        """A scene with all its participants.

        Args:
            name: `SECOND`, or one of `map_scenes`.
            progress: Called with participants done and in all while volumes are read.

        Raises:
            InputError: The cohort has no second scans; no such scene; every problem of the images.
        """
        if name not in self._whole:
            source, request = self._source(name), self._request(name)
            patches = load_patches(source, request, self._cache, progress)
            self._whole[name] = Scene(name, source, patches)
        return self._whole[name]

    def second(self, progress: Progress | None = None) -> Scene:
        """The second scans of the biopsies, as `whole`."""
        return self.whole(SECOND, progress)

    def maps(self, stride_mm: float, progress: Progress | None = None) -> tuple[Scene, Scene]:
        """The lattice of a stride by the first scan and by the second, as `whole`."""
        one, other = map_scenes(stride_mm)
        return self.whole(one, progress), self.whole(other, progress)

    def rows(self, name: str, fit: Fit) -> IntArray:
        """The rows of a whole scene that are of participants held out from a fit.

        Whoever has a biopsy in training, or among those that training is stopped by, is none of them.
        """
        who = self._material.patches.participant_id
        learned_from = {who[row] for row in (*fit.train, *(fit.stop or ()))}
        held_out = {who[row] for row in fit.test} - learned_from
        names = self.whole(name).patches.participant_id
        return np.array([row for row, one in enumerate(names) if one in held_out], dtype=np.int64)

    def held_out(self, fit: Fit) -> tuple[Scene, ...]:
        """The scenes of a fit, their patches restricted to `rows`; those without any are left out."""
        found = []
        for name in fit.scenes:
            rows = self.rows(name, fit)
            if len(rows):
                found.append(self._restricted(name, rows))
        return tuple(found)

    def lattice(self, stride_mm: float, progress: Progress | None = None) -> MapSites:
        """The lattice of a stride, over the participants of the study who were scanned twice.

        Raises:
            InputError: As `whole`; or no node of the lattice lies where it should.
        """
        if stride_mm not in self._lattices:
            request = self._material.patches.request
            spread = Spread(stride_mm, self.most, request.resample_to)
            found = map_sites(self._cohort, request.sequences, spread, progress)
            if found is None or not found.cohort.biopsies:
                raise InputError(
                    f"--stride: a lattice of {stride_mm:g} mm has no site in any tumour; try less"
                )
            self._lattices[stride_mm] = found
        return self._lattices[stride_mm]

    def _restricted(self, name: str, rows: IntArray) -> Scene:
        """A copy of some rows; the last one is kept, as fits of a fold follow each other."""
        key = tuple(rows.tolist())
        if self._shown.get(name, ((), None))[0] != key:
            scene = self.whole(name)
            self._shown[name] = key, replace(scene, patches=scene.patches.take(rows))
        return self._shown[name][1]

    def _source(self, name: str) -> Cohort:
        kind, _, stride = name.partition(":")
        if kind == SECOND:
            return self._second(self._cohort)
        if kind not in (MAP_FIRST, MAP_SECOND):
            raise InputError(f"scene: '{SECOND}' or one of a map is needed, but got '{name}'")
        sites = self.lattice(float(stride)).cohort
        return sites if kind == MAP_FIRST else self._second(sites)

    def _second(self, cohort: Cohort) -> Cohort:
        again = second_scans(cohort)
        if again is None:
            raise InputError(no_repeats(cohort))
        return again

    def _request(self, name: str) -> PatchRequest:
        """The study's own, so that its cache serves; of maps without what augmentation needs."""
        own = self._material.patches.request
        return own if name == SECOND else replace(own, radius=min(own.radius, self._radius))

    @cached_property
    def _cohort(self) -> Cohort:
        """The cohort with the biopsies of the study alone."""
        kept = set(self._material.patches.biopsy_id)
        source = self._material.source
        return replace(source, biopsies=tuple(b for b in source.biopsies if b.biopsy_id in kept))

    @property
    def most(self) -> int:
        """Sites of a lattice that a participant may have, so that all fit into memory."""
        request = self._request(MAP_FIRST)
        voxels = (2 * request.radius + 1) ** 2 * request.slices * len(request.sequences)
        site = voxels * np.dtype(np.float32).itemsize
        again = second_scans(self._cohort)
        people = len(again.participants) if again else 1
        return max(1, min(MOST_SITES, MOST_BYTES // (site * people)))


def no_repeats(cohort: Cohort) -> str:
    """Why a cohort has no second scans, and what to do."""
    repeats = cohort.file.repeats
    if repeats is None:
        return 'cohort.toml: repeats: second scans are needed: declare [repeats] with images = "..."'
    return f"cohort.toml: repeats.images: second scans are needed, but no file fits {repeats.images}"
