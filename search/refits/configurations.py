"""Configurations of a space drawn without looking at any label: the study file's own, then random ones."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import optuna

from data_prep.problems import InputError
from search.child_process import Child
from search.claims import trial_seed
from search.composing import compose, enqueued, setup_of
from search.domains import Value
from search.errors import StudyStoppedError, TrialFailedError
from search.home import Home
from search.limits import TrialLimit
from search.material import Material
from search.placement import Placement
from search.records import TrialConfig
from search.study_file import Study
from search.suggest import sample, stored_names

# Asks a trial's hypermodel for its hyperparameters, given the other settings; none for other trials.
Composer = Callable[[optuna.Trial, Mapping[str, Value]], Mapping[str, Value]]

UNBUILT_IN_A_ROW = 20  # random draws that cannot be built, after which the space is to be looked at


def draw_configurations(
    study: Study, count: int, seed: int, composer: Composer | None = None
) -> tuple[TrialConfig, ...]:
    """Draw as many configurations; more of them begin with the same ones.

    The trials of a study's search will not do: they were chosen by looking at the labels. These are the
    trials that the study enqueues, in its order, then independent random draws from its space, under the same
    conditions and feasibility as trials of the search. A random draw whose hypermodel cannot be built is left
    out. Of a study that was run, `search.refits.reduction.as_begun` enqueues what nobody chose by results.

    Args:
        study: Its space and what it enqueues.
        count: How many, at least 1.
        seed: Of the draws, and of the fits of each.
        composer: Asks hypermodels; None for a space without.

    Raises:
        InputError: An enqueued trial cannot be built.
        StudyStoppedError: Many draws in a row cannot be built.
    """
    optuna_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space, configs, unbuilt = study.parameters, list[TrialConfig](), 0  # in a row
    for params in study.search.enqueue:
        optuna_study.enqueue_trial(stored_names(space, params))
    for place in itertools.count():
        optuna_study.sampler = optuna.samplers.RandomSampler(seed=trial_seed(seed, place))
        trial = optuna_study.ask()
        settings = space.settings(sample(trial, space))
        try:
            own = composer(trial, settings) if composer else {}
        except TrialFailedError as failure:
            unbuilt += 1
            _complain(trial, failure, unbuilt)
            continue
        unbuilt = 0
        configs.append(TrialConfig({**own, **settings}, trial_seed(seed, place)))
        if len(configs) == count:
            break
    return tuple(configs)


def _complain(trial: optuna.Trial, failure: TrialFailedError, unbuilt: int) -> None:
    if enqueued(trial):
        raise InputError(f"search.enqueue[{trial.number}]: {failure}") from failure
    if unbuilt >= UNBUILT_IN_A_ROW:
        raise StudyStoppedError(f"{unbuilt} random draws in a row cannot be built; the last one: {failure}")


@contextmanager
def hypermodels_asked(
    study: Study, home: Home, material: Material, place: Placement
) -> Iterator[Composer | None]:
    """A composer that asks the study's hypermodels in a child process; None where the space has none."""
    own = study.catalogue.own
    if not any(name in own and own[name].kind == "hypermodel" for name in study.parameters.architectures):
        yield None
        return
    log = home.study(study.name).logs / "compose.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    limit = TrialLimit.of(study.search.trial_timeout, ())
    with closing(Child(setup_of(study, home, material), place, log, threading.Event())) as child:
        yield lambda trial, settings: compose(study, trial, settings, child, limit)
