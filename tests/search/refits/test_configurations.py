from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.domains import Value
from search.errors import StudyStoppedError, TrialFailedError
from search.home import Home
from search.material import prepare
from search.placement import Placement
from search.refits.configurations import draw_configurations, hypermodels_asked
from search.study_file import Study

Make = Callable[..., Study]
HYPERMODEL = """
import keras
import keras_tuner


class Hyper(keras_tuner.HyperModel):
    def __init__(self, input_shape):
        super().__init__()
        self.input_shape = input_shape

    def build(self, hp):
        patch = keras.Input(self.input_shape)
        x = keras.layers.Dense(hp.Int("width", 2, 64))(keras.layers.Flatten()(patch))
        return keras.Model(patch, keras.layers.Dense(1, activation="sigmoid")(x))
"""


def test_the_studys_own_come_first_then_random_draws_each_with_a_seed(
    make_study: Make, tmp_path: Path
) -> None:
    configs = draw_configurations(make_study(tmp_path), 6, seed=3)
    own = {"optimizer": "sgd", "learning_rate": 0.01, "patch_radius": 3, "momentum": 0.5}
    assert own.items() <= configs[0].settings.items()
    assert len({config.seed for config in configs}) == len({str(config.settings) for config in configs}) == 6


def test_more_configurations_begin_with_the_same_and_another_seed_draws_others(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study(tmp_path)
    few, more = (draw_configurations(study, count, seed=0) for count in (4, 9))
    assert few == more[:4]
    assert draw_configurations(study, 4, seed=1)[1:] != few[1:]


def test_draws_are_uniform_and_conditions_hold(make_study: Make, tmp_path: Path) -> None:
    configs = draw_configurations(make_study(tmp_path), 400, seed=0)[1:]
    optimizers = Counter(config.settings["optimizer"] for config in configs)
    assert abs(optimizers["adam"] / 399 - 0.5) < 4 * 0.5 / math.sqrt(399)
    assert all(
        ("momentum" in config.settings) == (config.settings["optimizer"] == "sgd") for config in configs
    )
    logs = [math.log10(float(config.settings["learning_rate"])) for config in configs]
    assert abs(sum(logs) / 399 + 2) < 4 * (2 / math.sqrt(12)) / math.sqrt(399)  # uniform over -3 to -1


def test_what_an_architecture_cannot_be_built_with_is_never_drawn(make_study: Make, tmp_path: Path) -> None:
    """densenet201 needs a radius of 14 where small_cnn takes any."""
    space = ("space.architecture=['small_cnn', 'densenet201']", "space.patch_radius={ low = 2, high = 16 }")
    configs = draw_configurations(make_study(tmp_path, *space, "search.enqueue=[]"), 60, seed=0)
    radii = {
        name: [c.settings["patch_radius"] for c in configs if c.settings["architecture"] == name]
        for name in ("small_cnn", "densenet201")
    }
    assert min(map(int, radii["densenet201"])) >= 14
    assert min(map(int, radii["small_cnn"])) < 14


def test_hypermodels_are_asked_and_a_random_draw_that_cannot_be_built_is_left_out(
    make_study: Make, tmp_path: Path
) -> None:
    def composer(trial: optuna.Trial, settings: Mapping[str, Value]) -> Mapping[str, Value]:
        if trial.number % 2:
            raise TrialFailedError("failed", "too wide")
        return {"mine.width": trial.number}

    study = make_study(tmp_path)
    configs = draw_configurations(study, 3, 0, composer)
    assert [config.settings["mine.width"] for config in configs] == [0, 2, 4]
    plain = draw_configurations(study, 5, 0)
    assert [config.seed for config in configs] == [config.seed for config in plain[::2]]


def test_draws_none_of_which_can_be_built_end_and_an_enqueued_one_is_an_error_of_the_file(
    make_study: Make, tmp_path: Path
) -> None:
    def composer(trial: optuna.Trial, settings: Mapping[str, Value]) -> Mapping[str, Value]:
        raise TrialFailedError("failed", "too wide")

    with pytest.raises(InputError, match=r"search\.enqueue\[0\]: too wide"):
        draw_configurations(make_study(tmp_path), 3, 0, composer)
    with pytest.raises(
        StudyStoppedError, match="20 random draws in a row cannot be built; the last one: too wide"
    ):
        draw_configurations(make_study(tmp_path, "search.enqueue=[]"), 3, 0, composer)


def test_no_process_is_started_where_no_hypermodel_can_be_drawn(make_study: Make, tmp_path: Path) -> None:
    study, home = make_study(tmp_path), Home.at(tmp_path / "home")
    material = prepare(study, home, frozen=False)
    with hypermodels_asked(study, home, material, Placement(1, None)) as composer:
        assert composer is None


def test_hyperparameters_of_a_hypermodel_are_drawn_by_building_it(make_study: Make, tmp_path: Path) -> None:
    (tmp_path / "networks.py").write_text(HYPERMODEL)
    own = (
        "architectures.hyper.hypermodel=networks.py:Hyper",
        "space.architecture=['hyper']",
        "search.enqueue=[]",
    )
    study, home = make_study(tmp_path, *own), Home.at(tmp_path / "home")
    material = prepare(study, home, frozen=False)
    with hypermodels_asked(study, home, material, Placement(1, None)) as composer:
        configs = draw_configurations(study, 4, 0, composer)
    widths = [int(config.settings["hyper.width"]) for config in configs]
    assert len(set(widths)) > 1
    assert all(2 <= width <= 64 for width in widths)
