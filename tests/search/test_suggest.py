from __future__ import annotations

import optuna
import pytest

from data_prep.problems import Problems
from search.space import Space, read_space, smallest_radius
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
        assert params["patch_radius"] >= max(2, smallest_radius(params["architecture"]))
        assert params["patch_radius"] <= 16


@pytest.mark.parametrize("radius", [{"low": 2, "high": 16}, [2, 8, 14, 16]])
def test_an_enqueued_trial_is_sampled_as_enqueued(radius: object) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    wanted = {"architecture": "densenet201", "patch_radius": 16, "optimizer": "sgd", "momentum": 0.25}
    study.enqueue_trial(stored_names(space(patch_radius=radius), wanted))
    assert wanted.items() <= sample(study.ask(), space(patch_radius=radius)).items()
