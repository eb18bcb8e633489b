"""Bootstrap bias corrected cross-validation, with draws of participants.

Tsamardinos, Greasidou and Borboudakis, Machine Learning 107 (2018): the selection is repeated on the
biopsies of the drawn participants, and what it selects is scored on those of the others. Nothing is trained:
every configuration has predicted every biopsy while its participant was held out. Drawing participants, and
not biopsies, is the extension to clustered data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.metrics import Doubles
from search.statistics.chance import chance_level
from search.statistics.draws import draw_participants
from search.statistics.predictions import Predictions
from search.statistics.selection import Ensembles, Rule, Selector
from search.statistics.sums import Answers, Sums


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The metric on the participants that were not drawn, draw by draw, over all repeats of the folds.

    Attributes:
        selected: Of what the rule selected by the drawn ones, shape (draws,).
        default: Of the untuned configuration; None where it has no predictions.
        chance: Of the best answer that knows nothing of the images, see `chance.chance_level`.
    """

    selected: Doubles
    default: Doubles | None
    chance: Doubles


def bootstrap(
    predictions: Predictions, rule: Rule, metric: str, draws: int, seed: int, scored: str | None = None
) -> Bootstrap:
    """Repeat the selection on draws of the participants.

    Args:
        predictions: Of every configuration that could have been selected.
        rule: The study's own.
        metric: The study's own, a name of `search.metrics.DIRECTIONS`.
        draws: How many.
        seed: The same seed draws the same participants.
        scored: The metric of what is returned, where it is not the one by which is selected.

    Raises:
        NoDrawsError: The cohort cannot be drawn from (`search.statistics.draws`).
    """
    compared, sums = Sums(metric, predictions), Sums(scored or metric, predictions)
    drawn = draw_participants(sums, draws, seed, also=compared)
    selector, ensembles = Selector(rule, predictions, compared), Ensembles(predictions)
    selected, default, chance = (np.empty(draws) for _ in range(3))
    for chunk in sums.chunks(draws, len(selector.candidates)):
        undrawn = (drawn[chunk] == 0).astype(np.float64)
        members = selector.choose(drawn[chunk])
        selected[chunk] = sums.each(ensembles.answers(members), undrawn)
        chance[chunk] = chance_level(scored or metric, *sums.classes(undrawn))
        if predictions.default is not None:
            default[chunk] = sums.each(Answers.of(predictions.outputs(predictions.default)), undrawn)
    return Bootstrap(selected, None if predictions.default is None else default, chance)
