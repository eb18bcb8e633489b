import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.schedules import make_schedule
from models.spec import TrainingSpec


def _factors(spec, losses):
    schedule, factors = make_schedule(spec), []
    for epoch, loss in enumerate(losses, start=1):
        factors.append(schedule.factor(epoch))
        schedule.saw(loss)
    return factors


def test_a_constant_rate_stays():
    assert _factors(TrainingSpec(3, 9, 0), [1, 2, 3]) == [1, 1, 1]


def test_a_cosine_starts_at_one_and_is_symmetric_about_one_half():
    factors = _factors(TrainingSpec(50, 9, 0, schedule="cosine"), [0] * 50)
    assert factors[0] == 1
    assert factors[25] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(np.sin(np.pi / 100) ** 2)
    np.testing.assert_allclose(np.add(factors[1:], factors[:0:-1]), 1)
    assert (np.diff(factors) < 0).all()


def test_a_cosine_is_that_of_keras():
    theirs = keras.optimizers.schedules.CosineDecay(1.0, decay_steps=12)
    factors = _factors(TrainingSpec(12, 9, 0, schedule="cosine"), [0] * 12)
    np.testing.assert_allclose(factors, [float(theirs(epoch)) for epoch in range(12)], atol=1e-6)


def test_a_plateau_lowers_the_rate_after_its_patience_and_again_after_as_much():
    spec = TrainingSpec(9, 9, 0, schedule="plateau", plateau_factor=0.5, plateau_patience=2)
    assert _factors(spec, [3, 2, 2, 2, 2, 2, 1, 1, 1]) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]


class _Model:
    """As much of a Keras model as a callback needs."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(1.0)


@given(
    st.lists(st.integers(0, 5).map(float), min_size=1, max_size=25),
    st.integers(1, 4),
    st.sampled_from([0.25, 0.5]),
)
def test_a_plateau_is_that_of_keras(losses, patience, factor):
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=factor, patience=patience, min_delta=0.0, min_lr=0.0
    )
    callback.set_model(_Model())
    callback.on_train_begin()
    theirs = []
    for epoch, loss in enumerate(losses):
        theirs.append(float(callback.model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, {"loss": loss})
    spec = TrainingSpec(30, 9, 0, schedule="plateau", plateau_factor=factor, plateau_patience=patience)
    np.testing.assert_allclose(_factors(spec, losses), theirs, rtol=1e-6)
