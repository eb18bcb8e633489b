from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import InputError, Problems
from models.registry import smallest_side
from search.space import KNOWN, Choice, Range, Space, check_params, read_space, smallest_radius

FULL = {
    "architecture": ["small_cnn", "densenet201"],
    "optimizer": ["adam", "sgd"],
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "patch_radius": {"low": 2, "high": 16},
    "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
}


def read(table: dict[str, object]) -> Space:
    problems = Problems()
    space = read_space(table, "study.toml", problems)
    problems.raise_any()
    return space


def complaints(table: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(InputError, match="space") as caught:
        read(table)
    return caught.value.problems


def test_ranges_and_lists_are_read_as_what_they_are() -> None:
    space = read(FULL)
    assert space["learning_rate"].domain == Range(1e-4, 1e-1, log=True)
    assert space["patch_radius"].domain == Range(2, 16, integer=True)
    assert space["optimizer"].domain == Choice(("adam", "sgd"))


def test_a_parameter_follows_those_its_condition_names() -> None:
    space = read({"momentum": FULL["momentum"], "optimizer": FULL["optimizer"]})
    assert [parameter.name for parameter in space.parameters] == ["optimizer", "momentum"]


def test_momentum_exists_for_sgd_alone_even_without_a_condition_of_its_own() -> None:
    momentum = read({"optimizer": ["adam", "sgd"], "momentum": [0.5]})["momentum"]
    assert momentum.exists({"optimizer": "sgd"})
    assert not momentum.exists({"optimizer": "adam"})


def test_settings_complete_a_trial_with_defaults_where_they_apply() -> None:
    space = read({"optimizer": ["adam", "sgd"]})
    assert space.settings({"optimizer": "sgd"})["momentum"] == KNOWN["momentum"].default
    assert "momentum" not in space.settings({"optimizer": "adam"})
    assert space.settings({"optimizer": "adam"})["patch_radius"] == 8


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({}, "study.toml: space: at least one parameter is needed, but it is empty"),
        ({"learning_rat": [1.0]}, "unknown parameter; did you mean 'learning_rate'"),
        ({"architecture": ["resnet51"]}, "unknown name 'resnet51'; did you mean 'resnet50'"),
        ({"optimizer": []}, "at least one value is needed"),
        ({"batch_size": [9, 9]}, "values must differ"),
        ({"batch_size": [9.5]}, "a whole number is needed, but got 9.5"),
        ({"batch_size": [True]}, "a whole number is needed, but got True"),
        ({"learning_rate": {"low": 0.1, "high": 0.01}}, "`low < high` must hold, but got low=0.1, high=0.01"),
        ({"learning_rate": {"low": 0.0, "high": 0.1, "log": True}}, "must lie above 0"),
        ({"learning_rate": {"low": "1e-4", "high": 0.1}}, "a range needs low and high"),
        ({"learning_rate": {"low": 0.1, "hihg": 0.2}}, "unknown key; did you mean 'high'"),
        ({"momentum": [1.0], "optimizer": ["sgd"]}, "must lie in [0, 1), but got 1.0"),
        (
            {"optimizer": ["sgd"], "batch_size": {"low": 1, "high": 9, "when": {"optimizr": "sgd"}}},
            "got 'optimizr'; did you mean 'optimizer'",
        ),
        (
            {"optimizer": ["adam"], "momentum": {"choices": [0.5], "when": {"optimizer": "adam"}}},
            "means nothing where optimizer = adam",
        ),
        ({"batch_size": {"low": 1, "high": 9, "when": "sgd"}}, "a table such as"),
        (
            {"optimizer": ["adam"], "batch_size": {"choices": [1, 2], "when": {"optimizer": "sdg"}}},
            "'sdg' is no value of optimizer",
        ),
        ({"optimizer": ["adam"], "momentum": [0.5]}, "can never hold: it needs optimizer = sgd"),
        ({"momentum": [0.5]}, "can never hold: it needs optimizer = sgd, which is adam"),
        ({"architecture": ["densenet201"], "patch_radius": [8]}, "needs patch_radius >= 14"),
    ],
)
def test_what_is_wrong_with_a_space_is_said(table: dict[str, object], line: str) -> None:
    assert any(line in problem for problem in complaints(table))


def test_all_problems_of_a_space_are_reported_together() -> None:
    lines = complaints({"optimiser": ["adam"], "batch_size": [], "learning_rate": {"low": 1, "high": 0}})
    assert len(lines) == 3


def test_a_parameter_that_does_not_exist_in_a_trial_has_its_default() -> None:
    table = {
        "optimizer": ["adam", "sgd"],
        "patch_radius": {"low": 2, "high": 4, "when": {"optimizer": "sgd"}},
    }
    assert read(table).settings({"optimizer": "adam"})["patch_radius"] == 8


def test_the_architecture_is_known_before_the_radius_that_it_bounds() -> None:
    space = read({"patch_radius": FULL["patch_radius"], "architecture": FULL["architecture"]})
    assert [parameter.name for parameter in space.parameters] == ["architecture", "patch_radius"]


def test_conditions_in_a_circle_are_refused() -> None:
    table = {
        "batch_size": {"choices": [1], "when": {"patch_radius": 4}},
        "patch_radius": {"choices": [4], "when": {"batch_size": 1}},
    }
    assert any("must not go in a circle" in line for line in complaints(table))


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"optimizer": "adam", "momentum": 0.5}, "exists only when optimizer = sgd"),
        ({"optimizer": "rmsprop"}, "must be one of adam, sgd, but got 'rmsprop'"),
        ({"patch_radius": 40}, "must be one of 2 to 16, but got 40"),
        ({"patch_radius": 8.5}, "must be one of 2 to 16, but got 8.5"),
        ({"learning_rat": 0.01}, "did you mean 'learning_rate'"),
        (
            {"architecture": "densenet201", "patch_radius": 8},
            "densenet201 needs patch_radius >= 14, but got 8",
        ),
    ],
)
def test_an_enqueued_trial_must_fit_the_space(params: dict[str, object], line: str) -> None:
    problems = Problems()
    check_params(read(FULL), params, "enqueue[0]", problems)
    with pytest.raises(InputError) as caught:
        problems.raise_any()
    assert line in str(caught.value)


def test_a_fitting_enqueued_trial_passes() -> None:
    problems = Problems()
    params = {"architecture": "small_cnn", "optimizer": "sgd", "momentum": 0.5, "patch_radius": 2}
    check_params(read(FULL), params, "enqueue[0]", problems)
    assert len(problems) == 0


@given(st.sampled_from(["resnet50", "resnet152", "densenet201", "small_cnn"]))
def test_the_smallest_radius_is_the_first_whose_patch_is_wide_enough(name: str) -> None:
    radius = smallest_radius(name)
    assert 2 * radius + 1 >= smallest_side(name)
    assert radius == 0 or 2 * (radius - 1) + 1 < smallest_side(name)
