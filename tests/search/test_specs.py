"""From settings to records: each parameter of the space reaches the record that it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from models.spec import BaselineSpec, TransferSpec
from search.known import KNOWN
from search.specs import (
    augment_spec,
    baseline_spec,
    is_baseline,
    model_spec,
    offered_augments,
    optimizer_spec,
    training_spec,
    widest_augment,
)
from search.study_file import Study

SHAPE = (9, 9, 3)
WIDE = (
    "search.enqueue=[]",
    "space.architecture=['resnet50', 'small_cnn', 'texture_svm', 'texture_forest', 'texture_logistic']",
    "space.weights=['none', 'imagenet']",
    "space.stem=['paper', 'small', 'resize']",
    "space.resize_to=[32, 64]",
)
BASE: dict[str, dict[str, Any]] = {
    "resnet50": {"stem": "resize", "resize_to": 32, "weights": "imagenet", "trainable_stages": 3},
    "small_cnn": {"optimizer": "sgd", "momentum": 0.5, "schedule": "plateau", "rotation": "free"},
    "texture_svm": {},
    "texture_forest": {},
    "texture_logistic": {"selection": "nca"},
}
OTHER: dict[str, Any] = {
    "stem": "small",
    "resize_to": 64,
    "weights": "none",
    "trainable_stages": 1,
    "transferred_rate": 0.1,
    "head": "64-32",
    "dropout": 0.5,
    "optimizer": "amsgrad",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "schedule": "cosine",
    "plateau_factor": 0.1,
    "plateau_patience": 2,
    "label_smoothing": 0.1,
    "batch_size": 3,
    "flip": True,
    "rotation": "quarter",
    "rotation_degrees": 20.0,
    "jitter": 0.5,
    "intensity_scale": 0.2,
    "intensity_shift": 0.3,
    "channel_dropout": 0.4,
    "regularisation": 10.0,
    "svm_gamma": 3.0,
    "forest_trees": 10,
    "forest_leaf": 7,
    "selection": "nca",
    "nca_lambda": 0.3,
}


@pytest.fixture
def study(make_study: Callable[..., Study], tmp_path: Path) -> Study:
    return make_study(tmp_path, *WIDE)


def records(study: Study, settings: dict[str, Any]) -> list[Any]:
    if is_baseline(settings):
        return [baseline_spec(settings)]
    return [
        model_spec(study, settings, SHAPE),
        optimizer_spec(settings),
        training_spec(study.training, settings, 1, stops=True),
        augment_spec(study, settings),
    ]


def where_it_applies(study: Study, name: str) -> dict[str, Any]:
    """Settings of an architecture to which a parameter applies."""
    for architecture, params in BASE.items():
        settings = study.parameters.settings({"architecture": architecture, **params})
        if name in settings:
            return settings
    raise AssertionError(f"{name} applies nowhere")


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"architecture", "patch_radius"}))
def test_every_parameter_changes_some_record(name: str, study: Study) -> None:
    """No option that does nothing. The radius decides the patches, the architecture everything."""
    settings = where_it_applies(study, name)
    changed = {**settings, name: OTHER[name]}
    if name == "stem":
        changed.pop("resize_to")
    assert records(study, settings) != records(study, changed)


def test_zero_and_none_switch_off(study: Study) -> None:
    settings = study.parameters.settings({"architecture": "small_cnn", "optimizer": "sgd", "nesterov": True})
    optimizer = optimizer_spec({**settings, "momentum": 0.0})
    assert (optimizer.clip_norm, optimizer.weight_decay, optimizer.nesterov) == (None, 0.0, False)
    assert model_spec(study, {**settings, "head": "none"}, SHAPE).head == ()
    assert model_spec(study, settings, SHAPE).transfer is None
    assert augment_spec(study, settings).is_none


def test_transfer_names_weights_and_stages(study: Study) -> None:
    settings = study.parameters.settings({"architecture": "resnet50", **BASE["resnet50"]})
    assert model_spec(study, settings, SHAPE).transfer == TransferSpec("imagenet", 3)


def test_patience_needs_samples_to_stop_on(study: Study) -> None:
    settings = study.parameters.settings({"architecture": "small_cnn"})
    assert training_spec(study.training, settings, 1, stops=True).patience == study.training.patience
    assert training_spec(study.training, settings, 1, stops=False).patience is None


def test_a_training_cut_short_keeps_the_schedule_of_the_whole(study: Study) -> None:
    settings = study.parameters.settings({"architecture": "small_cnn"})
    whole = training_spec(study.training, settings, 1, stops=False)
    assert training_spec(study.training, settings, 1, False, 1) == replace(whole, stop_after=1)
    assert (whole.epochs, whole.stop_after) == (study.training.epochs, None)


def test_an_own_architecture_takes_its_own_parameters(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(
        tmp_path,
        "architectures.mine.function=package.module:net",
        "space.architecture=['mine']",
        "space.mine.width=[8]",
    )
    settings = {"architecture": "mine", "mine.width": 8, "batch_size": 9}
    custom = model_spec(study, settings, SHAPE).custom
    assert custom is not None
    assert asdict(custom) == {
        "kind": "function",
        "source": "package.module:net",
        "params": (("width", 8),),
        "arguments": (),
    }


def test_fixed_hyperparameters_are_values_like_those_asked_for(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(
        tmp_path,
        "architectures.hyper.hypermodel=package.module:Net",
        "architectures.hyper.fixed.version=v2",
        "architectures.hyper.arguments.include_top=false",
        "space.architecture=['hyper']",
    )
    custom = model_spec(study, {"architecture": "hyper", "hyper.depth": 4}, SHAPE).custom
    assert custom is not None
    assert custom.params == (("depth", 4), ("version", "v2"))
    assert custom.arguments == (("include_top", False),)


def test_patches_are_as_wide_as_the_widest_augmentation_offered(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    changes = ("space.rotation=['none', 'free']", "space.jitter={low=0.0, high=1.5}", "space.flip=[true]")
    study = make_study(tmp_path, *changes, "input.registration_sd_mm=2.0")
    assert (widest_augment(study).rotation, widest_augment(study).jitter_mm) == ("free", 3.0)
    offered = offered_augments(study)
    assert {spec.jitter_mm for spec in offered} == {0.0, 3.0}
    assert any(spec.flip for spec in offered)


def test_the_shallow_settings_are_those_of_the_record() -> None:
    assert set(vars(BaselineSpec("svm"))) - {"model", "task"} <= set(KNOWN)
