"""The one place that asks Optuna for a value."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from search.space import Choice, Parameter, Range, Space, Value, smallest_radius


def sample(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """Sample the parameters that exist in this trial, each once its condition is known to hold."""
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        if parameter.exists(space.settings(params)):
            params[parameter.name] = _suggest(trial, _feasible(parameter, space.settings(params)))
    return params


def stored_names(space: Space, params: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters of a trial to enqueue, under the names that `sample` will ask for."""
    settings = space.settings(params)
    return {_feasible(space[name], settings).name: value for name, value in params.items()}


def _feasible(parameter: Parameter, settings: Mapping[str, Value]) -> Parameter:
    """The parameter without the patch radii at which the trial's architecture cannot be built."""
    if parameter.name != "patch_radius" or "architecture" not in settings:
        return parameter
    needed, domain = smallest_radius(str(settings["architecture"])), parameter.domain
    if isinstance(domain, Range):
        domain = Range(max(domain.low, needed), domain.high, domain.log, domain.integer)
        return Parameter(parameter.name, domain, parameter.when)
    kept = tuple(option for option in domain.options if int(option) >= needed)
    if kept == domain.options:
        return parameter
    # A categorical distribution may not change between trials, hence a name of its own for the shorter list.
    return Parameter(f"patch_radius[{needed}+]", Choice(kept), parameter.when)


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    domain, name = parameter.domain, parameter.name
    if isinstance(domain, Choice):
        chosen: Value = trial.suggest_categorical(name, domain.options)  # type: ignore[assignment]
        return chosen
    if domain.integer:
        return trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
