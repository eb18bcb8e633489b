"""The rivals train the same networks and the same folds as we do; else their times say nothing."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models.build import build_model
from models.spec import ModelSpec
from search.study_file import read_study

ROOT = Path(__file__).parents[2]
SIZES = {"small_cnn": 9, "resnet50": 17, "resnet152": 17, "densenet201": 33}
DEEP = ("resnet152", "densenet201")
NETWORKS = [pytest.param(name, marks=[pytest.mark.slow] if name in DEEP else []) for name in SIZES]


def rival(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module(name)


def torch_rival(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torch", reason="PyTorch belongs to the benchmarks alone: pip install .[bench]")
    return rival("rivals.torch_networks", monkeypatch)


def keras_name(path: str) -> str:
    """The Keras layer of a PyTorch module: `conv2.block1.conv0` is `conv2_block1_0_conv`."""
    return re.sub(r"_(conv|bn)(\d)$", r"_\2_\1", path.replace(".", "_"))


def copy_weights(source: Any, target: Any) -> None:
    """Give a PyTorch network the kernels of a Keras model, and both the same random biases and statistics."""
    import torch

    random = np.random.default_rng(0)
    for path, module in target.named_modules():
        held = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        held.pop("num_batches_tracked", None)
        if not held:
            continue
        layer = source.get_layer(keras_name(path))
        values = [
            value * random.uniform(0.5, 1.5, value.shape) + random.uniform(0, 0.1, value.shape)
            if value.ndim == 1
            else value
            for value in layer.get_weights()
        ]
        layer.set_weights(values)
        for tensor, value in zip(held.values(), values, strict=True):
            axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(value.transpose(axes)))


@pytest.mark.parametrize("name", NETWORKS)
def test_all_networks_of_a_name_have_as_many_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (SIZES[name], SIZES[name], 9)
    in_torch = torch_rival(monkeypatch).network(name, channels=9)
    in_keras = rival("rivals.keras_networks", monkeypatch).network(name, shape)
    ours = build_model(ModelSpec(name, shape))
    assert in_keras.count_params() == ours.count_params()
    trained = sum(parameter.numel() for parameter in in_torch.parameters())
    assert trained == sum(np.prod(weight.shape) for weight in in_keras.trainable_weights)
    assert trained == sum(np.prod(weight.shape) for weight in ours.trainable_weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_computes_what_keras_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_torch = torch_rival(monkeypatch).network(name, channels=9)
    in_keras = rival("rivals.keras_networks", monkeypatch).network(name, (SIZES[name], SIZES[name], 9))
    copy_weights(in_keras, in_torch)
    import keras
    import torch

    x = np.random.default_rng(1).normal(size=(9, SIZES[name], SIZES[name], 9)).astype(np.float32)
    hidden = keras.Model(in_keras.input, in_keras.get_layer("logit").input)
    # Normalising by a batch of nine, over a hundred layers, enlarges what rounding leaves.
    for training, tolerance in ((False, 1e-4), (True, 5e-3)):
        expected = np.asarray(hidden(x, training=training))
        with torch.no_grad():
            got = in_torch.train(training)[:-1](torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
        assert expected.std(axis=0).max() > 1e-3 * expected.max()
        np.testing.assert_allclose(got, expected, atol=tolerance * expected.max())
    for path, mean in in_torch.named_buffers():
        if path.endswith("running_mean"):
            moving = in_keras.get_layer(keras_name(path.removesuffix(".running_mean"))).moving_mean.numpy()
            np.testing.assert_allclose(mean, moving, atol=5e-3 * np.abs(moving).max())


def test_our_study_file_trains_every_fold_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = rival("rivals.ours", monkeypatch)
    task = rival("rivals.task", monkeypatch).Task(
        cohort="/cohort", data="", architecture="resnet50", optimizer="sgd", momentum=0.9, radius=8,
        batch_size=9, epochs=20, folds=5, learning_rates=(1e-2, 5e-3), processes=1, threads=2,
    )  # fmt: skip
    path = tmp_path / "study.toml"
    path.write_text(ours.study_file(task))
    study = read_study(path)
    assert (study.validation.folds, study.training.epochs, study.search.trials) == (5, 20, 2)
    assert (study.training.early_stopping, study.search.pruner, study.input.augmentation) == (
        "none",
        "none",
        (),
    )
    assert [params["learning_rate"] for params in study.search.enqueue] == [1e-2, 5e-3]
    options = {p.name: getattr(p.domain, "options", None) for p in study.parameters.parameters}
    assert options == {
        "architecture": ("resnet50",),
        "optimizer": ("sgd",),
        "momentum": (0.9,),
        "batch_size": (9,),
        "patch_radius": (8,),
        "learning_rate": None,
    }


def test_the_floor_counts_no_weight_that_a_gradient_never_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 17 pixels 8 of 9 taps of the last three 3x3 kernels of ResNet50 see padding alone: 6,291,456."""
    floor = rival("floor", monkeypatch)
    work = floor.needed("resnet50", "sgd", (17, 17, 9))
    assert work.bytes == 4 * floor.PASSES["sgd"] * (24_110_977 - 6_291_456)


def test_the_floor_of_a_dense_layer_and_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    floor = rival("floor", monkeypatch)
    patch = keras.Input((3, 3, 2))
    conv = keras.layers.Conv2D(5, 3, padding="same")
    dense = keras.layers.Dense(4)
    keras.Model(patch, dense(keras.layers.Flatten()(conv(patch))))
    # A 3x3 kernel on a 3x3 map: corners see 4 taps, edges 6, the middle 9.
    assert floor.layer_work(conv) == ((4 * 4 + 4 * 6 + 9) * 2 * 5, 9 * 2 * 5 + 5)
    assert floor.layer_work(dense) == (45 * 4, 45 * 4 + 4)
