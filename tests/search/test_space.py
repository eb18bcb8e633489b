from __future__ import annotations

import pytest

from data_prep.problems import InputError, Problems
from search.catalogue import Catalogue, Own
from search.domains import Choice, Range
from search.known import KNOWN
from search.space import Space, check_params, read_space

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


def noted(problems: Problems) -> tuple[str, ...]:
    try:
        problems.raise_any()
    except InputError as error:
        return error.problems
    return ()


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


MINE = Catalogue(
    {"mine": Own("function", "/nowhere/net.py:net", smallest_radius=3), "hyper": Own("hypermodel", "a.b:C")}
)


def read_mine(table: dict[str, object]) -> tuple[Space, tuple[str, ...]]:
    problems = Problems()
    space = read_space(table, "study.toml", problems, MINE)
    return space, noted(problems)


def test_a_parameter_of_networks_exists_for_networks_alone() -> None:
    space = read(
        {"architecture": ["small_cnn", "roi_means", "constant"], "batch_size": [9], "patch_radius": [8]}
    )
    assert not space["batch_size"].exists({"architecture": "roi_means"})
    assert space["patch_radius"].exists({"architecture": "roi_means"})
    assert not space["patch_radius"].exists({"architecture": "constant"})
    assert space.settings({"architecture": "constant"}) == {"architecture": "constant"}


def test_a_condition_that_every_architecture_meets_is_none() -> None:
    assert read({"architecture": ["small_cnn", "resnet50"], "batch_size": [9, 18]})["batch_size"].when == {}


def test_the_head_is_the_architectures_own_by_default() -> None:
    space = read({"architecture": ["small_cnn", "resnet50"]})
    assert space.settings({"architecture": "resnet50"})["head"] == "256-128"
    assert space.settings({"architecture": "small_cnn"})["head"] == "32"


def test_what_transfer_searches_exists_where_there_are_weights() -> None:
    stages = read({"weights": ["none", "imagenet", "/w.keras"], "trainable_stages": [0, 5]})[
        "trainable_stages"
    ]
    assert stages.exists({"weights": "/w.keras"})
    assert not stages.exists({"weights": "none"})


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"architecture": ["small_cnn"], "stem": ["small"]}, "needs a deep network of keras.applications"),
        ({"architecture": ["roi_means"], "batch_size": [9]}, "means nothing here: it needs a network"),
        ({"trainable_stages": [0, 5]}, "it needs weights = other than none, which is none"),
        ({"head": ["256x128"]}, 'widths such as "256-128", or "none" is needed'),
        ({"flip": [0, 1]}, "true or false is needed, but got 0"),
        ({"resize_to": [32]}, "can never hold: it needs stem = resize"),
        (
            {"optimizer": ["sgd"], "momentum": [0.0, 0.9], "nesterov": [True, False]},
            "a momentum of 0 has nothing to look ahead with",
        ),
        (
            {
                "architecture": ["densenet201"],
                "optimizer": ["adam", "sgd"],
                "patch_radius": {"choices": [14, 16], "when": {"optimizer": "adam"}},
            },
            "is 8 where its condition does not hold, but densenet201 then needs patch_radius >= 14",
        ),
        (
            {
                "architecture": ["densenet201"],
                "stem": ["paper", "small"],
                "optimizer": ["adam", "sgd"],
                "patch_radius": {"choices": [14, 16], "when": {"optimizer": "adam"}},
            },
            "is 8 where its condition does not hold, but densenet201 then needs patch_radius >= 14",
        ),
        (
            {
                "architecture": ["densenet201"],
                "optimizer": ["adam", "sgd"],
                "stem": {"choices": ["small"], "when": {"optimizer": "adam"}},
                "patch_radius": [8],
            },
            "stem: is paper where its condition does not hold",
        ),
        (
            {"optimizer": ["sgd"], "momentum": {"choices": [0.5], "when": {"optimizer": [["sgd"]]}}},
            "a value or a",
        ),
        ({"learning_rate": [1, 1.0]}, "values must differ"),
        ({"batch_size": {"low": 1, "high": 10**20}}, "must lie within 9007199254740992"),
        ({"learning_rate": [10**400]}, "a number of 401 digits"),
        (
            {"architecture": ["densenet201"], "stem": ["resize"], "resize_to": [16, 24]},
            "space.resize_to: densenet201 needs resize_to >= 29",
        ),
    ],
)
def test_a_parameter_that_would_do_nothing_is_refused(table: dict[str, object], line: str) -> None:
    assert any(line in problem for problem in complaints(table))


@pytest.mark.parametrize(
    ("params", "line"),
    [
        (
            {"architecture": "densenet201", "stem": "paper", "patch_radius": 8},
            "densenet201 behind the stem 'paper' needs patch_radius >= 14, but got 8",
        ),
        (
            {"architecture": "densenet201", "stem": "resize", "resize_to": 24},
            "needs resize_to >= 29, but got 24",
        ),
        ({"architecture": "small_cnn", "stem": "small"}, "exists only when architecture = densenet201"),
    ],
)
def test_an_enqueued_stem_must_fit_network_and_patch(params: dict[str, object], line: str) -> None:
    table = {
        "architecture": ["small_cnn", "densenet201"],
        "stem": ["paper", "small", "resize"],
        "resize_to": [24, 32],
        "patch_radius": {"low": 2, "high": 16},
    }
    problems = Problems()
    check_params(read(table), params, "enqueue[0]", problems)
    assert any(line in problem for problem in noted(problems))


def test_patches_are_as_wide_as_the_default_of_a_radius_that_is_not_always_sampled() -> None:
    table = {
        "optimizer": ["adam", "sgd"],
        "patch_radius": {"choices": [2, 4], "when": {"optimizer": "sgd"}},
    }
    assert read(table).largest_radius == 8


def test_a_whole_number_is_a_number_where_a_trial_is_enqueued() -> None:
    problems = Problems()
    check_params(read({"dropout": [0, 0.5]}), {"dropout": 0}, "enqueue[0]", problems)
    assert len(problems) == 0


def test_a_hypermodels_parameter_belongs_to_a_trial_of_that_hypermodel() -> None:
    space, _ = read_mine({"architecture": ["hyper", "small_cnn"]})
    problems = Problems()
    check_params(space, {"architecture": "small_cnn", "hyper.depth": 3}, "enqueue[0]", problems)
    assert any("hyper.depth" in line for line in noted(problems))


def test_an_architecture_of_the_users_own_has_parameters_of_its_own() -> None:
    space, lines = read_mine(
        {"architecture": ["mine", "small_cnn"], "mine": {"width": [8, 16], "rate": {"low": 0.1, "high": 0.5}}}
    )
    assert lines == ()
    assert space["mine.width"].when == {"architecture": ("mine",)}
    assert space["mine.rate"].domain == Range(0.1, 0.5)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"architecture": ["small_cnn"], "mine": {"width": [8]}}, "where architecture is never mine"),
        ({"architecture": ["mine"], "mine": 3}, "a table of its parameters is needed, but got 3"),
        ({"architecture": ["mine"], "mine": {"width": [8, "x"]}}, "of one type"),
        ({"architecture": ["hyper"], "hyper": {"width": [8]}}, "a hypermodel asks for its own parameters"),
        ({"architecture": ["mine"], "patch_radius": [2]}, "mine needs patch_radius >= 3"),
        ({"architecture": ["mnie"]}, "did you mean 'mine'"),
    ],
)
def test_what_is_wrong_with_an_own_architecture_is_said(table: dict[str, object], line: str) -> None:
    assert any(line in problem for problem in read_mine(table)[1])


def test_what_a_hypermodel_asks_for_can_be_enqueued_unseen() -> None:
    space, _ = read_mine({"architecture": ["hyper"]})
    problems = Problems()
    check_params(space, {"architecture": "hyper", "hyper.version": "v2"}, "enqueue[0]", problems)
    assert len(problems) == 0
