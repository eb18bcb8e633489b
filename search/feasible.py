"""Which combinations of architecture, stem and patch radius can be built, told before any is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from models.registry import ARCHITECTURES
from search.catalogue import Catalogue
from search.domains import Choice, Domain, Parameter, Range, Value

if TYPE_CHECKING:
    from search.space import Space

_BOUNDED = {
    "stem": {"architecture"},
    "resize_to": {"architecture", "stem"},
    "patch_radius": {"architecture", "stem", "resize_to"},
}


def logical_name(name: str) -> str:
    """The parameter of the space for which Optuna has a name, which may tell its list and a part of it.

    >>> logical_name("patch_radius#2[14+]"), logical_name("mine.width")
    ('patch_radius', 'mine.width')
    """
    return re.sub(r"#\d+$", "", name.partition("[")[0])


def bounds(name: str) -> set[str]:
    """The parameters that decide which values of this one can be built, conditions aside."""
    return _BOUNDED.get(name, set())


def feasible(space: Space, parameter: Parameter, settings: Mapping[str, Value]) -> Parameter:
    """The parameter without the values at which the trial could not be built.

    A shortened list has a name of its own, "patch_radius[14+]", since Optuna takes no categorical parameter
    whose values change from trial to trial.
    """
    architecture = str(settings.get("architecture"))
    if parameter.name == "stem":
        kept = tuple(s for s in _listed(parameter.domain) if _has_radius(space, architecture, str(s)))
        return _shortened(parameter, kept, "+".join(map(str, kept)))
    if parameter.name == "resize_to":
        return _at_least(parameter, _smallest_resize(architecture))
    if parameter.name == "patch_radius":
        return _at_least(parameter, _needed(space.catalogue, settings) or 0)
    return parameter


def asked_names(space: Space, name: str, params: Mapping[str, Value]) -> set[str]:
    """Every name by which a parameter may be asked for in a trial of which some parameters are known."""
    named = params.get("architecture")
    found = {feasible(space, space[name], space.settings(params)).name}
    for architecture in space.architectures if named is None else (str(named),):
        for stem, size in _behind(space, architecture):
            settings = {"architecture": architecture, "stem": stem} | (
                {} if size is None else {"resize_to": size}
            )
            if all(settings.get(key, params[key]) == params[key] for key in params):
                found.add(feasible(space, space[name], settings).name)
    return found


def impossible(space: Space) -> Iterator[tuple[str, str]]:
    """Architectures and stems that no radius of the space suits, as place and law."""
    yield from _unsuitable_defaults(space)
    if True in _listed(space.domain("nesterov")) and 0 in space.domain("momentum"):
        yield "nesterov", "a momentum of 0 has nothing to look ahead with, but the space offers momentum = 0"
    for name in space.architectures:
        if not any(_has_radius(space, name, stem) for stem in _stems(space, name)):
            needed = min(
                (
                    radius
                    for stem, to in _behind(space, name)
                    if (radius := space.catalogue.smallest_radius(name, stem, to)) is not None
                ),
                default=None,
            )
            if needed is None:
                yield "resize_to", f"{name} needs resize_to >= {_smallest_resize(name)}"
            else:
                yield (
                    "architecture",
                    f"{name} needs patch_radius >= {needed}, but the space ends at {space.largest_radius}",
                )


def _unsuitable_defaults(space: Space) -> Iterator[tuple[str, str]]:
    """Parameters that are not always sampled, and whose default then cannot be built."""
    for name in ("stem", "patch_radius"):
        if name not in space or space[name].when == space.known[name].applies:
            continue
        default = space.known[name].default
        for architecture in space.architectures:
            stems = (str(default),) if name == "stem" else _stems(space, architecture)
            sampled = [stem for stem in stems if name == "stem" or _has_radius(space, architecture, stem)]
            radius = space.largest_radius if name == "stem" or default is None else int(default)
            least = max((_least(space, architecture, stem) or 0 for stem in sampled), default=0)
            if radius < least and ("deep" in space.catalogue.traits(architecture) or name == "patch_radius"):
                yield (
                    name,
                    f"is {default} where its condition does not hold, but {architecture} then needs "
                    f"patch_radius >= {least}",
                )


def _least(space: Space, architecture: str, stem: str) -> int | None:
    """The smallest radius for an architecture behind a stem, at the best of its sizes."""
    behind = [pair for pair in _behind(space, architecture) if pair[0] == stem] or [(stem, None)]
    radii = (space.catalogue.smallest_radius(architecture, s, to) for s, to in behind)
    return min((radius for radius in radii if radius is not None), default=None)


def buildable_stem(space: Space, architecture: str) -> tuple[str, int | None]:
    """A stem that the space offers a deep network and that some radius suits, with its size."""
    pairs = [pair for pair in _behind(space, architecture) if _has_radius(space, architecture, pair[0])]
    return next((pair for pair in pairs if pair[1] is None), pairs[-1])


def conflicts(space: Space, params: Mapping[str, Value]) -> list[str]:
    """Why a trial with these parameters, others sampled, might not be buildable; empty if it always is."""
    found: list[str] = []
    named = params.get("architecture")
    for name in space.architectures if named is None else (str(named),):
        laws = dict.fromkeys(_conflicts_of(space, name, params))
        found += laws
    return found


def _conflicts_of(space: Space, name: str, params: Mapping[str, Value]) -> Iterator[str]:
    radius, stem, resize_to = (params.get(key) for key in ("patch_radius", "stem", "resize_to"))
    for behind in _stems(space, name):
        if stem not in (None, behind) or (stem is None and not _has_radius(space, name, behind)):
            continue  # another one is named, or this one is never sampled
        size = None if behind != "resize" else _largest_size(space) if resize_to is None else int(resize_to)
        needed = space.catalogue.smallest_radius(name, behind, size)
        with_stem = f"{name} behind the stem '{behind}'" if "stem" in space else name
        if needed is None:
            yield f"{with_stem} needs resize_to >= {_smallest_resize(name)}, but got {size}"
        elif isinstance(radius, int) and radius < needed:
            yield f"{with_stem} needs patch_radius >= {needed}, but got {radius}"
        elif radius is None and space.largest_radius < needed:
            yield f"{with_stem} needs patch_radius >= {needed}, but the space ends at {space.largest_radius}"


def _largest_size(space: Space) -> int:
    """The size that suits an architecture if any does."""
    return _ends(space.domain("resize_to"))[-1]


def _needed(catalogue: Catalogue, settings: Mapping[str, Value]) -> int | None:
    resize_to = settings.get("resize_to")
    return catalogue.smallest_radius(
        str(settings["architecture"]),
        str(settings.get("stem", "paper")),
        None if resize_to is None else int(resize_to),
    )


def _stems(space: Space, architecture: str) -> tuple[str, ...]:
    deep = "deep" in space.catalogue.traits(architecture)
    return tuple(map(str, _listed(space.domain("stem")))) if deep else ("paper",)


def _behind(space: Space, architecture: str) -> Iterator[tuple[str, int | None]]:
    """Every stem that the space offers the architecture, "resize" with each end of its sizes."""
    sizes = _ends(space.domain("resize_to"))
    for stem in _stems(space, architecture):
        yield from product((stem,), sizes if stem == "resize" else (None,))


def _has_radius(space: Space, architecture: str, stem: str) -> bool:
    """Whether some radius, and some size where there is one, suits architecture and stem."""
    radii = (
        space.catalogue.smallest_radius(architecture, behind, to)
        for behind, to in _behind(space, architecture)
        if behind == stem
    )
    return any(radius is not None and radius <= space.largest_radius for radius in radii)


def _smallest_resize(architecture: str) -> int:
    return ARCHITECTURES[architecture].smallest if architecture in ARCHITECTURES else 1


def _listed(domain: Domain) -> tuple[Value, ...]:
    return domain.options if isinstance(domain, Choice) else ()


def _ends(domain: Domain) -> tuple[int, ...]:
    values = (domain.low, domain.high) if isinstance(domain, Range) else domain.options
    return tuple(sorted(map(int, values)))


def _at_least(parameter: Parameter, least: int) -> Parameter:
    domain = parameter.domain
    if isinstance(domain, Range):
        return replace(parameter, domain=replace(domain, low=max(domain.low, least)))
    return _shortened(parameter, tuple(o for o in domain.options if int(o) >= least), f"{least}+")


def _shortened(parameter: Parameter, kept: tuple[Value, ...], suffix: str) -> Parameter:
    if kept == _listed(parameter.domain):
        return parameter
    return Parameter(f"{parameter.name}[{suffix}]", Choice(kept), parameter.when)
