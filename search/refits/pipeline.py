"""A search small enough to be repeated: the same configurations on any folds and labels, then a choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.arrays import IntArray
from data_prep.folds import FoldTable, Split, make_folds
from search.home import Home
from search.material import Material
from search.placement import Placement
from search.records import FoldResult, TrialConfig
from search.refits.crew import Progress, run_fits
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.sections import ValidationSection
from search.statistics.predictions import Outputs, assemble
from search.statistics.selection import Rule, combined, select
from search.study_file import Study

Results = Sequence[FoldResult | None]  # in the order of the fits; None for a model that could not be fitted
Fitter = Callable[[Sequence[Fit]], Results]


@dataclass(frozen=True, eq=False)
class Selection:
    """What was chosen among several configurations, and what it said of the biopsies held out.

    Attributes:
        members: The configurations chosen, by their place among all, best first.
        outputs: What they say together.
    """

    members: tuple[int, ...]
    outputs: Outputs


@dataclass(frozen=True)
class Chooser:
    """How one result is made of several configurations.

    Attributes:
        configs: The configurations; the first stands for no tuning.
        rule: The study's rule of selection.
        metric: By which it selects.
    """

    configs: tuple[TrialConfig, ...]
    rule: Rule
    metric: str

    def fits(self, splits: Sequence[Split], order: IntArray | None = None) -> tuple[Fit, ...]:
        """Every configuration on every split, the splits of the first configuration first.

        Args:
            splits: Of a fold table.
            order: The row whose expression each row is given; None for its own.
        """
        line = None if order is None else tuple(map(int, order))
        of_first = [Fit.of(self.configs[0], split, line) for split in splits]
        return tuple(
            replace(fit, config=config, seed=config.fold_seed(fit.split))
            for config in self.configs
            for fit in of_first
        )

    def choose(self, results: Results, rows: IntArray | None = None) -> Selection | None:
        """Choose by what the fits gave.

        Args:
            results: Of `fits`.
            rows: The rows that the splits share out; None for all. Outputs are in their order.

        Returns:
            None where every configuration failed on some split; one that did cannot be chosen.
        """
        splits = len(results) // len(self.configs)
        parts = [results[start : start + splits] for start in range(0, len(results), splits)]
        whole = {index: part for index, part in enumerate(parts) if None not in part}
        if not whole:
            return None
        predictions = assemble(
            [placed([one for one in part if one is not None], rows) for part in whole.values()],
            trials=tuple(whole),
            settings=[self.configs[index].settings for index in whole],
            default=0 if 0 in whole else None,
            handed_out=len(self.configs),
        )
        members = select(self.rule, predictions, self.metric)
        return Selection(
            tuple(predictions.trials[member] for member in members), combined(predictions, members)
        )


def placed(folds: Sequence[FoldResult], rows: IntArray | None) -> list[FoldResult]:
    """Results whose biopsies are numbered by their places among some rows; None leaves them as they are."""
    if rows is None:
        return list(folds)
    place = {int(row): index for index, row in enumerate(rows)}
    return [replace(fold, rows=tuple(place[row] for row in fold.rows)) for fold in folds]


def table_of(material: Material, validation: ValidationSection, order: IntArray | None = None) -> FoldTable:
    """The fold table as the study makes it, with each row given another row's expression.

    Raises:
        InputError: The labels in that order leave some fold without a class.
    """
    label = material.labels.label if order is None else material.labels.label[order]
    patches = material.patches
    return make_folds(
        patches.biopsy_id,
        patches.participant_id,
        np.asarray(label),
        validation.folds,
        validation.repeats,
        validation.seed,
    )


def fitter_of(
    ledger: FitLedger,
    study: Study,
    home: Home,
    material: Material,
    placements: Sequence[Placement],
    progress: Progress,
) -> Fitter:
    """Fits on child processes, each result kept in a ledger; arguments as of `run_fits`."""

    def fitted(fits: Sequence[Fit]) -> Results:
        run_fits(fits, ledger, study, home, material, placements, progress)
        return [ledger.result(fit) for fit in fits]

    return fitted
