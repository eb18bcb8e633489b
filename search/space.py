"""The search space as plain data: which parameters a trial has, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_prep.problems import Problems, nearest
from models.registry import ARCHITECTURES, OPTIMIZERS, smallest_side

Value = str | int | float


@dataclass(frozen=True)
class Known:
    """What a parameter of the space may be.

    Attributes:
        kind: The type of its values.
        default: What a trial uses where the space does not name the parameter.
        low: Smallest legal number, itself legal unless `open_low`.
        high: Every legal number lies below it.
        applies: Where the parameter means anything, as in `when`.
    """

    kind: type
    default: Value
    names: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    applies: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)


KNOWN: dict[str, Known] = {
    "architecture": Known(str, "resnet50", names=tuple(sorted(ARCHITECTURES))),
    "optimizer": Known(str, "adam", names=tuple(sorted(OPTIMIZERS))),
    "learning_rate": Known(float, 1e-3, low=0.0, open_low=True),
    "batch_size": Known(int, 9, low=1),
    "patch_radius": Known(int, 8, low=1),
    "momentum": Known(float, 0.9, low=0.0, high=1.0, applies={"optimizer": ("sgd",)}),
}


@dataclass(frozen=True)
class Choice:
    """One of several values, in no order."""

    options: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        """Whether a trial may have `value`."""
        return value in self.options

    def __str__(self) -> str:
        """The options as a user wrote them."""
        return ", ".join(map(str, self.options))


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included, on a linear or a logarithmic scale."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __contains__(self, value: object) -> bool:
        """Whether a trial may have `value`."""
        legal = int if self.integer else int | float
        return isinstance(value, legal) and self.low <= value <= self.high

    def __str__(self) -> str:
        """The range as a user would say it."""
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Parameter:
    """One parameter; it exists in a trial whose earlier values satisfy `when`."""

    name: str
    domain: Choice | Range
    when: Mapping[str, tuple[Value, ...]]

    def exists(self, params: Mapping[str, Value]) -> bool:
        """Whether a trial with these settings has the parameter."""
        return all(params.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True)
class Space:
    """The parameters in an order in which each comes after those its condition names."""

    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)

    def __contains__(self, name: object) -> bool:
        """Whether the space has a parameter of that name."""
        return any(parameter.name == name for parameter in self.parameters)

    @property
    def largest_radius(self) -> int:
        """The largest patch radius that a trial can ask for."""
        if "patch_radius" not in self:
            return int(KNOWN["patch_radius"].default)
        domain = self["patch_radius"].domain
        return int(max(domain.options) if isinstance(domain, Choice) else domain.high)

    def settings(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """What a trial with these sampled values uses: they, and the defaults of what applies besides."""
        complete = dict(params)
        for name, known in KNOWN.items():
            if name not in complete and _applies(known.applies, complete):
                complete[name] = known.default
        return complete


def smallest_radius(architecture: str) -> int:
    """The smallest patch radius at which an architecture can be built.

    >>> smallest_radius("densenet201")
    14
    """
    return math.ceil((smallest_side(architecture) - 1) / 2)


def read_space(table: Mapping[str, Any], where: str, problems: Problems) -> Space:
    """Read the [space] of a study file; what is wrong goes to `problems`."""
    if not table:
        problems.add(f"{where}: space", "at least one parameter is needed, but it is empty")
    parameters = [_read_parameter(name, entry, where, problems) for name, entry in table.items()]
    space = Space(_in_order([p for p in parameters if p is not None], where, problems))
    _check_radius(space, where, problems)
    return space


def check_params(space: Space, params: Mapping[str, Value], where: str, problems: Problems) -> None:
    """Check the parameters of one enqueued trial against the space."""
    for name, value in params.items():
        if name not in space:
            problems.add(f"{where}.{name}", f"unknown parameter; {nearest(name, _names(space))}")
        elif value not in space[name].domain:
            problems.add(f"{where}.{name}", f"must be one of {space[name].domain}, but got {value!r}")
        elif not _could_exist(space[name], params):
            condition = ", ".join(f"{k} = {' or '.join(map(str, v))}" for k, v in space[name].when.items())
            problems.add(f"{where}.{name}", f"exists only when {condition}, but got {dict(params)}")
    radius = params.get("patch_radius")
    if not isinstance(radius, int):
        return
    for architecture in _architectures(space, params):
        needed = smallest_radius(architecture)
        if radius < needed:
            problems.add(where, f"{architecture} needs patch_radius >= {needed}, but got {radius}")


def _architectures(space: Space, params: Mapping[str, Value]) -> list[str]:
    """The architectures that a trial with these parameters may get."""
    options: tuple[Value, ...] = (KNOWN["architecture"].default,)
    if "architecture" in space and isinstance(domain := space["architecture"].domain, Choice):
        options = domain.options
    chosen = params.get("architecture")
    return [str(option) for option in options if chosen is None or option == chosen]


def _names(space: Space) -> Iterable[str]:
    return (parameter.name for parameter in space.parameters)


def _could_exist(parameter: Parameter, params: Mapping[str, Value]) -> bool:
    return all(params[name] in values for name, values in parameter.when.items() if name in params)


def _applies(condition: Mapping[str, tuple[Value, ...]], params: Mapping[str, Value]) -> bool:
    return all(params.get(name) in values for name, values in condition.items())


def _read_parameter(name: str, entry: Any, where: str, problems: Problems) -> Parameter | None:
    here = f"{where}: space.{name}"
    known = KNOWN.get(name)
    if known is None:
        problems.add(here, f"unknown parameter; {nearest(name, KNOWN)}")
        return None
    when = dict(known.applies)
    if isinstance(entry, Mapping):
        when |= _read_when(entry.get("when", {}), known.applies, here, problems)
        entry = {key: value for key, value in entry.items() if key != "when"}
        domain = _read_table(entry, known, here, problems)
    else:
        domain = _read_choice(entry if isinstance(entry, list) else [entry], known, here, problems)
    return None if domain is None else Parameter(name, domain, when)


def _read_table(
    entry: Mapping[str, Any], known: Known, here: str, problems: Problems
) -> Choice | Range | None:
    if set(entry) == {"choices"} and isinstance(entry["choices"], list):
        return _read_choice(entry["choices"], known, here, problems)
    unknown = set(entry) - {"low", "high", "log", "choices"}
    for key in sorted(unknown):
        problems.add(
            f"{here}.{key}", f"unknown key; {nearest(key, ['low', 'high', 'log', 'when', 'choices'])}"
        )
    if unknown:
        return None
    return _read_range(entry, known, here, problems)


def _read_range(entry: Mapping[str, Any], known: Known, here: str, problems: Problems) -> Range | None:
    low: Any
    high: Any
    low, high, log = entry.get("low"), entry.get("high"), entry.get("log", False)
    if known.kind is str:
        problems.add(here, f"a list of names is needed, but got {dict(entry)}")
        return None
    if (
        "choices" in entry
        or not isinstance(log, bool)
        or not (_legal_type(low, known) and _legal_type(high, known))
    ):
        noun = "whole numbers" if known.kind is int else "numbers"
        problems.add(
            here, f"a range needs low and high, {noun}, and log true or false, but got {dict(entry)}"
        )
        return None
    if not low < high:
        problems.add(here, f"`low < high` must hold, but got low={low}, high={high}")
        return None
    legal = [
        _check_value(low, known, f"{here}.low", problems),
        _check_value(high, known, f"{here}.high", problems),
    ]
    if log and low <= 0:
        problems.add(here, f"a logarithmic range must lie above 0, but got low={low}")
        return None
    return Range(low, high, log, known.kind is int) if all(legal) else None


def _read_choice(options: list[Any], known: Known, here: str, problems: Problems) -> Choice | None:
    if not options:
        problems.add(here, "at least one value is needed, but the list is empty")
        return None
    if len(set(map(repr, options))) < len(options):
        problems.add(here, f"values must differ, but got {options}")
        return None
    legal = [_check_value(option, known, here, problems) for option in options]
    return Choice(tuple(known.kind(option) for option in options)) if all(legal) else None


def _legal_type(value: Any, known: Known) -> bool:
    legal = (int, float) if known.kind is float else known.kind
    return isinstance(value, legal) and not isinstance(value, bool)


def _check_value(value: Any, known: Known, here: str, problems: Problems) -> bool:
    """Whether `value` is legal; if not, one problem is added."""
    noun = {str: "a name", int: "a whole number", float: "a number"}[known.kind]
    if not _legal_type(value, known):
        problems.add(here, f"{noun} is needed, but got {value!r}")
    elif known.names and value not in known.names:
        problems.add(here, f"unknown name {value!r}; {nearest(value, known.names)}")
    elif known.kind is not str and not (known.low <= value < known.high and math.isfinite(value)):
        problems.add(here, f"must lie in {_interval(known)}, but got {value}")
    elif known.open_low and value <= known.low:
        problems.add(here, f"must be above {known.low:g}, but got {value}")
    else:
        return True
    return False


def _interval(known: Known) -> str:
    return f"[{known.low:g}, {known.high:g})"


def _read_when(
    when: Any, applies: Mapping[str, tuple[Value, ...]], here: str, problems: Problems
) -> dict[str, tuple[Value, ...]]:
    if not isinstance(when, Mapping):
        problems.add(f"{here}.when", f'a table such as {{ optimizer = "sgd" }} is needed, but got {when!r}')
        return {}
    conditions = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in when.items()}
    for name, values in applies.items():
        for value in set(conditions.get(name, ())) - set(values):
            problems.add(
                f"{here}.when", f"means nothing where {name} = {value}, only where it is {values[0]}"
            )
    return conditions


def _check_conditions(parameters: list[Parameter], where: str, problems: Problems) -> None:
    """Each condition must name another parameter, and values that it can have."""
    domains: dict[str, Choice | Range] = {name: Choice((known.default,)) for name, known in KNOWN.items()}
    domains |= {parameter.name: parameter.domain for parameter in parameters}
    for parameter in parameters:
        here = f"{where}: space.{parameter.name}.when"
        for other, values in parameter.when.items():
            if other in domains:
                _check_values(here, other, values, domains[other], problems)
            else:
                hint = nearest(other, domains)
                problems.add(here, f"must name another parameter, but got {other!r}; {hint}")


def _check_values(
    here: str, other: str, values: tuple[Value, ...], domain: Choice | Range, problems: Problems
) -> None:
    legal = KNOWN[other].names  # a condition of our own may name more than this space has
    for value in values:
        if value not in domain and value not in legal:
            problems.add(here, f"{value!r} is no value of {other}, which is {domain}")
    if not any(value in domain for value in values):
        wanted = " or ".join(map(str, values))
        problems.add(here, f"can never hold: it needs {other} = {wanted}, which is {domain}")


def _in_order(parameters: list[Parameter], where: str, problems: Problems) -> tuple[Parameter, ...]:
    """The parameters, each after those that its condition names."""
    names, ordered = {parameter.name for parameter in parameters}, list[Parameter]()
    _check_conditions(parameters, where, problems)
    waiting = list(parameters)
    while waiting:
        done = {parameter.name for parameter in ordered}
        ready = [p for p in waiting if not (_needs(p) & names) - done]
        if not ready:
            problems.add(
                f"{where}: space", f"conditions must not go in a circle: {', '.join(p.name for p in waiting)}"
            )
            break
        ordered += ready
        waiting = [p for p in waiting if p not in ready]
    return tuple(ordered)


def _needs(parameter: Parameter) -> set[str]:
    """The parameters that must be known before this one: those of its condition, and what bounds it."""
    return set(parameter.when) | ({"architecture"} if parameter.name == "patch_radius" else set())


def _check_radius(space: Space, where: str, problems: Problems) -> None:
    """Refuse an architecture that no radius of the space suits; smaller radii are not sampled for it."""
    if "architecture" in space and isinstance(space["architecture"].domain, Choice):
        for name in space["architecture"].domain.options:
            needed = smallest_radius(str(name))
            if needed > space.largest_radius:
                problems.add(
                    f"{where}: space.architecture",
                    f"{name} needs patch_radius >= {needed}, but the space ends at {space.largest_radius}",
                )
