"""What the report takes of `retest.json`: how far second scans agree with first ones, without any id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.home import StudyFolder
from search.report.phrases import Range
from search.retest.features import EXCELLENT, GOOD
from search.retest.record import FILE


@dataclass(frozen=True)
class SiteAgreement:
    """Probabilities of sites, on both scans.

    Attributes:
        sites: How many.
        participants: Of how many.
        icc: ICC(A,1).
        flips: Share of sites that get the other label by the second scan.
        by_chance: What that share would be if the scans had nothing in common.
        is_drawn: Whether intervals are over draws of participants.
        reason: Why there is no ICC; None where there is one.
    """

    sites: int
    participants: int
    icc: Range
    flips: Range
    by_chance: float | None
    is_drawn: bool
    reason: str | None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> SiteAgreement:
        """From what `search.retest.record` writes of sites."""
        icc, flips = table["icc"]["A"], table["flips"]
        return cls(
            sites=int(table["sites"]),
            participants=int(table["participants"]),
            icc=_range(icc),
            flips=Range(None, None, None) if flips is None else _range(flips["share"]),
            by_chance=None if flips is None else _number(flips["by_chance"]),
            is_drawn=icc["ci95_participants"] is not None,
            reason=None if table["reason"] is None else str(table["reason"]),
        )


@dataclass(frozen=True)
class Agreement:
    """How far second scans agree with first ones.

    Attributes:
        study_id: Of the study that was retested.
        trials: Numbers of the trials that answered together.
        is_named: Whether the user named the trial, in place of what the study selects.
        biopsies: That were scanned twice, of how many.
        participants: Likewise.
        probabilities: At the biopsies.
        maps: Over a lattice; None where none was asked for.
        stride_mm: Between its sites.
        map_icc: Median, lowest and highest ICC of one participant's map.
        features: How many were measured on both scans.
        good: How many of them have an ICC of `GOOD` at least.
        excellent: Likewise of `EXCELLENT`.
        stands_in: Whether they are the shallow ladder's, as a network's own have no names.
    """

    study_id: str
    trials: tuple[int, ...]
    is_named: bool
    biopsies: tuple[int, int]
    participants: tuple[int, int]
    probabilities: SiteAgreement
    maps: SiteAgreement | None
    stride_mm: float | None
    map_icc: Range
    features: int
    good: int
    excellent: int
    stands_in: bool

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Agreement:
        """From the document that `radsearch retest` writes."""
        twice, maps, features = record["scanned_twice"], record["maps"], record["features"]
        ends = ("median_icc", "lowest_icc", "highest_icc")
        return cls(
            study_id=str(record["study_id"]),
            trials=tuple(int(one["trial"]) for one in record["trials"]),
            is_named=record["rule"] == "named",
            biopsies=(int(twice["biopsies"]), int(twice["of_biopsies"])),
            participants=(int(twice["participants"]), int(twice["of_participants"])),
            probabilities=SiteAgreement.of(record["probabilities"]),
            maps=None if maps is None else SiteAgreement.of(maps),
            stride_mm=None if maps is None else _number(maps["stride_mm"]),
            map_icc=Range(*(None if maps is None else _number(maps[end]) for end in ends)),
            features=int(features["measured"]),
            good=int(features[f"at_least_{GOOD:.2f}"]),
            excellent=int(features[f"at_least_{EXCELLENT:.2f}"]),
            stands_in=any(one["stands_in"] for one in features["sets"]),
        )


def read_agreement(folder: StudyFolder) -> Agreement | None:
    """What second scans said of a study; None where there is none, or none that this version wrote."""
    try:
        return Agreement.of(json.loads((folder.root / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _range(measure: Mapping[str, Any]) -> Range:
    low, high = measure["ci95"] or (None, None)
    return Range(_number(measure["value"]), _number(low), _number(high))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
