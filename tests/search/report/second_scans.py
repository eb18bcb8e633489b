"""A record as `radsearch retest` writes it, cut down to what the report reads."""

from __future__ import annotations

from typing import Any


def _measure(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "ci95": [low, high], "ci95_participants": [low, high], "ci95_textbook": None}


def _sites(sites: int, participants: int, icc: dict[str, Any]) -> dict[str, Any]:
    flips = {"share": _measure(0.125, 0.05, 0.2), "by_chance": 0.5}
    return {"sites": sites, "participants": participants, "reason": None, "icc": {"A": icc}, "flips": flips}


RECORD: dict[str, Any] = {
    "study": "shallow",
    "study_id": "0f",
    "rule": "rank-average",
    "trials": [{"trial": 4, "architecture": "small_cnn"}, {"trial": 2, "architecture": "roi_means"}],
    "scanned_twice": {"biopsies": 24, "participants": 8, "of_biopsies": 36, "of_participants": 12},
    "probabilities": _sites(24, 8, _measure(0.81, 0.7, 0.9)),
    "maps": {
        "stride_mm": 4.0,
        **_sites(640, 8, _measure(0.75, 0.6, 0.85)),
        "median_icc": 0.77,
        "lowest_icc": 0.5,
        "highest_icc": 0.93,
        "each": [{"participant_id": "sub-001", "icc": 0.5}],
    },
    "features": {
        "sets": [{"name": "texture", "radius": 3, "stands_in": True}],
        "measured": 40,
        "undefined": 2,
        "at_least_0.75": 30,
        "at_least_0.90": 10,
        "each": [],
    },
}
