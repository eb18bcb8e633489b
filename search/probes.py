"""Which trials tell, by being built, whether a study's own architectures and weights work."""

from __future__ import annotations

from collections.abc import Iterator

from search.domains import Choice, Domain, Value
from search.feasible import buildable_stem
from search.space import Space
from search.study_file import Study


def trials_to_probe(study: Study) -> Iterator[dict[str, Value]]:
    """Settings that build each of the study's own architectures, and load each of its weights, once.

    An architecture of its own is built at the ends of its parameters, on the smallest patch and the largest.
    """
    space = study.parameters
    for name in space.architectures:
        if name in study.catalogue.own:
            for end, radius in ((0, _smallest(space, name)), (-1, space.largest_radius)):
                yield _at_one_end(space, {"architecture": name, "patch_radius": radius}, end)
        elif "deep" in study.catalogue.traits(name):
            domain = space.domain("weights")
            for weights in domain.options if isinstance(domain, Choice) else ():
                if weights != "none":
                    stem, size = buildable_stem(space, name)
                    params: dict[str, Value] = {"architecture": name, "weights": weights, "stem": stem}
                    params |= {"patch_radius": space.largest_radius}
                    yield space.settings(params | ({} if size is None else {"resize_to": size}))


def _smallest(space: Space, name: str) -> int:
    domain, least = space.domain("patch_radius"), space.catalogue.smallest_radius(name) or 1
    if isinstance(domain, Choice):
        return min(radius for radius in map(int, domain.options) if radius >= least)
    return max(int(domain.low), least)


def _at_one_end(space: Space, params: dict[str, Value], end: int) -> dict[str, Value]:
    """The parameters of an architecture of the study's own at the first or the last of their values."""
    for parameter in space.parameters:
        if parameter.name.startswith(f"{params['architecture']}.") and parameter.exists(params):
            params[parameter.name] = _ends(parameter.domain)[end]
    return space.settings(params)


def _ends(domain: Domain) -> tuple[Value, ...]:
    return domain.options if isinstance(domain, Choice) else (domain.low, domain.high)
