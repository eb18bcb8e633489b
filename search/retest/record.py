"""The result of a test-retest analysis, and where it lies: `retest.json` in the study's folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.files import whole_file
from data_prep.map_sites import MapSites
from search.home import StudyFolder
from search.retest.features import EXCELLENT, GOOD, FeatureAgreement
from search.retest.judged import Judged, OneTrial, OwnMap
from search.retest.plan import Plan
from search.scenes import SECOND
from search.statistics.agreement import Measure
from search.statistics.differences import BlandAltman, Flips

FILE = "retest.json"


@dataclass(frozen=True, eq=False)
class Retest:
    """What second scans say of a study.

    Attributes:
        plan: What was fitted.
        study_id: Tells the study from another of its name.
        biopsies: Agreement of probabilities at the biopsies.
        trials: The same of each configuration alone.
        maps: Agreement over the lattice; None where no map was asked for.
        own_maps: Of each participant's map.
        lattice: Where its sites are.
        stride_mm: Between them.
        features: Of each feature, the best first.
    """

    plan: Plan
    study_id: str
    biopsies: Judged
    trials: tuple[OneTrial, ...]
    maps: Judged | None
    own_maps: tuple[OwnMap, ...]
    lattice: MapSites | None
    stride_mm: float | None
    features: tuple[FeatureAgreement, ...]

    @property
    def map_iccs(self) -> list[float]:
        """ICCs of the participants' maps that have one."""
        return [one.icc for one in self.own_maps if one.icc is not None]

    @property
    def feature_iccs(self) -> list[float]:
        """ICCs of the features that have one."""
        return [one.icc.value for one in self.features if one.icc.value is not None]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data, participants by the cohort's own ids."""
        plan, again = self.plan, self.plan.scenes.whole(SECOND).patches
        architectures = [str(config.settings["architecture"]) for config in plan.configs]
        return {
            "study": plan.study.name,
            "study_id": self.study_id,
            "cohort": plan.material.cohort,
            "context": plan.context,
            "rule": plan.rule,
            "trials": [
                {"trial": one.trial, "architecture": name, "icc": one.icc, "flip_rate": one.flip_rate}
                for one, name in zip(self.trials, architectures, strict=True)
            ],
            "scanned_twice": {
                "biopsies": len(again),
                "participants": len(set(again.participant_id)),
                "of_biopsies": len(plan.material.patches),
                "of_participants": len(set(plan.material.patches.participant_id)),
            },
            "probabilities": _judged(self.biopsies),
            "maps": self._maps(),
            "features": self._features(),
        }

    def _maps(self) -> dict[str, Any] | None:
        if self.maps is None or self.lattice is None:
            return None
        each = [
            {
                "participant_id": one.participant,
                "region": self.lattice.region[one.participant],
                "sites": one.sites,
                "candidates": self.lattice.candidates[one.participant],
                "icc": one.icc,
                "flip_rate": one.flip_rate,
            }
            for one in self.own_maps
        ]
        return {
            "stride_mm": self.stride_mm,
            "most_sites": self.plan.scenes.most,
            **_judged(self.maps),
            "median_icc": float(np.median(self.map_iccs)) if self.map_iccs else None,
            "lowest_icc": min(self.map_iccs, default=None),
            "highest_icc": max(self.map_iccs, default=None),
            "each": each,
        }

    def _features(self) -> dict[str, Any]:
        values = self.feature_iccs
        return {
            "sets": [asdict(one) for one in dict.fromkeys(one.set for one in self.features)],
            "measured": len(values),
            "undefined": len(self.features) - len(values),
            f"at_least_{GOOD:.2f}": sum(value >= GOOD for value in values),
            f"at_least_{EXCELLENT:.2f}": sum(value >= EXCELLENT for value in values),
            "each": [
                {
                    "set": one.set.name,
                    "radius": one.set.radius,
                    "feature": one.feature,
                    "sites": one.sites,
                    "icc": _measure(one.icc),
                }
                for one in self.features
            ],
        }


def write_retest(folder: StudyFolder, record: dict[str, Any]) -> Path:
    """Keep a result with the study, in place of an earlier one."""
    path = folder.root / FILE
    with whole_file(path) as draft:
        draft.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _judged(judged: Judged) -> dict[str, Any]:
    return {
        "sites": judged.sites,
        "participants": judged.participants,
        "reason": judged.reason,
        "icc": {form: _measure(one) for form, one in judged.icc.items()},
        "bland_altman": None if judged.differences is None else _differences(judged.differences),
        "flips": None if judged.flips is None else _flips(judged.flips),
    }


def _differences(apart: BlandAltman) -> dict[str, Any]:
    return {
        "bias": _measure(apart.bias),
        "lower_limit": _measure(apart.lower),
        "upper_limit": _measure(apart.upper),
        "repeatability": _measure(apart.repeatability),
    }


def _flips(found: Flips) -> dict[str, Any]:
    return {**asdict(found), "share": _measure(found.share)}


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "value": measure.value,
        "ci95": measure.ci95,
        "ci95_participants": measure.drawn,
        "ci95_textbook": measure.textbook,
    }
