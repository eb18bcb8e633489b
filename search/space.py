"""The search space as plain data: which parameters a trial has, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from data_prep.problems import Problems, nearest
from search.catalogue import TRAITS, Catalogue
from search.domains import Choice, Domain, Parameter, Value, condition_text, holds, largest, spelt
from search.entries import read_domain, read_own_domain
from search.feasible import bounds, conflicts, impossible, logical_name
from search.known import KNOWN, Known, resolve


@dataclass(frozen=True)
class Space:
    """The parameters in an order in which each comes after those its condition names.

    Attributes:
        parameters: What is sampled.
        known: What a trial can have at all, with the study's defaults (`search.known.resolve`).
        catalogue: The architectures that the study can name.
    """

    parameters: tuple[Parameter, ...]
    known: Mapping[str, Known]
    catalogue: Catalogue

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)

    def __contains__(self, name: object) -> bool:
        """Whether the space has a parameter of that name."""
        return any(parameter.name == name for parameter in self.parameters)

    def domain(self, name: str) -> Domain:
        """The values that a trial can have where the parameter applies, be they sampled or the default."""
        default = self.known[name].default
        if name not in self:
            return Choice(() if default is None else (default,))
        parameter = self[name]
        is_always_sampled = parameter.when == self.known[name].applies
        return parameter.domain if is_always_sampled or default is None else _with(parameter.domain, default)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures that a trial can have."""
        return _options(self.domain("architecture"))

    @property
    def largest_radius(self) -> int:
        """The largest patch radius that a trial can ask for."""
        return int(largest(self.domain("patch_radius")))

    def only(self, names: Iterable[str]) -> Space:
        """The space without the parameters that none of these names stands for; names as Optuna has them."""
        kept = {logical_name(name) for name in names}
        return replace(self, parameters=tuple(p for p in self.parameters if p.name in kept))

    def settings(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """What a trial with these sampled values uses: they, and the defaults of what applies besides."""
        complete = dict(params)
        for name, known in self.known.items():
            if name not in complete and holds(known.applies, complete):
                default = known.default
                complete[name] = self._own_default(complete) if default is None else default
        return complete

    def _own_default(self, settings: Mapping[str, Value]) -> str:
        return self.catalogue.head(str(settings["architecture"]))


def _with(domain: Domain, value: Value) -> Domain:
    """A domain that also holds a value."""
    if value in domain:
        return domain
    if isinstance(domain, Choice):
        return Choice((*domain.options, value))
    return replace(domain, low=min(domain.low, float(value)), high=max(domain.high, float(value)))


def read_space(
    table: Mapping[str, Any],
    where: str,
    problems: Problems,
    catalogue: Catalogue | None = None,
    defaults: Mapping[str, Value] | None = None,
) -> Space:
    """Read the [space] of a study file; what is wrong goes to `problems`.

    Args:
        table: By parameter; a table by the name of one of the study's own architectures holds that one's.
        where: The file, for problems.
        problems: Takes what is wrong.
        catalogue: The architectures that the study can name; None for the registry's.
        defaults: The study's own, for parameters that the space does not name.
    """
    catalogue = catalogue or Catalogue()
    if not table:
        problems.add(f"{where}: space", "at least one parameter is needed, but it is empty")
    offered, weights = _offered(table, "architecture", catalogue.names), _offered(table, "weights", None)
    known = resolve(catalogue, offered, weights, defaults or {})
    found = []
    for name, entry in table.items():
        if name in catalogue.own:
            found += _read_own(name, entry, offered, catalogue, where, problems)
        else:
            found.append(_read_parameter(name, entry, known, where, problems))
    parameters = [parameter for parameter in found if parameter is not None]
    space = Space(_in_order(parameters, known, where, problems), known, catalogue)
    for place, law in impossible(space):
        problems.add(f"{where}: space.{place}", law)
    return space


def check_params(space: Space, params: Mapping[str, Value], where: str, problems: Problems) -> None:
    """Check the parameters of one enqueued trial against the space."""
    before = len(problems)
    for name, value in params.items():
        if _is_asked_later(space, name, params):
            continue
        if name not in space:
            problems.add(f"{where}.{name}", f"unknown parameter; {nearest(name, _names(space))}")
        elif value not in space[name].domain:
            problems.add(f"{where}.{name}", f"must be one of {space[name].domain}, but got {value!r}")
        elif not _could_exist(space, space[name], params):
            condition = condition_text(space[name].when)
            problems.add(f"{where}.{name}", f"exists only when {condition}, but got {dict(params)}")
    if len(problems) == before:
        for law in conflicts(space, params):
            problems.add(where, law)


def _offered(table: Mapping[str, Any], name: str, legal: Iterable[str] | None) -> tuple[str, ...]:
    """The names that an entry lists, as far as they can be told before it is checked."""
    entry = table.get(name, KNOWN[name].default)
    entry = entry.get("choices", []) if isinstance(entry, Mapping) else entry
    names = entry if isinstance(entry, list) else [entry]
    return tuple(n for n in names if isinstance(n, str) and (legal is None or n in legal))


def _options(domain: Domain) -> tuple[str, ...]:
    return tuple(map(str, domain.options)) if isinstance(domain, Choice) else ()


def _is_asked_later(space: Space, name: str, params: Mapping[str, Value]) -> bool:
    """Whether a parameter is one that the trial's hypermodel may ask for when it is built."""
    architecture, dot, _ = name.partition(".")
    own = space.catalogue.own.get(architecture)
    may_be_it = (
        architecture in space.architectures and params.get("architecture", architecture) == architecture
    )
    return bool(dot) and own is not None and own.kind == "hypermodel" and may_be_it


def _names(space: Space) -> Iterable[str]:
    return (parameter.name for parameter in space.parameters)


def _could_exist(space: Space, parameter: Parameter, params: Mapping[str, Value]) -> bool:
    """Whether the trial may have the parameter, given those of its values that are known."""
    for name, values in parameter.when.items():
        if name in params and params[name] not in values:
            return False
        if name in space and not _could_exist(space, space[name], params):
            return False
    return True


def _read_parameter(
    name: str, entry: Any, table: Mapping[str, Known], where: str, problems: Problems
) -> Parameter | None:
    here = f"{where}: space.{name}"
    known = table.get(name)
    if known is None:
        problems.add(here, f"unknown parameter; {nearest(name, table)}")
        return None
    if known.applies.get("architecture") == ():
        problems.add(here, f"means nothing here: it needs {TRAITS[known.trait or '']}, and none is offered")
        return None
    when = dict(known.applies)
    if isinstance(entry, Mapping):
        when |= _read_when(entry.get("when", {}), known.applies, here, problems)
        entry = {key: value for key, value in entry.items() if key != "when"}
    domain = read_domain(entry, known, here, problems)
    return None if domain is None else Parameter(name, domain, when)


def _read_own(
    architecture: str,
    table: Any,
    offered: tuple[str, ...],
    catalogue: Catalogue,
    where: str,
    problems: Problems,
) -> list[Parameter | None]:
    """The parameters of one of the study's own architectures, "mine.width"."""
    here = f"{where}: space.{architecture}"
    if catalogue.own[architecture].kind == "hypermodel":
        problems.add(
            here, "a hypermodel asks for its own parameters; `fixed` in [architectures] holds some of them"
        )
        return []
    if not isinstance(table, Mapping):
        problems.add(here, f"a table of its parameters is needed, but got {table!r}")
        return []
    if architecture not in offered:
        problems.add(here, f"means nothing where architecture is never {architecture}")
    alone = {"architecture": (architecture,)} if set(offered) != {architecture} else {}
    found: list[Parameter | None] = []
    for name, entry in table.items():
        when: dict[str, tuple[Value, ...]] = dict(alone)
        if isinstance(entry, Mapping):
            when |= _read_when(entry.get("when", {}), alone, f"{here}.{name}", problems)
            entry = {key: value for key, value in entry.items() if key != "when"}
        domain = read_own_domain(entry, f"{here}.{name}", problems)
        found.append(None if domain is None else Parameter(f"{architecture}.{name}", domain, when))
    return found


def _read_when(
    when: Any, applies: Mapping[str, tuple[Value, ...]], here: str, problems: Problems
) -> dict[str, tuple[Value, ...]]:
    if not isinstance(when, Mapping):
        problems.add(f"{here}.when", f'a table such as {{ optimizer = "sgd" }} is needed, but got {when!r}')
        return {}
    conditions = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in when.items()}
    for name, values in conditions.items():
        if not all(isinstance(value, str | int | float) for value in values):
            problems.add(
                f"{here}.when.{name}", f"a value or a list of values is needed, but got {when[name]!r}"
            )
            return {}
    for name, values in applies.items():
        for value in set(conditions.get(name, ())) - set(values):
            legal = " or ".join(map(spelt, values))
            problems.add(f"{here}.when", f"means nothing where {name} = {value}, only where it is {legal}")
    return conditions


def _check_conditions(
    parameters: list[Parameter], known: Mapping[str, Known], where: str, problems: Problems
) -> None:
    """Each condition must name another parameter, and values that it can have."""
    domains: dict[str, Domain] = {
        name: Choice(() if entry.default is None else (entry.default,)) for name, entry in known.items()
    }
    domains |= {parameter.name: parameter.domain for parameter in parameters}
    for parameter in parameters:
        here = f"{where}: space.{parameter.name}.when"
        for other, values in parameter.when.items():
            if other in domains:
                # a condition of our own may name more than this space has
                own = known[parameter.name].applies if parameter.name in known else {}
                legal = (*known[other].names, *own.get(other, ())) if other in known else ()
                _check_values(here, other, values, domains[other], legal, problems)
            else:
                hint = nearest(other, domains)
                problems.add(here, f"must name another parameter, but got {other!r}; {hint}")


def _check_values(
    here: str,
    other: str,
    values: tuple[Value, ...],
    domain: Domain,
    legal: tuple[Value, ...],
    problems: Problems,
) -> None:
    for value in values:
        if value not in domain and value not in legal:
            problems.add(here, f"{value!r} is no value of {other}, which is {domain}")
    if not any(value in domain for value in values):
        wanted = " or ".join(map(spelt, values)) or "other than none"
        problems.add(here, f"can never hold: it needs {other} = {wanted}, which is {domain}")


def _in_order(
    parameters: list[Parameter], known: Mapping[str, Known], where: str, problems: Problems
) -> tuple[Parameter, ...]:
    """The parameters, each after those that its condition names."""
    names, ordered = {parameter.name for parameter in parameters}, list[Parameter]()
    _check_conditions(parameters, known, where, problems)
    waiting = list(parameters)
    while waiting:
        done = {parameter.name for parameter in ordered}
        ready = [p for p in waiting if not ((set(p.when) | bounds(p.name)) & names) - done]
        if not ready:
            problems.add(
                f"{where}: space", f"conditions must not go in a circle: {', '.join(p.name for p in waiting)}"
            )
            break
        ordered += ready
        waiting = [p for p in waiting if p not in ready]
    return tuple(ordered)
