"""How far features agree between two scans: those that the models read, or that the ladder would read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.features import FeatureTable, load_features
from data_prep.fold_input import fit_input
from models.registry import BASELINES
from search.metrics import Ints
from search.records import TrialConfig
from search.retest.plan import Plan
from search.scenes import SECOND
from search.statistics.agreement import Drawn, Measure, icc

OF_NETWORKS = ("roi_means", "texture")
"""A network's own features have no names: those of the shallow ladder on its patches stand in."""
GOOD, EXCELLENT = 0.75, 0.90
"""Koo and Li (2016), Journal of Chiropractic Medicine 15, 155-163."""


@dataclass(frozen=True)
class FeatureSet:
    """Features of one name on patches of one size.

    Attributes:
        name: Of `data_prep.features.FEATURE_SETS`.
        radius: In voxels.
        stands_in: Whether nobody reads them but networks of that radius, which read the patches themselves.
    """

    name: str
    radius: int
    stands_in: bool


@dataclass(frozen=True)
class FeatureAgreement:
    """One feature on both scans.

    Attributes:
        set: Of features.
        feature: Its name.
        sites: Biopsies that have it on both scans.
        icc: ICC(A,1).
    """

    set: FeatureSet
    feature: str
    sites: int
    icc: Measure


def sets_read(configs: Sequence[TrialConfig]) -> tuple[FeatureSet, ...]:
    """The feature sets of intensities that some configurations read, each once.

    What reads no intensities (a constant, the location, which sequences there are) has none.
    """
    found: dict[tuple[str, int], bool] = {}
    for config in configs:
        name = str(config.settings["architecture"])
        stands_in = name not in BASELINES
        names = OF_NETWORKS if stands_in else (BASELINES[name].features,)
        for one in names:
            if one in OF_NETWORKS:
                key = one, int(config.settings["patch_radius"])
                found[key] = stands_in and found.get(key, True)
    return tuple(FeatureSet(one, radius, stands_in) for (one, radius), stands_in in found.items())


def feature_agreement(plan: Plan, cache: Path) -> list[FeatureAgreement]:
    """The agreement of each feature, the best first, those without an ICC last.

    Where images are normalised by the training fold, features are measured as a fold of all biopsies would
    give them: no model is fitted here, and nothing is predicted.

    Args:
        plan: Its configurations, and the second scans.
        cache: Keeps features, by content.

    Raises:
        InputError: The cache cannot be written.
    """
    found = [one for each in sets_read(plan.configs) for one in _set_agreement(plan, each, cache)]
    return sorted(found, key=lambda one: -np.inf if one.icc.value is None else one.icc.value, reverse=True)


def _set_agreement(plan: Plan, features: FeatureSet, cache: Path) -> Iterator[FeatureAgreement]:
    first, second, who = _tables(plan, features, cache)
    draws: dict[bytes, Drawn] = {}
    for column, name in enumerate(first.names):
        values = np.stack([first.values[:, column], second.values[:, column]], axis=1)
        known = np.isfinite(values).all(axis=1)
        drawn = draws.setdefault(known.tobytes(), Drawn(who[known]))
        yield FeatureAgreement(features, name, int(known.sum()), icc(values[known], "A", drawn))


def _tables(plan: Plan, features: FeatureSet, cache: Path) -> tuple[FeatureTable, FeatureTable, Ints]:
    """Both scans' features of the biopsies that were scanned twice, and the participant of each."""
    material, scene = plan.material, plan.scenes.whole(SECOND)
    place = {biopsy: row for row, biopsy in enumerate(material.patches.biopsy_id)}
    rows = np.array([place[biopsy] for biopsy in scene.patches.biopsy_id], dtype=np.int64)
    everybody = np.arange(len(material.patches))
    view = fit_input(material.patches, everybody, features.radius, "zero")
    tables = [
        load_features(features.name, source, view.normalised(patches), features.radius, cache)
        for source, patches in ((material.source, material.patches.take(rows)), (scene.source, scene.patches))
    ]
    return tables[0], tables[1], material.participant[rows]
