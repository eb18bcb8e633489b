"""KerasTuner's hyperparameters in Optuna's terms: which of them a trial has, their names, their domains.

Imported by users' scripts alone: KerasTuner loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from keras_tuner.engine.hyperparameters import Float, HyperParameter, Int
from optuna.distributions import BaseDistribution

from search.domains import Choice, Domain, Range, Value
from search.suggest import distribution_of

_ROUNDING = 1e-9  # in steps: (0.3 - 0.0) / 0.1 is 2.9999999999999996


def active(
    space: Iterable[HyperParameter], values: Mapping[str, Any]
) -> Iterator[tuple[str, HyperParameter]]:
    """The hyperparameters whose conditions hold, parents first, each with its name in Optuna.

    `values` is read as the iteration goes, so that a caller may fill it on the way. Of several entries of one
    name (KerasTuner allows them under different conditions) the first that holds counts. They may differ in
    their values, which Optuna does not allow under one name: later entries carry their conditions along.
    """
    known: set[str] = set()
    taken: set[str] = set()
    for hp in space:
        name = f"{hp.name}[{_conditions(hp)}]" if hp.name in known else hp.name
        known.add(hp.name)
        if hp.name not in taken and all(condition.is_active(values) for condition in hp.conditions):
            taken.add(hp.name)
            yield name, hp


def domain_of(hp: HyperParameter) -> Domain:
    """The values of a hyperparameter.

    Raises:
        ValueError: Its scale is "reverse_log" without a step, which Optuna does not have.
    """
    if not isinstance(hp, Int | Float):
        return Choice(tuple(dict.fromkeys(hp.values)))  # Choice, Boolean, Fixed
    kind = int if isinstance(hp, Int) else float
    if hp.sampling != "linear" and hp.step is not None:
        # The step multiplies; Optuna's only adds. Rounding may repeat whole numbers.
        return Choice(tuple(dict.fromkeys(kind(value) for value in hp.values)))
    if hp.sampling == "reverse_log":
        raise ValueError(
            f"hyperparameter {hp.name!r}: a scale must be 'linear' or 'log' (Optuna has no other), but got "
            "sampling='reverse_log'; give a step, or search the logarithm of its distance from the upper end"
        )
    low, high = hp.min_value, hp.max_value
    if hp.step is not None:
        # On the grid, in decimals as Optuna counts: KerasTuner takes 0 to 1 in steps of 0.2 to end at 0.8.
        first, last, step = (Decimal(str(number)) for number in (low, high, hp.step))
        high = kind(first + (last - first) // step * step)
    return Range(low, high, log=hp.sampling == "log", integer=kind is int, step=hp.step)


def on_grid(hp: HyperParameter, value: Value) -> Value:
    """What Optuna drew, to the bit as KerasTuner computes it: that is how it knows values tried before."""
    if not isinstance(hp, Float) or hp.step is None or hp.sampling != "linear":
        return value
    return float(hp.min_value + round((float(value) - hp.min_value) / hp.step) * hp.step)


def recorded(
    space: Iterable[HyperParameter], values: Mapping[str, Any]
) -> tuple[dict[str, Value], dict[str, BaseDistribution]]:
    """What ran, as Optuna records it: parameters and their distributions.

    A value outside its domain (a default may lie anywhere) is left out, as Optuna would refuse it.
    """
    params: dict[str, Value] = {}
    distributions: dict[str, BaseDistribution] = {}
    for name, hp in active(space, values):
        domain = domain_of(hp)
        value = _legal(domain, values.get(hp.name))
        if value is not None:
            params[name], distributions[name] = value, distribution_of(domain)
    return params, distributions


def _legal(domain: Domain, value: Any) -> Value | None:
    """The value itself if it lies in the domain, rounding aside; else None."""
    if isinstance(domain, Choice):
        return value if value in domain else None
    if isinstance(value, bool) or not isinstance(value, int if domain.integer else int | float):
        return None
    inside = min(max(value, domain.low), domain.high)
    if domain.step is None:
        return inside if inside == value else None
    steps = (value - domain.low) / domain.step
    off = abs(steps - round(steps)) + abs(inside - value) / domain.step
    return inside if off < _ROUNDING * max(1.0, abs(steps)) else None


def _conditions(hp: HyperParameter) -> str:
    return ", ".join(f"{c.name}={'|'.join(map(str, c.values))}" for c in hp.conditions)
