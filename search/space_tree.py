"""A search space as a tree of conditions, and how many combinations it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.text import Text
from rich.tree import Tree

from search.domains import Choice, Domain, Parameter, Value, condition_text, spelt
from search.feasible import bounds, feasible
from search.space import Space

Condition = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class Count:
    """How large a space is.

    Attributes:
        combinations: Of the parameters with a finite number of values.
        continuous: The parameters that have a value between any two, in the space's order.
    """

    combinations: int
    continuous: tuple[str, ...]


def space_tree(space: Space, title: str, asked: Mapping[str, list[Parameter]] | None = None) -> Tree:
    """The parameters under the conditions on which they exist.

    Args:
        space: The space.
        title: At the root.
        asked: What each hypermodel asks for when it is built, where that is known.
    """
    root = Tree(Text(title, style="bold"))
    forest = _Forest(root)
    for parameter in (*space.parameters, *(p for found in (asked or {}).values() for p in found)):
        forest.add(parameter)
    if "architecture" not in space:
        root.add(Text(f"architecture  {space.domain('architecture')}", style="dim"))
    return root


def count(space: Space) -> Count:
    """Number of different trials, continuous parameters aside; what cannot be built does not count."""
    continuous = tuple(p.name for p in space.parameters if p.domain.size is None)
    return Count(_count(space, _deciding(space), 0, {}), continuous)


def count_text(size: Count) -> str:
    """A count as a sentence."""
    text = f"{size.combinations:,} combination{'' if size.combinations == 1 else 's'}"
    if not size.continuous:
        return text
    return f"{text} of the parameters with a list or whole numbers; continuous: {', '.join(size.continuous)}"


def _count(space: Space, deciding: frozenset[str], index: int, params: dict[str, Value]) -> int:
    """Combinations of the parameters from `index` on; only those that decide over others are gone through."""
    if index == len(space.parameters):
        return 1
    parameter, settings = space.parameters[index], space.settings(params)
    if not parameter.exists(settings):
        return _count(space, deciding, index + 1, params)
    domain = feasible(space, parameter, settings).domain
    if parameter.name not in deciding or domain.size is None:
        return (1 if domain.size is None else domain.size) * _count(space, deciding, index + 1, params)
    values = _values(domain)
    return sum(_count(space, deciding, index + 1, {**params, parameter.name: value}) for value in values)


def _deciding(space: Space) -> frozenset[str]:
    """The parameters that others need to know."""
    return frozenset(name for p in space.parameters for name in {*p.when, *bounds(p.name)} if name in space)


def _values(domain: Domain) -> Iterable[Value]:
    """The values of a list, or of a range of whole numbers."""
    if isinstance(domain, Choice):
        return domain.options
    return range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))


class _Forest:
    """Puts parameters under the one of their condition that stands deepest."""

    def __init__(self, root: Tree) -> None:
        self._root = root
        self._placed: dict[str, tuple[Tree, Condition]] = {}
        self._branches: dict[tuple[str, str], Tree] = {}

    def add(self, parameter: Parameter) -> None:
        """Place one parameter; those of its condition were placed before."""
        named = [name for name in self._placed if name in parameter.when]
        place = self._branch(parameter, named[-1]) if named else self._root
        self._placed[parameter.name] = place.add(_line(parameter)), parameter.when

    def _branch(self, parameter: Parameter, parent: str) -> Tree:
        """The node "if parent = values", made at its first use, without what the parent's own place says."""
        above, known = self._placed[parent]
        new = {name: values for name, values in parameter.when.items() if known.get(name) != values}
        text = condition_text({parent: parameter.when[parent], **new})
        if (parent, text) not in self._branches:
            self._branches[parent, text] = above.add(Text(f"if {text}", style="cyan"))
        return self._branches[parent, text]


def _line(parameter: Parameter) -> Text:
    domain = parameter.domain
    values = ", ".join(map(spelt, domain.options)) if isinstance(domain, Choice) else str(domain)
    return Text.assemble((parameter.name, "bold"), "  ", values)
