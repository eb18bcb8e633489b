"""What must stay the same for the trials of one study to be comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from data_prep.cache import FORMAT, load_patches
from data_prep.labels import Labels
from data_prep.patches import PatchSet
from data_prep.problems import Problems
from search.catalogue import Catalogue
from search.home import Home
from search.material import Material
from search.sections import (
    ArchitectureSection,
    InputSection,
    LabelSection,
    SearchSection,
    TrainingSection,
)
from search.study_file import Study

PATCHES, LARGEST = "cohort.patches", "space.patch_radius.high"
SECOND = "cohort.second"
LABELS = "cohort.labels"
SEARCHED = "cohort.searched_label"  # of several labels the one searched for; it follows from LABELS
CONTENT = {  # of which a study knows the sha256 alone
    PATCHES: "images, masks and sites of the biopsies",
    SECOND: "images of the second scans",
    LABELS: "expression and labels of the biopsies",
    "folds.hash": "who is held out together",
}
CUT = "cohort.patches.format"  # raised whenever the same images and settings give other patches
REACH = "cohort.patches.radius"  # voxels that the hash of the patches covers around each biopsy
RULE, TOP = "search.selection", "search.top"  # how a result is chosen, frozen before the first trial
SEED = "search.seed"  # a trial that is taken up again, or replayed, keeps its seed
# What a study that has begun may gain, and what studies that began with an earlier version lack.
GROWING = ("architectures.", "weights.", "default.", REACH, SEED, SECOND)
ANOTHER = "Use another name or --home for a new study"
OWN = "architectures."
DEFAULT = "default."


def identity_of(study: Study, material: Material) -> dict[str, Any]:
    """What makes the trials of a study comparable, by a name for each part."""
    return {
        "cohort.name": material.cohort,
        PATCHES: material.patches.hash,
        REACH: material.patches.request.radius,
        CUT: FORMAT,
        SECOND: "" if material.second is None else material.second.hash,
        LABELS: material.labels_hash,
        SEARCHED: _searched(material.labels),
        "folds.hash": material.folds.hash,
        "search.metric": study.search.metric,
        SEED: study.search.seed,
        RULE: study.search.selection,
        TOP: study.search.top,
        LARGEST: study.parameters.largest_radius,
        **_own_code(study),
        **_defaults(study),
        **_flat("label", study.label.model_dump(mode="json")),
        **_flat("input", study.input.model_dump(mode="json")),
        **_flat("validation", study.validation.model_dump(mode="json")),
        **_flat("training", study.training.model_dump(mode="json")),
    }


def check_identity(
    study: Study, material: Material, before: Mapping[str, Any], home: Home, advice: str = ANOTHER
) -> dict[str, Any]:
    """Refuse a study that differs from the one recorded; data only where no setting explains the difference.

    Architectures and weights may be added, and the largest radius may grow where that changes no voxel that
    earlier trials saw.

    Args:
        study: The study to continue with.
        material: Its dataset.
        before: The identity recorded.
        home: Keeps patches.
        advice: What to do where they differ, as the end of each line.

    Returns:
        The identity to record from now on: the earlier one, and what was added.

    Raises:
        InputError: A line a difference, naming what was and what is.
    """
    now = identity_of(study, material)
    known = {**_younger_than(before), **before}
    wider: dict[str, Any] = {}
    if REACH in known and known[REACH] != now[REACH]:
        earlier = _patches_at(material, known[REACH], home)
        is_another = earlier.hash != known[PATCHES]  # which is then what is told
        if now[LARGEST] > known[LARGEST] and (is_another or _same_voxels(earlier, material.patches)):
            wider = {key: now[key] for key in (LARGEST, REACH, PATCHES)}
            known[LARGEST] = now[LARGEST]
        now |= {PATCHES: earlier.hash, REACH: known[REACH]}
    changed = [key for key in now if key != SEARCHED and _differs(known, now, key)]
    settings = [key for key in changed if key not in CONTENT]
    named = [key for key in settings if not key.startswith(DEFAULT)]  # settings of a section may explain them
    problems = Problems()
    for key in named or settings or changed:
        problems.add(f"study {study.name!r}: {key}", f"{_law(key, known.get(key), now[key])}. {advice}")
    problems.raise_any()
    return {**now, **before, **wider}


def searched_label(identity: Mapping[str, Any]) -> str | None:
    """The hash of the label that a study searches for; of a study older than the record of it, of all it has.

    The same for a study of one label, and for one of several labels of which it is the first.
    """
    found: str | None = identity.get(SEARCHED, identity.get(LABELS))
    return found


def own_before(before: Mapping[str, Any]) -> Catalogue:
    """The architectures of their own that a recorded identity has."""
    sections = {key.removeprefix(OWN): entry for key, entry in before.items() if key.startswith(OWN)}
    return Catalogue(
        {
            name: ArchitectureSection.model_validate(entry).own
            for name, entry in sections.items()
            if isinstance(entry, Mapping)
        }
    )


def _searched(labels: Labels) -> str:
    """One hash over score and label of the first label; of a single one it is `Material.labels_hash`."""
    return hashlib.sha256(labels.score.tobytes() + labels.label.tobytes()).hexdigest()


def _law(key: str, before: Any, now: Any) -> str:
    if key in CONTENT:
        return (
            f"must stay as at the study's start ({CONTENT[key]}, sha256 {str(before)[:12]}), "
            f"but differs (sha256 {str(now)[:12]})"
        )
    if key == CUT:
        earlier = "that of an earlier version" if before is None else before
        return f"the way patches are cut must stay {earlier}, but this version has {now}"
    if key == LARGEST and before is not None and now < before:
        return f"must stay at least {before}, as earlier trials could ask for it, but got {now}"
    if key == LARGEST and before is not None:
        return (
            f"must stay {before} unless no voxel of earlier trials changes with it (where patches are "
            "resampled, by spacing_mm, slice_mm or resample_to, last bits depend on how much is cut out), "
            f"but got {now}"
        )
    return f"must stay {before!r} as it was at the study's start, but got {now!r}"


def _differs(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> bool:
    if key not in before and key.startswith(GROWING):
        return False
    return json.dumps(before.get(key)) != json.dumps(now[key])


def _younger_than(before: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that may be younger than the study: they had their default's effect."""
    defaults = {
        **_flat("training", TrainingSection().model_dump(mode="json")),
        **_flat("input", InputSection().model_dump(mode="json")),
        **_flat("label", LabelSection().model_dump(mode="json")),
    }
    section = SearchSection()
    defaults |= {RULE: section.selection, TOP: section.top}
    if "jitter" in before.get("input.augmentation", ()):
        defaults.pop("input.registration_sd_mm")  # it had been 1.5 voxels
    return defaults


def _patches_at(material: Material, radius: int, home: Home) -> PatchSet:
    """The same patches cut out with another radius.

    A choice that was added may have made trials or augmentation reach further than the patches recorded.
    """
    request = replace(material.patches.request, radius=radius)
    whole = load_patches(material.source, request, home.cache)
    place = {biopsy: row for row, biopsy in enumerate(whole.biopsy_id)}
    return whole.take([place[biopsy] for biopsy in material.patches.biopsy_id])


def _same_voxels(one: PatchSet, other: PatchSet) -> bool:
    """Whether two sets of patches are equal to the last bit as far as both reach.

    Voxels of the image's own grid are; a spline through more of the image may differ in its last bits.
    """
    radius = min(one.radius, other.radius)
    return np.array_equal(one.images(radius), other.images(radius))


def _own_code(study: Study) -> dict[str, Any]:
    """What the study's own architectures are; its files of code and of weights by their content."""
    own = {f"{OWN}{name}": entry.model_dump(mode="json") for name, entry in study.architectures.items()}
    return own | {f"{name} (sha256)": content for name, content in study.files.items()}


def _defaults(study: Study) -> dict[str, Any]:
    """What trials use of parameters that they may have without sampling them."""
    space = study.parameters
    return {
        f"{DEFAULT}{name}": known.default
        for name, known in space.known.items()
        if name not in space or space[name].when != known.applies
    }


def _flat(section: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for key, value in table.items()}
