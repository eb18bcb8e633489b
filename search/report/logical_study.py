"""A study as its reader knows it: every parameter by the name of its study file, whatever Optuna calls it.

A list of choices that grew or that an architecture shortens goes by several names in Optuna, which would draw
each of them as a parameter of its own.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from search.booking import is_superseded, settings_of
from search.feasible import logical_name

Numeric = FloatDistribution | IntDistribution


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials that no copy replaces, in order."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if trial.value is not None and not is_superseded(trial)]


def logical_study(study: optuna.Study) -> optuna.Study:
    """A copy in memory: the complete trials, by the names of the study file.

    Only what was searched and took at least two values is kept, conditional parameters where they were in
    force. Names and texts are escaped, as Plotly reads them as HTML.
    """
    trials = completed(study)
    copy = optuna.create_study(direction=study.direction)
    domains = _domains(trials)
    for trial in trials:
        settings = settings_of(trial)
        params = {name: _value(settings[name], d) for name, d in domains.items() if name in settings}
        copy.add_trial(
            optuna.create_trial(
                value=trial.value,
                params={html.escape(name, quote=False): value for name, value in params.items()},
                distributions={html.escape(name, quote=False): domains[name] for name in params},
                user_attrs={"number": trial.number},
            )
        )
    return copy


def _domains(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """One distribution for each searched parameter with at least two values: all that it was drawn from."""
    drawn: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            drawn.setdefault(logical_name(name), []).append(distribution)
    settings = [settings_of(trial) for trial in trials]
    found = {}
    for name in sorted(drawn):
        values = list(dict.fromkeys(each[name] for each in settings if name in each))
        if len(values) > 1:
            found[name] = _widest(drawn[name], values)
    return found


def _widest(drawn: Iterable[BaseDistribution], values: Sequence[CategoricalChoiceType]) -> BaseDistribution:
    """A range over all ranges, or a list of all choices."""
    drawn = list(drawn)
    ranges = [d for d in drawn if isinstance(d, FloatDistribution | IntDistribution)]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(ranges) == len(drawn) and len(numbers) == len(values):
        low, high = min(*numbers, *(d.low for d in ranges)), max(*numbers, *(d.high for d in ranges))
        log = all(d.log for d in ranges)
        if all(isinstance(d, IntDistribution) for d in ranges):
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(low, high, log=log)
    listed = [c for d in drawn if isinstance(d, CategoricalDistribution) for c in d.choices]
    return CategoricalDistribution(tuple(dict.fromkeys(map(_escaped, [*listed, *values]))))


def _value(value: CategoricalChoiceType, domain: BaseDistribution) -> CategoricalChoiceType:
    return _escaped(value) if isinstance(domain, CategoricalDistribution) else value


def _escaped(value: CategoricalChoiceType) -> CategoricalChoiceType:
    return html.escape(value, quote=False) if isinstance(value, str) else value
