from dataclasses import replace

import numpy as np
import pytest

from models.build import build_model, open_model
from models.errors import ModelError, NotBuildable
from models.registry import ARCHITECTURES
from models.spec import ModelSpec


def test_one_seed_builds_one_network(spec):
    for first, second in zip(build_model(spec, 5).weights, build_model(spec, 5).weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_builds_another(spec):
    assert not np.array_equal(build_model(spec, 5).weights[0], build_model(spec, 6).weights[0])


def test_the_model_goes_from_a_patch_to_a_probability(spec):
    model = build_model(spec)
    assert (model.input_shape, model.output_shape) == ((None, 5, 5, 2), (None, 1))


def test_an_unknown_architecture_is_refused(spec):
    with pytest.raises(ModelError, match="architecture: a known name is needed, but got 'vgg16'"):
        build_model(replace(spec, architecture="vgg16"))


def test_a_patch_too_small_is_refused():
    with pytest.raises(NotBuildable, match="needs patches of at least 29 pixels"):
        build_model(ModelSpec("densenet201", (17, 17, 9)))


def test_what_keras_refuses_is_one_line(monkeypatch):
    entry = replace(ARCHITECTURES["densenet201"], smallest=1)
    monkeypatch.setitem(ARCHITECTURES, "densenet201", entry)
    with pytest.raises(
        NotBuildable, match=r"^architecture 'densenet201' on \(17, 17, 9\): [^\n\x1b]*zero or negative"
    ):
        build_model(ModelSpec("densenet201", (17, 17, 9)))


@pytest.mark.parametrize(("stem", "resize_to"), [("paper", None), ("small", None), ("resize", 32)])
def test_a_stem_is_built_for_one_size_and_for_any(stem, resize_to):
    spec = ModelSpec("resnet50", (5, 5, 2), stem=stem, resize_to=resize_to)
    fixed, free = build_model(spec), open_model(spec)
    assert (fixed.input_shape, free.input_shape) == ((None, 5, 5, 2), (None, None, None, 2))
    assert [weight.shape for weight in fixed.weights] == [weight.shape for weight in free.weights]


def test_dropout_adds_layers_but_no_weights(spec):
    thinned = build_model(replace(spec, dropout=0.5), 5)
    assert [layer.name for layer in thinned.layers if "dropout" in layer.name] == ["dropout1", "dropout2"]
    for first, second in zip(build_model(spec, 5).weights, thinned.weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_outputs_and_the_task_are_those_of_the_spec(spec):
    model = build_model(replace(spec, outputs=3, task="regression"))
    assert (model.output_shape, model.layers[-1].name) == ((None, 3), "value")
    one = build_model(spec, 5)
    for first, second in zip(
        one.weights, build_model(replace(spec, task="regression"), 5).weights, strict=True
    ):
        np.testing.assert_array_equal(first, second)
