from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from data_prep.problems import Problems
from search.catalogue import Catalogue
from search.domains import Value, holds
from search.sections import InputSection
from search.space import Space, read_space
from search.storage import make_sampler
from search.study_file import read_study
from search.suggest import sample, stored_names

TABLE = {
    "architecture": ["small_cnn", "densenet201"],
    "optimizer": ["adam", "sgd"],
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": [1, 9],
    "patch_radius": {"low": 2, "high": 16},
    "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
}


def space(**changes: object) -> Space:
    return read_space(TABLE | changes, "study.toml", Problems())


@pytest.mark.parametrize("radius", [{"low": 2, "high": 16}, [2, 8, 14, 16]])
def test_samples_are_feasible_and_have_each_parameter_where_its_condition_holds(radius: object) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [sample(study.ask(), space(patch_radius=radius)) for _ in range(100)]
    assert {params["architecture"] for params in seen} == {"small_cnn", "densenet201"}
    for params in seen:
        assert ("momentum" in params) == (params["optimizer"] == "sgd")
        assert params["patch_radius"] >= max(2, Catalogue().smallest_radius(params["architecture"]))
        assert params["patch_radius"] <= 16


@pytest.mark.parametrize("radius", [{"low": 2, "high": 16}, [2, 8, 14, 16]])
def test_an_enqueued_trial_is_sampled_as_enqueued(radius: object) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    wanted = {"architecture": "densenet201", "patch_radius": 16, "optimizer": "sgd", "momentum": 0.25}
    study.enqueue_trial(stored_names(space(patch_radius=radius), wanted))
    assert wanted.items() <= sample(study.ask(), space(patch_radius=radius)).items()


SEARCH = Path(__file__).parents[2] / "studies" / "search.toml"


def is_buildable(params: dict[str, Value]) -> bool:
    """Whether stock Keras could build it, told from the side that reaches DenseNet201's average pools."""
    side = 2 * int(params["patch_radius"]) + 1
    if params.get("stem") == "resize":
        side = int(params["resize_to"])
    return params["architecture"] != "densenet201" or params["stem"] == "small" or side >= 29


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_two_hundred_samples_of_the_whole_space_are_feasible_and_conditional(sampler: str) -> None:
    """By TPE the first trials are told worse the larger the rate, so that it has something to follow."""
    study_file = read_study(SEARCH, [f"search.sampler={sampler}"], cohort=Path())
    space = study_file.parameters
    study = optuna.create_study(sampler=make_sampler(study_file.search, 1, 0))
    met = set()
    for _ in range(200):
        trial = study.ask()
        params = sample(trial, space)
        settings = space.settings(params)
        assert is_buildable(settings)
        for parameter in space.parameters:
            assert (parameter.name in params) == holds(parameter.when, settings)
            assert parameter.name not in params or params[parameter.name] in parameter.domain
        met.add((params["architecture"], params.get("stem")))
        study.tell(trial, float(params["learning_rate"]))
    assert met == {("small_cnn", None)} | {
        (name, stem)
        for name in ("resnet50", "resnet152", "densenet201")
        for stem in ("paper", "small", "resize")
    }


def test_the_studys_own_augmentation_is_the_default_of_what_the_space_leaves_out() -> None:
    section = InputSection(augmentation=("flip", "rotate-free"))
    settings = read_space(TABLE, "s", Problems(), None, section.augmented).settings(
        {"architecture": "small_cnn"}
    )
    assert settings["flip"] is True
    assert settings["rotation"] == "free"
    assert settings["jitter"] == 0.0


def test_a_stem_that_no_radius_suits_is_never_sampled() -> None:
    table = {"architecture": ["densenet201", "resnet50"], "stem": ["paper", "small"], "patch_radius": [2, 8]}
    narrow = read_space(table, "study.toml", Problems())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = {(p["architecture"], p["stem"]) for p in (sample(study.ask(), narrow) for _ in range(60))}
    assert seen == {("densenet201", "small"), ("resnet50", "paper"), ("resnet50", "small")}


LISTED = {
    "architecture": ["resnet50", "densenet201"],
    "stem": ["paper", "small", "resize"],
    "resize_to": [16, 32, 64],
    "patch_radius": [2, 4, 8, 14, 16],
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
}


@pytest.mark.parametrize(
    "wanted",
    [
        {"architecture": "densenet201", "patch_radius": 16, "learning_rate": 0.02},
        {"stem": "resize", "resize_to": 32},
        {"patch_radius": 14},
        {"stem": "small", "patch_radius": 2},
    ],
)
def test_an_enqueued_value_is_kept_whatever_else_is_sampled(wanted: dict[str, Value]) -> None:
    listed = read_space(LISTED, "study.toml", Problems())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        study.enqueue_trial(stored_names(listed, wanted))
        assert wanted.items() <= sample(study.ask(), listed).items()
