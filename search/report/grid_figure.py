"""Every held-out biopsy on one picture, from easy to hard: the source report's Figure 3, of all folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from search.contact_sheet import heldout_sheet
from search.metrics import Doubles, Ints
from search.report.style import printable
from search.statistics.predictions import Outputs

TITLE = "Held-out biopsies, from easy to hard"


def grid_figure(
    images: npt.NDArray[np.floating], outputs: Outputs, names: Sequence[str], sequence: str
) -> Image.Image:
    """Patch, label, probability and name of each biopsy; blue frames are right, broken vermilion ones wrong.

    Over several repeats a biopsy has its mean probability, and the label and the prediction of most of them.

    Args:
        images: Patch of one sequence for each biopsy, shape (n, side, side), first axis left to right,
            second back to front; one of NaN is an absent sequence and says so.
        outputs: Of one model or ensemble, held out.
        names: A short name for each biopsy, such as "B012 of P07".
        sequence: The name of the sequence drawn.
    """
    order = by_ease(outputs)
    label, predicted = _majority(outputs.label)[order], _majority(outputs.predicted)[order]
    probability = outputs.probability.mean(axis=0)[order]
    captions = [printable(names[row]) for row in order]
    return heldout_sheet(
        images[order], label, probability, captions, printable(sequence), TITLE, predicted, limit=len(order)
    )


def by_ease(outputs: Outputs) -> Ints:
    """Rows from the smallest to the largest distance between label and probability, mean over the repeats."""
    return np.asarray(np.argsort(distance(outputs), kind="stable"), dtype=np.int64)


def distance(outputs: Outputs) -> Doubles:
    """How far each biopsy's probability is from its label, mean over the repeats, shape (n,)."""
    return np.asarray(np.abs(outputs.label - outputs.probability).mean(axis=0), dtype=np.float64)


def _majority(sides: Ints) -> Ints:
    """0 or 1 by most repeats, 1 by half of them; shape (n,)."""
    return np.asarray(sides.mean(axis=0) >= 0.5, dtype=np.int64)
