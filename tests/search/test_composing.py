"""A user's own function and a hypermodel through a whole study, across the real child process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.placement import Placement
from search.progress import Listener
from search.results import study_record
from search.storage import all_studies, open_storage
from search.study_file import Study
from search.supervisor import RunOptions, run_study

NETWORKS = """
import keras
from keras import layers
import keras_tuner


def network(input_shape, width=4, norm=False):
    x = patch = keras.Input(input_shape)
    x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x) if norm else x
    return keras.Model(patch, layers.GlobalAveragePooling2D()(x))


class Hyper(keras_tuner.HyperModel):
    def __init__(self, input_shape):
        super().__init__()
        self.input_shape = input_shape

    def build(self, hp):
        x = patch = keras.Input(self.input_shape)
        kind = hp.Choice("kind", ["dense", "conv"])
        if kind == "conv":
            with hp.conditional_scope("kind", "conv"):
                x = layers.Conv2D(hp.Int("filters", 2, 8, step=2), 3, padding="same")(x)
        x = layers.Flatten()(x)
        return keras.Model(patch, layers.Dense(1, activation="sigmoid")(x))


def two_outputs(input_shape, width=4):
    patch = keras.Input(input_shape)
    x = layers.Flatten()(patch)
    return keras.Model(patch, [layers.Dense(1)(x), layers.Dense(1)(x)])


def raises(input_shape, width=4):
    raise RuntimeError("no weights today")
"""

OWN = (
    "architectures.mine.function=networks.py:network",
    "architectures.hyper.hypermodel=networks.py:Hyper",
    "training.epochs=1",
    "validation.folds=2",
    "space.architecture=['mine', 'hyper']",
    "space.mine.width=[4, 8]",
    "space.mine.norm=[true]",
    "space.patch_radius=[2]",
)
ENQUEUED = (
    '{architecture="mine", mine.width=8}',
    '{architecture="hyper", hyper.kind="conv"}',
    '{architecture="hyper", hyper.kind="dense"}',
    '{architecture="hyper", hyper.kind="cnn"}',
    '{architecture="hyper", hyper.depth=3, hyper.kind="dense"}',
)


def run(study: Study, folder: Path) -> optuna.Study:
    return run_study(
        study, Home.at(folder / "home"), RunOptions(placements=(Placement(1, None),)), Listener()
    ).study


@pytest.fixture(scope="module")
def record(make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "networks.py").write_text(NETWORKS)
    enqueue = f"search.enqueue=[{', '.join(ENQUEUED)}]"
    study = make_study(folder, *OWN, enqueue, f"search.trials={len(ENQUEUED)}")
    return study_record(run(study, folder), Home.at(folder / "home"), None)


def test_a_users_function_is_trained_with_its_parameters(record: dict[str, list[dict[str, object]]]) -> None:
    trial = record["trials"][0]
    assert trial["state"] == "COMPLETE"
    assert {"mine.width": 8, "mine.norm": True}.items() <= trial["params"].items()  # type: ignore[attr-defined]
    # 3 channels x 9 taps x 8 filters and biases; batch norm 4 x 8; a unit on 8 features
    assert trial["parameters"] == 3 * 9 * 8 + 8 + 4 * 8 + 8 + 1


def test_what_a_hypermodel_asks_for_are_parameters_of_the_trial(
    record: dict[str, list[dict[str, object]]],
) -> None:
    conv, dense = (trial["params"] for trial in record["trials"][1:3])
    assert conv["hyper.kind"] == "conv"  # type: ignore[index]
    assert conv["hyper.filters[kind=conv]"] in (2, 4, 6, 8)  # type: ignore[index]
    assert [name for name in dense if name.startswith("hyper.")] == ["hyper.kind"]  # type: ignore[attr-defined]
    assert record["trials"][2]["parameters"] == 5 * 5 * 3 + 1


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (3, "hyper.kind must be one of dense, conv, but got 'cnn'"),
        (4, "hyper.depth was enqueued, but the hypermodel did not ask for it"),
    ],
)
def test_an_enqueued_value_that_the_hypermodel_does_not_take_fails_the_trial(
    record: dict[str, list[dict[str, object]]], number: int, line: str
) -> None:
    assert record["trials"][number]["state"] == "FAIL"
    assert line in str(record["trials"][number]["error"])


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        ("two_outputs", ("networks.py", "one output")),
        ("raises", ("networks.py", "RuntimeError", "no weights today")),
        ("absent", ("networks.py", "absent")),
    ],
)
def test_a_function_that_does_not_work_is_refused_before_any_trial(
    function: str, parts: tuple[str, ...], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    (tmp_path / "networks.py").write_text(NETWORKS)
    source = f"architectures.mine.function=networks.py:{function}"
    own = (*OWN[2:4], source, "space.architecture=['mine']", "space.mine.width=[4, 8]")
    study = make_study(tmp_path, *own, "search.enqueue=[]")
    with pytest.raises(InputError, match=function) as caught:
        run(study, tmp_path)
    assert len(caught.value.problems) == 1
    assert all(part in caught.value.problems[0] for part in parts)
    assert all_studies(open_storage(None, Home.at(tmp_path / "home"))) == []
