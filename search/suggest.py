"""The one place that asks Optuna for a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from data_prep.problems import InputError
from search.domains import Choice, Domain, Value
from search.feasible import logical_name
from search.space import Space
from search.widening import Lists


def sample(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """Sample the parameters that exist in this trial, each once its condition is known to hold.

    A trial that was enqueued, or taken up again, keeps its values, also under a list that was in force when
    it was made.

    Raises:
        InputError: It was enqueued with an architecture that this process' study file does not have.
    """
    lists, known = Lists(trial.study.user_attrs), _known(trial)
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        settings = space.settings(params)
        if parameter.exists(settings):
            asked = lists.answered(space, parameter, settings, known)
            params[parameter.name] = suggest(trial, asked.name, asked.domain)
            if parameter.name == "architecture" and params["architecture"] not in space.catalogue.names:
                raise InputError(
                    f"trial {trial.number}: needs architecture {params['architecture']!r}, which was added "
                    "to the study later than this run began: start it again with the study's present file"
                )
    return params


def stored_names(space: Space, params: Mapping[str, Value], lists: Lists | None = None) -> dict[str, Value]:
    """The parameters of a trial to enqueue, under every name that `sample` may ask by.

    Args:
        space: The space.
        params: The trial's, by their names in the space.
        lists: The lists that the study has had; None where it only had those of the space.
    """
    lists = lists or Lists()
    return {asked: value for name, value in params.items() for asked in lists.names(space, name, params)}


def is_enqueued(space: Space, params: Mapping[str, Value], trials: Iterable[FrozenTrial]) -> bool:
    """Whether a study has a trial with these parameters and no others fixed, whatever its lists were then."""
    wanted = _logical(space, params)
    return any(_logical(space, t.system_attrs.get("fixed_params", t.params)) == wanted for t in trials)


def suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    """Ask for one value of a domain."""
    if isinstance(domain, Choice):
        chosen: Value = trial.suggest_categorical(name, domain.options)  # type: ignore[assignment]
        return chosen
    if domain.integer:
        step = 1 if domain.step is None else int(domain.step)
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=step, log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def distribution_of(domain: Domain) -> BaseDistribution:
    """The distribution that `suggest` asks Optuna for."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if domain.integer:
        return IntDistribution(int(domain.low), int(domain.high), domain.log, int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, domain.log, domain.step)


def _known(trial: optuna.Trial) -> dict[str, Value]:
    """What the trial was enqueued with, and what an earlier attempt at it sampled."""
    frozen = trial.storage.get_trial(trial._trial_id)
    return {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}


def _logical(space: Space, params: Mapping[str, Value]) -> dict[str, Value]:
    """Parameters by their names in the space; those of hypermodels as they are."""
    return {logical if (logical := logical_name(k)) in space else k: v for k, v in params.items()}
