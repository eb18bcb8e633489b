from __future__ import annotations

import warnings
from typing import Any

import keras_tuner
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_tuner.engine.hyperparameters import Boolean, Choice, Fixed, Float, Int

from search import domains
from search.keras_tuner_space import active, domain_of, on_grid, recorded
from search.suggest import distribution_of, suggest


@pytest.mark.parametrize(
    ("hp", "domain"),
    [
        (Choice("x", ["a", "b"]), domains.Choice(("a", "b"))),
        (Choice("x", [3, 1, 3]), domains.Choice((3, 1))),
        (Boolean("x"), domains.Choice((True, False))),
        (Fixed("x", 7), domains.Choice((7,))),
        (Int("x", 6, 12), domains.Range(6, 12, integer=True, step=1)),
        (Int("x", 6, 13, step=3), domains.Range(6, 12, integer=True, step=3)),
        (Int("x", 2, 32, sampling="log"), domains.Range(2, 32, log=True, integer=True)),
        (Int("x", 2, 32, step=2, sampling="log"), domains.Choice((2, 4, 8, 16, 32))),
        (Float("x", 0, 1), domains.Range(0.0, 1.0)),
        (Float("x", 0, 1, step=0.2), domains.Range(0.0, 1.0, step=0.2)),
        (Float("x", 0, 1, step=0.3), domains.Range(0.0, 0.9, step=0.3)),
        (Float("x", 1e-4, 1e-1, sampling="log"), domains.Range(1e-4, 1e-1, log=True)),
        (Float("x", 1, 100, step=10, sampling="log"), domains.Choice((1.0, 10.0, 100.0))),
    ],
)
def test_every_kind_of_hyperparameter_has_its_domain(hp: Any, domain: domains.Domain) -> None:
    assert domain_of(hp) == domain


def test_a_scale_that_optuna_lacks_is_refused_unless_its_values_are_few() -> None:
    with pytest.raises(
        ValueError, match=r"'momentum': a scale must be 'linear' or 'log' .*sampling='reverse_log'"
    ):
        domain_of(Float("momentum", 0.1, 0.9, sampling="reverse_log"))
    assert domain_of(Int("x", 1, 8, step=2, sampling="reverse_log")) == domains.Choice((8, 7, 5, 1))


@settings(max_examples=40, deadline=None)
@given(st.integers(-200, 200), st.integers(1, 40), st.integers(1, 150), st.integers(0, 3), st.integers(0, 99))
def test_what_optuna_draws_is_a_value_of_keras_tuner_and_is_recorded_as_drawn(
    low: int, step: int, width: int, digits: int, seed: int
) -> None:
    scale = 10.0**digits
    hp = Float("x", low / scale, (low + width) / scale, step=step / scale)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna's, about a range that is not on the grid
        trial = study.ask()
        drawn = on_grid(hp, suggest(trial, "x", domain_of(hp)))
    steps = (float(drawn) - hp.min_value) / hp.step
    assert steps == pytest.approx(round(steps))
    assert drawn <= hp.max_value + 1e-9
    assert drawn == hp.min_value + round(steps) * hp.step
    assert recorded([hp], {"x": drawn}) == (trial.params, trial.distributions)


def space() -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    hp.Choice("model", ["mlp", "cnn"])
    with hp.conditional_scope("model", ["mlp"]):
        hp.Int("units", 1, 4)
    with hp.conditional_scope("model", ["cnn"]):
        hp.Int("units", 16, 64, step=16)
        hp.Boolean("pool")
        with hp.conditional_scope("pool", [True]):
            hp.Choice("size", [2, 3])
    return hp


def test_only_hyperparameters_whose_conditions_hold_are_active() -> None:
    hps = space().space
    assert [name for name, _ in active(hps, {"model": "mlp"})] == ["model", "units"]
    assert [name for name, _ in active(hps, {"model": "cnn", "pool": True})] == [
        "model",
        "units[model=cnn]",
        "pool",
        "size",
    ]


def test_conditions_are_read_as_values_come_in() -> None:
    values: dict[str, Any] = {}
    for _, hp in active(space().space, values):
        values[hp.name] = {"model": "cnn", "units": 32, "pool": False}[hp.name]
    assert list(values) == ["model", "units", "pool"]


def test_of_two_active_entries_of_one_name_the_first_counts() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 1, 4)
    hp.Boolean("wide", default=True)
    with hp.conditional_scope("wide", [True]):
        hp.Int("units", 16, 64)
    assert [name for name, _ in active(hp.space, {"wide": True})] == ["units", "wide"]


@pytest.mark.parametrize("value", [0, 17, 48.0, True, "32", None])
def test_a_value_outside_its_domain_is_not_recorded(value: Any) -> None:
    values = {"model": "cnn", "units": value, "pool": False}
    assert recorded(space().space, values)[0] == {"model": "cnn", "pool": False}


def test_a_record_is_one_that_optuna_accepts() -> None:
    params, distributions = recorded(space().space, {"model": "cnn", "units": 48, "pool": True, "size": 3})
    assert params == {"model": "cnn", "units[model=cnn]": 48, "pool": True, "size": 3}
    optuna.trial.create_trial(value=1.0, params=params, distributions=distributions)
    assert distributions["size"] == distribution_of(domains.Choice((2, 3)))
