"""What is told of a map: map.json, and the same for others to see, without a name of anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from data_prep.imprints import imprints_of
from data_prep.phantom.truth_files import ANSWERS
from data_prep.regions import Region
from search.deployment.facts import FILE
from search.deployment.model import Model, hash_of
from search.maps.asking import Asking
from search.maps.combined import meaning, pheno_regions
from search.maps.scene import Scene

RECORD: Final = "map.json"
FORMAT: Final = 1

Told = dict[str, Any]


def model_record(model: Model) -> Told:
    """Which model it is: its name, and the hash that covers every file of it."""
    facts = model.facts
    return {
        "name": facts.name,
        "version": facts.version,
        "study": facts.study,
        "hash": hash_of(model.folder / FILE),
        "intended_use": facts.intended_use,
    }


def participant_record(asking: Asking, participant: str, fold: int | None, maps: Sequence[Told]) -> Told:
    """The content of map.json.

    Args:
        asking: What was drawn.
        participant: Of whom.
        fold: In which they were held out of the training; None if they were not in it.
        maps: `map_record` of each visit.
    """
    return {
        "format": FORMAT,
        "radsearch": version("radsearch"),
        "model": model_record(asking.model),
        "cohort": asking.cohort.name,
        "participant": participant,
        "in_training": fold is not None,
        "out_of_fold": asking.out_of_fold and fold is not None,
        "fold": fold if asking.out_of_fold else None,
        "stride": asking.stride,
        "asked": asked_record(asking, participant),
        "maps": list(maps),
    }


def asked_record(asking: Asking, participant: str) -> Told:
    """Of what and where it was asked, so that a later call knows whether it would draw the same.

    Raises:
        InputError: An image cannot be read.
        OSError: The mask cannot be.
    """
    biopsies = [one for one in asking.cohort.biopsies if one.participant_id == participant]
    return {
        "images": list(imprints_of(asking.cohort, biopsies, asking.model.request.sequences)),
        "within": asking.within,
        "mask": None if asking.mask is None else hash_of(asking.mask),
        "truth": None if asking.truth is None else hash_of(asking.truth.folder / ANSWERS),
    }


def map_record(
    scene: Scene, region: Region, seconds: float, files: Sequence[str], scores: Sequence[Told]
) -> Told:
    """What is told of the map of one visit.

    Args:
        scene: The map.
        region: Where.
        seconds: What it took, without writing.
        files: Names of what was written.
        scores: Of each label that was held against a truth, as `MapScore` tells it.
    """
    drawn = scene.drawn
    voxels = int(drawn.region.sum())
    edges = drawn.grid.voxel_size
    told: Told = {
        "name": scene.name,
        "region": {
            "name": region.name,
            "note": region.note,
            "voxels": voxels,
            "volume_ml": round(voxels * float(edges.prod()) / 1000, 3),
        },
        "voxel_mm": [round(float(edge), 4) for edge in edges],
        "asked_voxels": drawn.asked,
        "unanswered_share": _share(np.isnan(drawn.probability[drawn.region][:, 0])),
        "unlike_share": _share(drawn.unlike[drawn.region]),
        "labels": [_label(scene, number) for number in range(len(drawn.labels))],
        "seconds": round(seconds, 2),
        "shown_on": scene.sequence,
        "files": list(files),
    }
    if len(drawn.labels) > 1:
        regions = pheno_regions(drawn)[drawn.region]
        told["pheno_regions"] = {
            number: {"meaning": name, "share": _share(regions == int(number))}
            for number, name in meaning(drawn.labels).items()
        }
    if scores:
        told["scores"] = list(scores)
    return told


def _label(scene: Scene, number: int) -> Told:
    drawn, peak = scene.drawn, scene.peak(number)
    probability = drawn.probability[..., number]
    known = probability[drawn.region & np.isfinite(probability)].astype(np.float64)
    place = drawn.grid.canonical_affine @ np.append(peak, 1)
    return {
        "name": drawn.labels[number],
        "threshold": drawn.thresholds[number],
        "above_share": _share(drawn.above[drawn.region][:, number]),
        "mean_probability": round(float(known.mean()), 4) if known.size else None,
        "peak": {
            "probability": _number(float(probability[tuple(peak)])),
            "mm_ras": [round(float(value), 2) for value in place[:3]],
        },
    }


def public_record(record: Told) -> Told:
    """What of it says nothing of who the participant is, nor where files lie."""
    kept = {name: record[name] for name in record if name not in ("participant", "asked", "maps")}
    hidden = ("name", "files", "region", "scores")
    kept["maps"] = [
        {name: part for name, part in told.items() if name not in hidden}
        | {"region": {key: told["region"][key] for key in ("name", "voxels", "volume_ml")}}
        | {"scores": [_nameless(score) for score in told.get("scores", ())]}
        for told in record["maps"]
    ]
    return kept


def metrics_of(record: Told) -> dict[str, float]:
    """The numbers of the first visit that a tracker compares."""
    told = record["maps"][0]
    found = {
        "region_ml": told["region"]["volume_ml"],
        "unlike_share": told["unlike_share"],
        "seconds": told["seconds"],
    }
    for label in told["labels"]:
        found[f"above_share/{_metric(label['name'])}"] = label["above_share"]
    for score in told.get("scores", ()):
        found[f"correlation/{_metric(score['label'])}"] = score["correlation"]
    return {name: float(value) for name, value in found.items()}


def _metric(label: str) -> str:
    """A label as MLflow takes it in the name of a metric."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", label)


def _nameless(score: Mapping[str, Any]) -> Told:
    return {name: value for name, value in score.items() if name != "participant"}


def _share(flags: Any) -> float:
    return round(float(np.mean(flags)), 4) if np.size(flags) else 0.0


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
