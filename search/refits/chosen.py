"""Which trials of a study are fitted once more: what its rule selects, or the one that is named."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from data_prep.problems import InputError
from search.booking import booked_settings, counts
from search.facts import rule_of
from search.statistics.predictions import predictions_of
from search.statistics.selection import select
from search.study_file import Study

NAMED = "named"
"""The rule of a trial that was named."""


def chosen_trials(
    recorded: optuna.Study, study: Study, trial: int | None = None
) -> tuple[tuple[FrozenTrial, ...], str]:
    """The trials that a study selects, and how: the name of its rule.

    Args:
        recorded: What Optuna has of the study.
        study: Its settings.
        trial: The number of a trial, which is taken alone; None for what the study's rule selects.

    Raises:
        InputError: No trial is complete; no such trial.
    """
    numbers, rule = _selected(recorded, study) if trial is None else ((trial,), NAMED)
    trials = recorded.get_trials(deepcopy=False)
    return tuple(_numbered(trials, number, study.name) for number in numbers), rule


def _selected(recorded: optuna.Study, study: Study) -> tuple[tuple[int, ...], str]:
    """The trials that the study's rule selects, and its name."""
    predictions, rule = predictions_of(recorded), rule_of(recorded)
    if predictions is None:
        raise InputError(f"STUDY: a complete trial is needed, but study {study.name!r} has none yet")
    members = select(rule, predictions, study.search.metric)
    return tuple(predictions.trials[member] for member in members), rule.name


def _numbered(trials: Sequence[FrozenTrial], number: int, study: str) -> FrozenTrial:
    found = next((one for one in trials if one.number == number), None)
    if found is None or not counts(found) or booked_settings(found) is None:
        known = [str(one.number) for one in trials if counts(one) and booked_settings(one) is not None]
        raise InputError(
            f"--trial: a trial of study {study!r} that was run is needed, but got {number}. "
            f"There {'are' if known else 'is none yet'} {', '.join(known)}".rstrip()
        )
    return found
