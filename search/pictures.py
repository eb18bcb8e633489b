"""The pictures of one trial: ROC, confusion, and its held-out biopsies with label and probability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL.Image import Image

from search.contact_sheet import heldout_sheet
from search.figures import confusion_figure, roc_figure, save_figure
from search.material import Material
from search.pseudonyms import PSEUDONYMS, names_of
from search.records import FoldResult

SHOWN_SEQUENCE = "T1Gd"  # the sequence on which a reader knows the enhancing rim; else the cohort's first
SHOWN_RADIUS = 8  # the report's patch; larger ones would show the same site smaller


def draw_trial(
    material: Material,
    folds: Sequence[FoldResult],
    folder: Path,
    number: int,
    identifiers: str = PSEUDONYMS,
) -> dict[str, Path]:
    """Draw the finished folds of a trial.

    Args:
        material: The study's dataset; its patches are shown.
        folds: At least one finished fold.
        folder: Where the PNG files go.
        number: The trial's number, for the titles.
        identifiers: As in `search.pseudonyms.names_of`.

    Returns:
        Caption to file.
    """
    rows = np.concatenate([fold.rows for fold in folds])
    label = np.concatenate([fold.scores.label for fold in folds])
    probability = np.concatenate([fold.scores.probability for fold in folds])
    predicted = np.concatenate([fold.scores.predicted for fold in folds])
    split = np.concatenate([np.full(len(fold.rows), fold.split) for fold in folds])
    sequence, patches = _shown(material)
    names = names_of(material.patches.biopsy_id, material.patches.participant_id, identifiers)
    person = material.participant
    figures: dict[str, tuple[str, Figure | Image]] = {
        "ROC curve": ("roc.png", roc_figure(label, probability, split, f"Trial {number}: ROC curve")),
        "Confusion matrix": (
            "confusion.png",
            confusion_figure(label, predicted, f"Trial {number}: confusion matrix"),
        ),
        "Held-out biopsies": (
            "held_out.png",
            heldout_sheet(
                patches[rows],
                label,
                probability,
                [f"{names.biopsy[row]} of {names.participant[person[row]]}" for row in rows],
                sequence,
                f"Trial {number}: held-out biopsies",
                predicted,
            ),
        ),
    }
    return {caption: save_figure(figure, folder / name) for caption, (name, figure) in figures.items()}


def _shown(material: Material) -> tuple[str, np.ndarray]:
    """The sequence to show and its patches in the site's own slice; NaN where a participant lacks it."""
    patches = material.patches
    names = patches.sequences
    index = names.index(SHOWN_SEQUENCE) if SHOWN_SEQUENCE in names else 0
    middle = (patches.slices // 2) * len(names) + index
    images = patches.images(min(SHOWN_RADIUS, patches.radius))[..., middle]
    images[~patches.present[:, index]] = np.nan
    return names[index], images
