"""Features by the name of their set, computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from data_prep.cache import cache_key
from data_prep.cohort import Cohort
from data_prep.features.location import location as locate
from data_prep.features.simple import missingness, roi_means
from data_prep.features.table import FeatureTable, read_features, write_features
from data_prep.features.texture import texture
from data_prep.files import FULL
from data_prep.patch_set import PatchSet
from data_prep.problems import InputError, nearest

# Raise it whenever the same patches would give other features.
_FORMAT = 1

_OF_PATCHES: dict[str, Callable[[PatchSet, int], FeatureTable]] = {
    "missingness": lambda patches, _: missingness(patches),
    "roi_means": roi_means,
    "texture": texture,
}

FEATURE_SETS = ("location", *_OF_PATCHES)


def features_of(
    name: str, patches: PatchSet, radius: int, location: FeatureTable | None = None
) -> FeatureTable:
    """The features of any patches, cohort or not, as `load_features` computes them.

    Args:
        name: One of `FEATURE_SETS`.
        patches: In units of a spread where `name` is "texture".
        radius: As in `load_features`.
        location: Of each patch, as `features.location` has it; needed where `name` is "location".

    Returns:
        A row for each patch, in their order.

    Raises:
        InputError: Unknown name; a radius that does not fit; no location where it is needed.
    """
    _check_name(name)
    if name in _OF_PATCHES:
        return _OF_PATCHES[name](patches, radius)
    if location is None or len(location.values) != len(patches):
        got = "none" if location is None else f"{len(location.values)}"
        raise InputError(f"features: a location for each of {len(patches)} patches is needed, but got {got}.")
    return location


def _check_name(name: str) -> None:
    if name not in FEATURE_SETS:
        raise InputError(f"features: unknown name '{name}'; {nearest(name, FEATURE_SETS)}.")


def load_features(name: str, cohort: Cohort, patches: PatchSet, radius: int, cache: Path) -> FeatureTable:
    """The features of every biopsy of a patch set: from `cache` where they lie there, else computed.

    An entry is named by all it depends on: the content of the patches and the radius, or for "location" the
    sites and the files of masks and images. A damaged one is computed anew.

    Args:
        name: One of `FEATURE_SETS`.
        cohort: The cohort of the patches; it may have more biopsies.
        patches: Of the biopsies that are wanted.
        radius: Of the patch that "roi_means" and "texture" look at, in voxels; at most `patches.radius`.
        cache: Folder of the entries; created if need be.

    Returns:
        A row for each biopsy of `patches`, in their order.

    Raises:
        InputError: Unknown name; a radius that does not fit; patches of another cohort; the problems of
            masks; a cache that cannot be written.
    """
    _check_name(name)
    cohort = _restricted(cohort, patches)
    path = cache / "features" / f"{_key(name, cohort, patches, radius)}.npy"
    kept = read_features(path)
    if kept is not None:
        return kept
    where = None
    if name == "location":
        where = locate(cohort, patches.sequences, patches.request.resample_to)
    table = features_of(name, patches, radius, where)
    try:
        write_features(table, path)
    except OSError as error:
        if error.errno in FULL:  # whoever books what is made of the table will meet the full disk too
            return table
        raise InputError(f"{cache}: the cache must be writable, but got '{error.strerror}'.") from error
    return table


def _restricted(cohort: Cohort, patches: PatchSet) -> Cohort:
    """The cohort with the biopsies of the patches alone, in their order."""
    biopsies = {biopsy.biopsy_id: biopsy for biopsy in cohort.biopsies}
    unknown = [name for name in patches.biopsy_id if name not in biopsies]
    if unknown:
        raise InputError(
            f"{cohort.file.biopsies}: all biopsies of the patches are needed, but '{unknown[0]}' is absent."
        )
    return replace(cohort, biopsies=tuple(biopsies[name] for name in patches.biopsy_id))


def _key(name: str, cohort: Cohort, patches: PatchSet, radius: int) -> str:
    content = [_FORMAT, name]
    if name == "location":
        content.append(cache_key(cohort, patches.request))
    else:
        content += [patches.hash, radius]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
