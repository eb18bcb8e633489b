from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from data_prep.problems import Problems
from search.domains import Choice, Parameter, Value
from search.feasible import feasible
from search.space import Space, read_space
from search.space_tree import count, count_text, space_tree

FULL = {
    "architecture": ["small_cnn", "densenet201", "resnet50"],
    "stem": ["paper", "small", "resize"],
    "resize_to": [24, 32, 64],
    "patch_radius": [2, 8, 14, 16],
    "optimizer": ["adam", "sgd"],
    "momentum": {"low": 0.0, "high": 0.99},
    "nesterov": [True, False],
}


def read(**table: object) -> Space:
    return read_space(table, "s", Problems())


def by_brute_force(space: Space) -> int:
    """Every assignment of every parameter, kept where all that exists is feasible and nothing else is set."""
    options = [
        [None, *p.domain.options] if isinstance(p.domain, Choice) else [None] for p in space.parameters
    ]
    found = 0
    for values in itertools.product(*options):
        params: dict[str, Value] = {}
        for parameter, value in zip(space.parameters, values, strict=True):
            settings = space.settings(params)
            asked = feasible(space, parameter, settings) if parameter.exists(settings) else None
            continuous = not isinstance(parameter.domain, Choice)
            if (asked is None or continuous) != (value is None):
                break
            if asked is not None and value is not None and value not in asked.domain:
                break
            if value is not None:
                params[parameter.name] = value
        else:
            found += 1
    return found


@given(st.sets(st.sampled_from(sorted(FULL)), min_size=1))
def test_combinations_are_those_that_going_through_all_of_them_finds(names: set[str]) -> None:
    needed = names | ({"architecture"} if names & {"stem", "resize_to"} else set())
    needed |= {"stem"} if "resize_to" in names else set()
    needed |= {"optimizer"} if names & {"momentum", "nesterov"} else set()
    space = read(**{name: FULL[name] for name in needed})
    assert count(space).combinations == by_brute_force(space)


def test_whole_numbers_count_and_numbers_are_named() -> None:
    size = count(read(patch_radius={"low": 2, "high": 16}, learning_rate={"low": 0.1, "high": 1.0}))
    assert size.combinations == 15
    assert size.continuous == ("learning_rate",)
    assert count_text(size).endswith("continuous: learning_rate")


def drawn(space: Space, **more: object) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(space_tree(space, "title", **more))  # type: ignore[arg-type]
    return captured.get()


def test_a_parameter_stands_under_its_condition() -> None:
    lines = drawn(read(**FULL)).splitlines()
    depth = {name: next(line.index(name) for line in lines if f" {name}  " in line) for name in FULL}
    assert depth["architecture"] == depth["optimizer"] < depth["stem"] < depth["resize_to"]
    assert depth["momentum"] == depth["nesterov"] > depth["optimizer"]
    assert sum("if optimizer = sgd" in line for line in lines) == 1


def test_what_a_hypermodel_asks_for_stands_under_its_architecture() -> None:
    asked = [Parameter("hyper.depth", Choice((1, 2)), {"architecture": ("small_cnn",)})]
    text = drawn(read(architecture=["small_cnn", "resnet50"]), asked={"hyper": asked})
    assert text.index("if architecture = small_cnn") < text.index("hyper.depth  1, 2")


def test_an_architecture_that_is_not_searched_is_named() -> None:
    assert "architecture  resnet50" in drawn(read(batch_size=[9]))
