"""What quality control found, as one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from data_prep.check.conventions import DECLARED
from data_prep.check.findings import SEVERITIES, Finding
from data_prep.check.mixups import PARTS, inside_part
from data_prep.check.subject import Subject, Visited


def check_record(subject: Subject, findings: Sequence[Finding]) -> dict[str, Any]:
    """The cohort, who has which sequence, where the sites fall, and every finding.

    Returns:
        `cohort`; `counts` of findings by severity, of participants, biopsies, sequences and files;
        `sequences`; `participants` with the ids of their `biopsies` and what is `present`; `sites`, for each
        of `mixups.PARTS` that is known how many of how many fall into it, who does not and by how many mm at
        most (null where that cannot be told); `findings`, the worst first.
    """
    severities = Counter(finding.severity for finding in findings)
    people = _people(subject)
    files = {file.label for visited in subject.visits for file in visited.files}
    counts = {f"{severity}s": severities[severity] for severity in SEVERITIES} | {
        "participants": len(people),
        "biopsies": len(subject.cohort.biopsies),
        "sequences": len(subject.cohort.sequences),
        "files": len(files),
    }
    return {
        "cohort": subject.cohort.name,
        "counts": counts,
        "sequences": list(subject.cohort.sequences),
        "participants": [_participant(subject, name, visits) for name, visits in people.items()],
        "sites": [sites for part in PARTS if (sites := _sites(subject, part)) is not None],
        "findings": [asdict(finding) | {"biopsies": list(finding.biopsies)} for finding in findings],
    }


def _people(subject: Subject) -> Mapping[str, list[Visited]]:
    """Visits of each participant, in the order of the table."""
    found: dict[str, list[Visited]] = {}
    for visited in subject.visits:
        for name in dict.fromkeys(biopsy.participant_id for biopsy in visited.biopsies):
            found.setdefault(name, []).append(visited)
    return found


def _participant(subject: Subject, name: str, visits: Sequence[Visited]) -> dict[str, Any]:
    biopsies = [biopsy for visited in visits for biopsy in visited.biopsies]
    files = [file for visited in visits for file in visited.images.values()]
    there = {file.name for file in files}
    return {
        "participant": name,
        "biopsies": [biopsy.biopsy_id for biopsy in biopsies if biopsy.participant_id == name],
        "present": {sequence: sequence in there for sequence in subject.cohort.sequences},
        "unreadable": sorted({file.name for file in files if file.problem is not None}),
    }


def _sites(subject: Subject, part: str) -> dict[str, Any] | None:
    """How many sites fall into a part, of the visits that have it; None where none has."""
    total, inside, farthest = 0, 0, 0.0
    outside: list[str] = []
    for visited in subject.visits:
        placement = visited.placement
        counted = None if placement is None else inside_part(placement, part)
        if placement is None or counted is None:
            continue
        is_in = counted[DECLARED]
        total, inside = total + len(is_in), inside + int(is_in.sum())
        outside += [name for name, here in zip(visited.ids, is_in, strict=True) if not here]
        if part in placement.regions:
            farthest = max(farthest, float(placement.regions[part].gap.max()))
    if not total:
        return None
    known = part != "image" and np.isfinite(farthest)
    return {
        "part": part,
        "of": total,
        "inside": inside,
        "farthest_mm": round(farthest, 2) if known else None,
        "outside": outside,
    }
