"""Has a selected trial fitted once more on every fold, to see how much it leans on each sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna

from search.facts import config_of, rule_of
from search.home import Home
from search.material import Material
from search.placement import Placement
from search.refits.crew import run_fits
from search.refits.fit import context_of
from search.refits.ledger import FitLedger
from search.report.importance import (
    COPIES,
    Importance,
    importance_fits,
    measure,
    read_importance,
    write_importance,
)
from search.statistics.predictions import predictions_of
from search.statistics.selection import select
from search.study_file import Study

SEED = 0
LEDGER = "importance.jsonl"


def measured_importance(
    study: optuna.Study,
    definition: Study,
    home: Home,
    material: Material,
    placements: Sequence[Placement],
    progress: Callable[[int, int], None],
) -> Importance | None:
    """The importance of each sequence, measured unless it was; None while no trial is complete.

    What is fitted is kept in the study's folder, so that an interrupted report goes on where it was.

    Args:
        study: The study in Optuna.
        definition: Its settings.
        home: Where it lives.
        material: Its dataset.
        placements: Where to fit; a process each.
        progress: Called with fits done and in all.

    Raises:
        StudyStoppedError: A child keeps dying, or another report of the study is being written.
    """
    number = leaning_trial(study, definition)
    if number is None:
        return None
    folder, context = home.study(definition.name), context_of(definition, material)
    found = read_importance(folder.root)
    if found is not None and (found.trial, found.seed, found.copies, found.context) == (
        number,
        SEED,
        COPIES,
        context,
    ):
        return found
    trials = study.get_trials(deepcopy=False)
    trial = next(trial for trial in trials if trial.number == number)
    sequences = material.patches.sequences
    fits = importance_fits(
        config_of(trials, trial, definition.search.seed), material.folds, sequences, COPIES, SEED
    )
    with FitLedger.open(folder.root / LEDGER, context) as ledger:
        run_fits(fits, ledger, definition, home, material, placements, progress)
        results = [result for fit in fits if (result := ledger.result(fit)) is not None]
    if not results:
        return None
    found = measure(results, sequences, number, context, COPIES, SEED)
    write_importance(found, folder.root)
    return found


def leaning_trial(study: optuna.Study, definition: Study) -> int | None:
    """The best selected trial that reads images, else the best; None while no trial is complete."""
    predictions = predictions_of(study)
    if predictions is None:
        return None
    members = select(rule_of(study), predictions, definition.search.metric)
    names = [str(predictions.settings[member]["architecture"]) for member in members]
    reads = ["patch" in definition.catalogue.traits(name) for name in names]
    return predictions.trials[members[reads.index(True) if True in reads else 0]]
