"""The agreement of probabilities between two scans, at biopsies and over maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.retest.paired import Paired
from search.statistics.agreement import FORMS, LEAST, Drawn, Measure, icc
from search.statistics.differences import BlandAltman, Flips, bland_altman, flips


@dataclass(frozen=True)
class Judged:
    """How far the probabilities of sites agree.

    Attributes:
        sites: How many were scored on both scans.
        participants: Of how many.
        icc: By its form.
        differences: Bias, limits of agreement, repeatability; None of too few sites.
        flips: Predicted labels that differ; None without sites.
        reason: Why there is no ICC, in words; None where there is one.
    """

    sites: int
    participants: int
    icc: Mapping[str, Measure]
    differences: BlandAltman | None
    flips: Flips | None
    reason: str | None


@dataclass(frozen=True)
class OwnMap:
    """The map of one participant.

    Attributes:
        participant: The cohort's own id.
        sites: Of the lattice.
        icc: ICC(A,1) over them; None of too few, or where the map is flat.
        flip_rate: Share of sites whose label is another by the second scan.
    """

    participant: str
    sites: int
    icc: float | None
    flip_rate: float


@dataclass(frozen=True)
class OneTrial:
    """One of the configurations that answer together.

    Attributes:
        trial: Its number.
        icc: ICC(A,1) of its probabilities at the biopsies.
        flip_rate: Of its labels there; None without biopsies.
    """

    trial: int
    icc: float | None
    flip_rate: float | None


def judge(paired: Paired, independent: bool) -> Judged:
    """The agreement of what all configurations say together, within folds: each has a model of its own.

    Args:
        paired: What they said.
        independent: Whether a textbook interval is told too: not of a map, whose sites see the same voxels.
    """
    first, second = paired.probabilities
    drawn = Drawn(paired.participant)
    scores, fold = np.stack([first, second], axis=1), np.array(paired.fold, dtype=np.int64)
    found = {form: icc(scores, form, drawn, independent, fold) for form in FORMS}
    apart = bland_altman(first, second, drawn) if len(paired) else None
    reach = None if apart is None else apart.repeatability.value
    reason = None
    if len(paired) < LEAST:
        reason = f"at least {LEAST} sites scored on both scans are needed, but there are {len(paired)}"
    elif found["A"].value is None:
        reason = "no fold's model tells its sites apart"
    return Judged(
        sites=len(paired),
        participants=len(set(paired.participant)),
        icc=found,
        differences=apart if independent or apart is None else _drawn_alone(apart),
        flips=flips(*paired.margins, drawn, reach, independent, fold),
        reason=reason,
    )


def _drawn_alone(apart: BlandAltman) -> BlandAltman:
    """Without the intervals that take sites as independent."""
    parts = (apart.bias, apart.lower, apart.upper, apart.repeatability)
    return BlandAltman(*(Measure(one.value, None, one.drawn) for one in parts))


def own_maps(paired: Paired) -> list[OwnMap]:
    """The agreement of each participant's map, in the order of the folds."""
    first, second = paired.probabilities
    one, other = (margin > 0 for margin in paired.margins)
    who = np.array(paired.participant, dtype=object)
    found = []
    for name in dict.fromkeys(paired.participant):
        rows = who == name
        value = icc(np.stack([first[rows], second[rows]], axis=1), "A", independent=False).value
        found.append(OwnMap(name, int(rows.sum()), value, float((one[rows] != other[rows]).mean())))
    return found


def each_trial(paired: Paired, trials: tuple[int, ...]) -> list[OneTrial]:
    """The agreement of what each configuration says alone."""
    found, fold = [], np.array(paired.fold, dtype=np.int64)
    for trial, first, second, cut in zip(trials, paired.first, paired.second, paired.threshold, strict=True):
        value = icc(np.stack([first, second], axis=1), "A", independent=False, strata=fold).value
        rate = float(((first > cut) != (second > cut)).mean()) if len(paired) else None
        found.append(OneTrial(trial, value, rate))
    return found
