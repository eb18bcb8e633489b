from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import Problems
from models.errors import NotBuildable
from models.registry import smallest_side
from search.domains import Choice, Range, Value
from search.feasible import conflicts, feasible
from search.space import Space, read_space

SPACE = {
    "architecture": ["small_cnn", "resnet50", "densenet201"],
    "stem": ["paper", "small", "resize"],
    "resize_to": {"low": 16, "high": 64},
    "patch_radius": {"low": 2, "high": 16},
}


def space(**changes: object) -> Space:
    return read_space(SPACE | changes, "s", Problems())


def builds(settings: dict[str, Value]) -> bool:
    """Told from the registry's own law."""
    stem = str(settings.get("stem", "paper"))
    try:
        side = smallest_side(
            settings["architecture"], stem, settings.get("resize_to") if stem == "resize" else None
        )
    except NotBuildable:
        return False
    return 2 * int(settings["patch_radius"]) + 1 >= side


@given(st.data())
def test_what_is_left_of_each_domain_builds_and_what_is_cut_off_does_not(data: st.DataObject) -> None:
    whole = space()
    params: dict[str, Value] = {}
    for parameter in whole.parameters:
        settings = whole.settings(params)
        if parameter.exists(settings):
            domain = feasible(whole, parameter, settings).domain
            values = (
                domain.options if isinstance(domain, Choice) else range(int(domain.low), int(domain.high) + 1)
            )
            params[parameter.name] = data.draw(st.sampled_from(list(values)))
            if parameter.name == "patch_radius" and isinstance(domain, Range) and domain.low > 2:
                assert not builds({**params, "patch_radius": int(domain.low) - 1})
    assert builds(params)


def test_a_shortened_list_has_a_name_of_its_own() -> None:
    listed = space(patch_radius=[2, 14, 16])
    short = feasible(listed, listed["patch_radius"], {"architecture": "densenet201", "stem": "paper"})
    assert (short.name, short.domain) == ("patch_radius[14+]", Choice((14, 16)))


@pytest.mark.parametrize(
    ("params", "laws"),
    [
        ({"architecture": "resnet50", "patch_radius": 2}, 0),
        ({"architecture": "densenet201", "stem": "small", "patch_radius": 2}, 0),
        ({"architecture": "densenet201", "stem": "paper", "patch_radius": 13}, 1),
        ({"architecture": "densenet201", "patch_radius": 8}, 1),
        ({"patch_radius": 8}, 1),
        ({"patch_radius": 14}, 0),
        ({"architecture": "densenet201", "stem": "resize", "resize_to": 28}, 1),
        ({"architecture": "densenet201", "stem": "resize", "resize_to": 32, "patch_radius": 2}, 0),
    ],
)
def test_a_trial_that_might_not_be_buildable_is_told_why(params: dict[str, Value], laws: int) -> None:
    assert len(conflicts(space(), params)) == laws
