"""What may change about the space of a study that has begun: values may be added, meanings may not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from data_prep.problems import Problems
from search.domains import Choice, Domain, Parameter, Range, Value, condition_text, spelt
from search.space import Space

Change = dict[str, Any]


def compare(study: str, before: Space, log: Sequence[Change], now: Space, problems: Problems) -> list[Change]:
    """What is new about a study's space; what must not have changed goes to `problems`.

    Choices may be added in any place and named in any order, ranges may move, parameters may be added. A
    choice or a parameter that is gone, another scale or type, and a condition that holds for other trials
    than it did would change what earlier trials mean.

    Args:
        study: Its name, for problems.
        before: The space recorded with the study.
        log: The changes recorded with it; they count where `before` does not have them yet.
        now: The space to continue with.
        problems: Takes what is wrong.

    Returns:
        A record for each parameter that changed: {time, parameter, before, now}. A list is in the order
        recorded, what was added last; a range is {low, high, log, integer, step}; `before` is None for a new
        parameter.
    """
    had = {parameter.name: parameter.domain for parameter in before.parameters}
    had |= {change["parameter"]: domain_of(change["now"]) for change in log}
    changes = []
    for name, domain in had.items():
        if name not in now:
            law = f"must stay {_in_words(domain)} as at the study's start, but is not in the space"
            _refuse(problems, study, name, law)
    for parameter in now.parameters:
        old = had.get(parameter.name)
        broken = None if old is None else _broken(old, parameter.domain)
        if broken is not None:
            _refuse(problems, study, parameter.name, broken)
        elif plain(grown := _grown(old, parameter.domain)) != plain(old):
            changes.append(_change(parameter.name, old, grown))
        if parameter.name in before:
            _check_condition(study, before, before[parameter.name], parameter, problems)
    return changes


def recorded(
    table: Mapping[str, Any], before: Mapping[str, Any], changes: Sequence[Change]
) -> dict[str, Any]:
    """A study's [space] with each list in the order in which Optuna has it.

    Args:
        table: The [space] to continue with.
        before: The one recorded.
        changes: All that was recorded since the start.
    """
    orders = {c["parameter"]: c["now"] for c in changes if isinstance(c["now"], list)}
    return {name: _in_order(entry, name, before.get(name), orders) for name, entry in table.items()}


def plain(domain: Domain | None) -> Any:
    """A domain as JSON has it: the list of choices, or a table; None for no parameter."""
    if domain is None:
        return None
    return list(domain.options) if isinstance(domain, Choice) else asdict(domain)


def domain_of(entry: Any) -> Domain:
    """A domain from what `plain` made of it."""
    return Choice(tuple(entry)) if isinstance(entry, list) else Range(**entry)


def _change(name: str, before: Domain | None, now: Domain) -> Change:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return {"time": time, "parameter": name, "before": plain(before), "now": plain(now)}


def _refuse(problems: Problems, study: str, parameter: str, law: str) -> None:
    problems.add(f"study {study!r}: space.{parameter}", f"{law}. Use another name for a new study")


def _broken(old: Domain, new: Domain) -> str | None:
    """Why a parameter would not mean what it did; None where it does."""
    if isinstance(old, Choice) and isinstance(new, Choice):
        gone = [option for option in old.options if option not in new]
        lost = ", ".join(map(spelt, gone))
        return f"must keep {lost} of its choices {old}, but got {new}" if gone else None
    if isinstance(old, Range) and isinstance(new, Range) and (old.log, old.integer) == (new.log, new.integer):
        return None
    return f"must stay {_in_words(old)} as at the study's start, but got {_in_words(new)}"


def _in_words(domain: Domain) -> str:
    if isinstance(domain, Choice):
        return f"one of {domain}" if domain.size > 1 else str(domain)
    return f"{domain}, {'whole numbers' if domain.integer else 'any number'}"


def _grown(old: Domain | None, new: Domain) -> Domain:
    """The new domain, a list in the order of the old one and then its own."""
    if isinstance(old, Choice) and isinstance(new, Choice):
        return Choice((*old.options, *(option for option in new.options if option not in old)))
    return new


def _in_order(entry: Any, name: str, before: Any, orders: Mapping[str, list[Value]]) -> Any:
    """An entry of a [space] with its list as the changes have it, else as it was before."""
    if isinstance(entry, Mapping) and "choices" in entry:
        old = before.get("choices") if isinstance(before, Mapping) else before
        return {**entry, "choices": _in_order(entry["choices"], name, old, orders)}
    if isinstance(entry, Mapping):
        old = before if isinstance(before, Mapping) else {}
        return {key: _in_order(value, f"{name}.{key}", old.get(key), orders) for key, value in entry.items()}
    if not isinstance(entry, list):
        return entry
    order: Any = orders.get(name) or (before.get("choices") if isinstance(before, Mapping) else before)
    is_another_order = isinstance(order, list) and set(order) == set(entry)
    return list(order) if is_another_order else entry


def _check_condition(study: str, before: Space, old: Parameter, new: Parameter, problems: Problems) -> None:
    """The parameter must exist in those of the trials possible before in which it existed before."""
    for other in {**old.when, **new.when}:
        if _holding(before, other, old) != _holding(before, other, new):
            was, got = (condition_text(parameter.when) or "always" for parameter in (old, new))
            law = f"must stay ({was}) as at the study's start, but got ({got})"
            _refuse(problems, study, f"{new.name}.when", law)
            return


def _holding(before: Space, other: str, parameter: Parameter) -> frozenset[Value | None] | None:
    """The values of another parameter for which this one's condition held; None for all of a range.

    None among the values stands for trials that do not have the other parameter.
    """
    domain, may_lack = _values_before(before, other)
    wanted = parameter.when.get(other)
    if wanted is not None:
        return frozenset(value for value in wanted if value in domain)
    if isinstance(domain, Range):
        return None
    return frozenset(domain.options) | (frozenset({None}) if may_lack else frozenset())


def _values_before(before: Space, name: str) -> tuple[Domain, bool]:
    """What a parameter could be in the space before, and whether trials could lack it."""
    if name in before.known:
        return before.domain(name), bool(before.known[name].applies)
    if name in before:
        return before[name].domain, bool(before[name].when)
    return Choice(()), True
