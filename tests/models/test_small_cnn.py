import keras
import numpy as np
import pytest

from models.build import build_model
from models.small_cnn import small_cnn
from models.spec import ModelSpec


@pytest.mark.parametrize("channels", [1, 9, 27, 100])
def test_the_small_network_has_tens_of_thousands_of_weights(channels):
    model = build_model(ModelSpec("small_cnn", (17, 17, channels)))
    assert 10_000 <= model.count_params() <= 60_000


@pytest.mark.parametrize(("side", "halved"), [(1, 1), (5, 3), (17, 9), (33, 17)])
def test_the_side_is_halved_once_rounding_up(side, halved):
    assert small_cnn(keras.Input((side, side, 3))).shape == (None, halved, halved, 48)


def test_one_sample_does_not_depend_on_its_batch():
    model = build_model(ModelSpec("small_cnn", (5, 5, 9)))
    x = np.random.default_rng(0).normal(size=(6, 5, 5, 9)).astype(np.float32)
    np.testing.assert_allclose(model(x, training=True)[:1], model(x[:1], training=True), rtol=1e-5)
