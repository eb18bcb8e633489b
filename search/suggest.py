"""The one place that asks Optuna for a value."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from search.domains import Choice, Domain, Value
from search.feasible import asked_names, feasible
from search.space import Space


def sample(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """Sample the parameters that exist in this trial, each once its condition is known to hold."""
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        settings = space.settings(params)
        if parameter.exists(settings):
            asked = feasible(space, parameter, settings)
            params[parameter.name] = suggest(trial, asked.name, asked.domain)
    return params


def stored_names(space: Space, params: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters of a trial to enqueue, under every name that `sample` may ask by."""
    names = {name: asked_names(space, name, params) if name in space else {name} for name in params}
    return {asked: value for name, value in params.items() for asked in sorted(names[name])}


def suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    """Ask for one value of a domain."""
    if isinstance(domain, Choice):
        chosen: Value = trial.suggest_categorical(name, domain.options)  # type: ignore[assignment]
        return chosen
    if domain.integer:
        step = 1 if domain.step is None else int(domain.step)
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=step, log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
