"""Whom a model has seen in training, told by the content of their images: there are no names in a model."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.imprints import imprints_of
from data_prep.problems import InputError, Problems
from data_prep.records import Cohort
from data_prep.survey import Progress
from search.deployment.model import Model


def folds_of(
    model: Model, cohort: Cohort, participants: Sequence[str], progress: Progress | None = None
) -> dict[str, int | None]:
    """In which fold each participant was held out.

    Args:
        model: The model.
        cohort: Where the images are.
        participants: Of the cohort.
        progress: Called with participants done and in all while their images are read.

    Returns:
        Folds by participant; None of one whom the model never saw.

    Raises:
        InputError: Images of one participant are of several in training that were held out in different
            folds; or an image cannot be read.
    """
    known = _known(model)
    problems = Problems()
    found: dict[str, int | None] = {}
    for done, who in enumerate(participants, start=1):
        biopsies = [biopsy for biopsy in cohort.biopsies if biopsy.participant_id == who]
        folds = {
            fold
            for imprint in imprints_of(cohort, biopsies, model.request.sequences)
            for fold in known.get(imprint, ())
        }
        if len(folds) > 1:
            told = ", ".join(map(str, sorted(folds)))
            problems.add(
                f"participant {who}",
                f"their images must be those of one participant in training, but were in folds {told}",
            )
        found[who] = min(folds, default=None)
        if progress is not None:
            progress(done, len(participants))
    problems.raise_any()
    return found


def check_folds(model: Model) -> None:
    """Refuse `--out-of-fold` where the models of the folds were left out.

    Raises:
        InputError: They were.
    """
    if not model.folds:
        raise InputError(
            f"--out-of-fold: models of the folds are needed, but {model.folder} has none. "
            "Refit without --skip-folds"
        )


def _known(model: Model) -> dict[str, set[int]]:
    """The folds in which whoever has an image was held out."""
    known: dict[str, set[int]] = {}
    for participant in model.facts.participants:
        for imprint in participant.imprints:
            known.setdefault(imprint, set()).add(participant.fold)
    return known
