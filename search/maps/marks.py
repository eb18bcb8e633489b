"""The biopsies on a map: where they were taken, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.geometry import canonical_position
from data_prep.problems import InputError
from data_prep.records import Biopsy, Cohort
from data_prep.tables import parse_number
from data_prep.windows import Windows
from search.deployment.facts import LabelFacts
from search.maps.scene import ABOVE, BELOW, Marks


def marks_of(windows: Windows, cohort: Cohort, labels: Sequence[LabelFacts]) -> Marks:
    """The biopsies of a visit.

    Whether one is above the cut of the model is known where the label is a gene of the cohort's expression
    table or a column of its biopsy table; a score that is made of several genes is another in each cohort.

    Args:
        windows: The visit.
        cohort: Whose it is.
        labels: What the model predicts.
    """
    places = [canonical_position(windows.grid, one.position, cohort.coordinates) for one in windows.biopsies]
    return Marks(
        names=tuple(one.biopsy_id for one in windows.biopsies),
        places=np.array(places, dtype=np.float64).reshape(-1, 3),
        known={label.name: [_known(cohort, one, label) for one in windows.biopsies] for label in labels},
    )


def _known(cohort: Cohort, biopsy: Biopsy, label: LabelFacts) -> int | None:
    score = None
    if cohort.expression is not None and label.name in cohort.expression.genes:
        score = cohort.expression.tpm(biopsy.biopsy_id, label.name)
    elif label.name in biopsy.columns:
        try:
            score = parse_number(biopsy.columns[label.name])
        except InputError:
            return None
    if score is None or np.isnan(score):
        return None
    return ABOVE if score > label.cut else BELOW
