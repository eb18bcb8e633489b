"""How maps are asked for, and whom they are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.phantom.map_truth import Truth
from data_prep.problems import InputError
from data_prep.records import Cohort
from search.deployment.fitting_cohort import check_fits
from search.deployment.model import Model
from search.deployment.predictor import Predictor
from search.deployment.seen import folds_of

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Asking:
    """What is to be drawn.

    Attributes:
        model: By which model.
        cohort: Of whom.
        within: One of `search.deployment_parser.REGIONS`.
        mask: A mask in its place.
        stride: In voxels.
        out_of_fold: Whether participants of the training set get models that never saw them.
        truth: What maps are held against; None to leave that.
    """

    model: Model
    cohort: Cohort
    within: str = "auto"
    mask: Path | None = None
    stride: int = 1
    out_of_fold: bool = False
    truth: Truth | None = None


@dataclass(frozen=True)
class Asked:
    """Whom maps are drawn of.

    Attributes:
        folds: By participant, in which training fold they were held out; None of one who was in none.
        failed: By participant, what is wrong with their images.
    """

    folds: dict[str, int | None]
    failed: dict[str, tuple[str, ...]]

    @property
    def seen(self) -> tuple[str, ...]:
        """Those of the training set."""
        return tuple(who for who, fold in self.folds.items() if fold is not None)

    def in_order(self, out_of_fold: bool) -> list[str]:
        """The participants; out of fold by folds, so that the members of each are opened once."""
        people = list(self.folds)
        return (
            sorted(people, key=lambda who: (self.folds[who] is not None, self.folds[who] or 0))
            if (out_of_fold)
            else people
        )


def look(asking: Asking, participants: tuple[str, ...], progress: Progress | None = None) -> Asked:
    """Whether the model can be asked about each participant, and whether it has seen them.

    Args:
        asking: What is to be drawn.
        participants: Of the cohort.
        progress: Called with participants done and in all.
    """
    folds: dict[str, int | None] = {}
    failed: dict[str, tuple[str, ...]] = {}
    for done, who in enumerate(participants, start=1):
        biopsies = [one for one in asking.cohort.biopsies if one.participant_id == who]
        try:
            check_fits(asking.model, asking.cohort, biopsies)
            folds |= folds_of(asking.model, asking.cohort, (who,))
        except InputError as error:
            failed[who] = error.problems
        if progress is not None:
            progress(done, len(participants))
    return Asked(folds, failed)


class Predictors:
    """The models of the folds, one at a time: those of all folds would take several times the memory."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._last: tuple[int | None, Predictor] | None = None

    def of(self, fold: int | None) -> Predictor:
        """Who answers for a participant that was held out in a fold, or was not in the training set."""
        wanted = fold if self._asking.out_of_fold else None
        if self._last is None or self._last[0] != wanted:
            self._last = None
            self._last = (wanted, self._asking.model.predictor(wanted))
        return self._last[1]
