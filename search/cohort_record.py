"""What is booked and said of a study's dataset: who is in it, what its labels are like, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_prep.label_summary import summarise
from search.material import Material

LEFT_OUT = {"no_expression": "have no expression", "no_score": "have no score"}


def cohort_record(material: Material) -> dict[str, Any]:
    """The dataset as plain data, without any id.

    Keys: name, participants, biopsies, positive, threshold, excluded (how many by reason), complete (the rows
    that have every sequence; None where all have) and labels (a `LabelSummary` each).
    """
    participants, complete = material.patches.participant_id, material.complete
    return {
        "name": material.cohort,
        "participants": len(set(participants)),
        "biopsies": len(material.patches.biopsy_id),
        "positive": int(material.labels.label.sum()),
        "threshold": material.labels.threshold,
        "excluded": dict(material.excluded),
        "complete": None if complete.all() else [int(row) for row in np.flatnonzero(complete)],
        "labels": [summary.as_json() for summary in summarise(material.labels, participants)],
    }


def notes_on(material: Material) -> Iterator[str]:
    """What one should know of the dataset before trials begin, a line each."""
    for reason, count in material.excluded.items():
        if count:
            yield f"{count} biopsies {LEFT_OUT[reason]} and are left out"
    for summary in summarise(material.labels, material.patches.participant_id):
        yield f"label {summary.line}"
    lacking = len(material.complete) - int(material.complete.sum())
    if lacking:
        what = "are scored but not trained on" if material.missing == "drop" else "are trained on and scored"
        yield f"{lacking} of {len(material.complete)} biopsies lack a sequence; they {what}"
    if material.second is not None:
        again = int(material.second.present.any(axis=1).sum())
        yield f"{again} biopsies have a second scan, which training shows in half of the epochs"
