"""Lists of choices that grow while their study lives: what each was, and the name that Optuna has for it.

Optuna takes no categorical parameter whose choices change within a study. A parameter's first list therefore
goes by the parameter's own name, and each longer one by a name of its own: "batch_size#2". Lists only grow,
so that every process finds its own among them by what it holds, whichever is in force elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search.domains import Choice, Parameter, Value
from search.feasible import asked_names, feasible

if TYPE_CHECKING:
    from search.space import Space

SPACE, CHANGES = "space", "space_changes"  # user attributes of a study: its [space], and what became of it


class Lists:
    """The lists that the parameters of a study have had, the oldest first.

    Args:
        attributes: The study's user attributes; without any, each parameter has the one list of its space.
    """

    def __init__(self, attributes: Mapping[str, Any] | None = None) -> None:
        attributes = attributes or {}
        self._table: Mapping[str, Any] = attributes.get(SPACE, {})
        self._had: dict[str, list[tuple[Value, ...]]] = {}
        for change in attributes.get(CHANGES, ()):
            had = self._had.setdefault(change["parameter"], [])
            lists = [entry for entry in (change["before"], change["now"]) if isinstance(entry, list)]
            had += [tuple(entry) for entry in lists if tuple(entry) not in had]

    def asked(self, space: Space, parameter: Parameter, settings: Mapping[str, Value]) -> Parameter:
        """What Optuna is asked for in a trial with these settings so far: by which name, of which values."""
        number, own = self._versions(parameter)[0]
        return _numbered(feasible(space, own, settings), number)

    def answered(
        self,
        space: Space,
        parameter: Parameter,
        settings: Mapping[str, Value],
        known: Mapping[str, Value],
    ) -> Parameter:
        """The same for a trial of which some values are known, by a name under which this one is known.

        Args:
            space: This process' space.
            parameter: One of its parameters.
            settings: Of the trial so far.
            known: What the trial was enqueued with or has sampled, by the names that Optuna has. Whoever
                enqueued it may have had a shorter or a longer list.
        """
        for number, version in self._versions(parameter):
            legal = feasible(space, version, settings)
            for way in (legal, version):
                named = _numbered(way, number)
                if named.name in known and known[named.name] in legal.domain:
                    return named
        return self.asked(space, parameter, settings)

    def names(self, space: Space, name: str, params: Mapping[str, Value]) -> Iterator[str]:
        """Every name by which a parameter may be asked for in a trial of which some parameters are known."""
        if name not in space:
            yield name  # a hypermodel's own
            return
        number, own = self._versions(space[name])[0]
        others = tuple(own if parameter.name == name else parameter for parameter in space.parameters)
        for asked in sorted(asked_names(replace(space, parameters=others), name, params)):
            yield stored_name(asked, number)

    def _versions(self, parameter: Parameter) -> list[tuple[int, Parameter]]:
        """The parameter with each of its lists, by number; this process' own first, then the latest."""
        if not isinstance(parameter.domain, Choice):
            return [(1, parameter)]
        options = parameter.domain.options
        had = self._had.get(parameter.name) or [self._in_recorded_order(parameter.name, options)]
        if not any(set(listed) == set(options) for listed in had):
            had = [*had, options]
        lists = [(number, Choice(listed)) for number, listed in enumerate(had, 1)]
        lists.sort(key=lambda numbered: (set(numbered[1].options) != set(options), -numbered[0]))
        return [(number, replace(parameter, domain=domain)) for number, domain in lists]

    def _in_recorded_order(self, name: str, options: tuple[Value, ...]) -> tuple[Value, ...]:
        """The choices in the order of the study's start: another order of the same is no other list."""
        recorded = _listed(self._table, name)
        return tuple(recorded) if set(recorded) == set(options) else options


def stored_name(name: str, number: int) -> str:
    """The name that Optuna has for the list of that number, counted from 1.

    >>> stored_name("patch_radius[14+]", 1), stored_name("patch_radius[14+]", 2)
    ('patch_radius[14+]', 'patch_radius#2[14+]')
    """
    base, bracket, rest = name.partition("[")
    return name if number == 1 else f"{base}#{number}{bracket}{rest}"


def _numbered(parameter: Parameter, number: int) -> Parameter:
    return replace(parameter, name=stored_name(parameter.name, number))


def _listed(table: Mapping[str, Any], name: str) -> list[Value]:
    """The list that a [space] has for a parameter, in its order; empty where it has none."""
    entry: Any = table
    for key in (name,) if name in table else name.split(".", 1):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    entry = entry.get("choices") if isinstance(entry, Mapping) else entry
    return list(entry) if isinstance(entry, list) else []
