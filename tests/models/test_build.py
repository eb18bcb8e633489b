from dataclasses import replace

import numpy as np
import pytest

from models.build import build_model
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
