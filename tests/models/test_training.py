import runpy
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.errors import ModelError, NonFiniteLoss, NotBuildable, OutOfMemory
from models.heads import LOGIT
from models.samples import Samples
from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
from models.training import Trainer

ONCE = TrainingSpec(epochs=2, batch_size=9, seed=5)


@pytest.fixture(scope="module")
def trainer():
    return Trainer()


def test_a_learnable_label_is_learnt(trainer, spec, adam, easy, more):
    fitted = trainer.fit(spec, adam, TrainingSpec(15, 9, 0), easy, more)
    assert fitted.history["stop_roc_auc"][-1] > 0.9
    assert fitted.history["loss"][-1] < fitted.history["loss"][0]
    assert ((fitted.predict(more.x) > 0.5) == more.y).mean() > 0.8


def test_predictions_of_a_fold_after_other_folds_equal_those_of_a_fresh_trainer(spec, adam, easy, more):
    warm = Trainer()
    for seed in (1, 2):
        warm.fit(spec, replace(adam, learning_rate=0.1), replace(ONCE, seed=seed), more, easy)
    after = warm.fit(spec, adam, ONCE, easy, more)
    fresh = Trainer().fit(spec, adam, ONCE, easy, more)
    np.testing.assert_array_equal(after.predict(more.x), fresh.predict(more.x))
    assert after.history == fresh.history


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(trainer, spec, adam, easy, more):
    first, again, other = (
        trainer.fit(spec, adam, replace(ONCE, seed=seed), easy, None).predict(more.x) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


PROGRAM = """
import numpy as np
from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
from models.training import Samples, Trainer
rng = np.random.default_rng(0)
samples = Samples(rng.normal(size=(30, 5, 5, 2)).astype(np.float32), (np.arange(30) % 2).astype(np.float32))
fitted = Trainer().fit(
    ModelSpec("small_cnn", (5, 5, 2)), OptimizerSpec("sgd", 0.1, 0.9), TrainingSpec(3, 9, 1), samples, samples
)
result = repr([fitted.predict(samples.x).tolist(), fitted.history])
"""


def test_a_fresh_process_gives_the_same_numbers_as_a_warm_one(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    show = f"import runpy; print(runpy.run_path({str(program)!r})['result'])"
    fresh = subprocess.run([sys.executable, "-P", "-c", show], capture_output=True, text=True, check=True)
    assert fresh.stdout.splitlines()[-1] == runpy.run_path(str(program))["result"]


def test_parameters_are_counted(trainer, spec, adam, easy):
    fitted = trainer.fit(spec, adam, replace(ONCE, epochs=1), easy, None)
    assert fitted.parameters == fitted.trainable_parameters == fitted.model.count_params()


def test_the_epochs_are_told_as_they_end(trainer, spec, adam, easy, more):
    told = []
    fitted = trainer.fit(spec, adam, ONCE, easy, more, on_epoch=told.append)
    assert [epoch["epoch"] for epoch in told] == [1, 2]
    assert [epoch["stop_loss"] for epoch in told] == fitted.history["stop_loss"]


def test_a_listener_ends_a_fit_and_the_next_fit_is_whole(trainer, spec, adam, easy, more):
    def refuse(epoch):
        raise InterruptedError("enough")

    expected = trainer.fit(spec, adam, ONCE, easy, None).predict(more.x)
    with pytest.raises(InterruptedError, match="enough"):
        trainer.fit(spec, adam, ONCE, easy, None, on_epoch=refuse)
    np.testing.assert_array_equal(trainer.fit(spec, adam, ONCE, easy, None).predict(more.x), expected)


def test_early_stopping_keeps_the_weights_of_the_best_epoch(trainer, spec, easy):
    """Stop labels are the opposite of the training labels, so that the first epoch is the best."""
    contrary = Samples(easy.x, 1 - easy.y)
    training = TrainingSpec(epochs=30, batch_size=9, seed=3, patience=2)
    rate = OptimizerSpec("adam", 1e-2)
    stopped = trainer.fit(spec, rate, training, easy, contrary)
    epochs, predicted = len(stopped.history["loss"]), stopped.predict(easy.x)
    assert epochs == stopped.best_epoch + 2 < 30
    short = trainer.fit(spec, rate, TrainingSpec(stopped.best_epoch, 9, 3), easy, None)
    np.testing.assert_array_equal(predicted, short.predict(easy.x))


def test_augmented_patches_are_drawn_anew_each_epoch_from_the_seed(trainer, spec, adam, easy):
    drawn = []

    def augment(rng):
        drawn.append(rng.normal())
        return easy.x + np.float32(drawn[-1])

    for _ in range(2):
        trainer.fit(spec, adam, ONCE, easy, None, augment=augment)
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def test_augmentation_that_changes_nothing_leaves_the_fit_as_it_was(trainer, spec, adam, easy, more):
    plain = trainer.fit(spec, adam, ONCE, easy, None).predict(more.x)
    same = trainer.fit(spec, adam, ONCE, easy, None, augment=lambda rng: easy.x).predict(more.x)
    np.testing.assert_array_equal(plain, same)


@pytest.mark.parametrize("size", [1, 13, 500])
def test_every_batch_size_trains(trainer, spec, adam, easy, size):
    fitted = trainer.fit(spec, adam, TrainingSpec(1, size, 0), easy, None)
    assert np.isfinite(fitted.history["loss"]).all()


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples(trainer, spec, easy):
    """At a vanishing rate every batch is scored by the initial weights."""
    still = OptimizerSpec("sgd", 1e-12)
    losses = [
        trainer.fit(spec, still, TrainingSpec(1, size, 0), easy, easy).history for size in (9, len(easy.y))
    ]
    assert losses[0]["loss"] == pytest.approx(losses[1]["loss"], rel=1e-5)
    assert losses[0]["loss"] == pytest.approx(losses[0]["stop_loss"], rel=1e-5)


def test_a_rate_that_explodes_is_told(trainer, spec, easy):
    with pytest.raises(NonFiniteLoss, match="a weight became NaN or infinite in epoch 1"):
        trainer.fit(spec, OptimizerSpec("sgd", 1e30), TrainingSpec(5, 9, 0), easy, None)


def test_patches_that_are_not_finite_have_no_prediction(trainer, spec, adam, easy):
    fitted = trainer.fit(spec, adam, ONCE, easy, None)
    with pytest.raises(ModelError, match="finite numbers are needed"):
        fitted.predict(np.full_like(easy.x, np.nan))


def test_an_output_that_overflows_is_told(trainer, spec, adam, easy):
    fitted = trainer.fit(spec, adam, ONCE, easy, None)
    fitted.model.get_layer(LOGIT).bias.assign([np.inf])
    with pytest.raises(NonFiniteLoss, match="output is not finite"):
        fitted.predict(easy.x)


def test_exhausted_memory_in_a_step_is_told(spec, adam, easy, monkeypatch):
    def exhausted(self, x, y):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr("models.compiled.CompiledModel.step", exhausted)
    with pytest.raises(OutOfMemory, match="ran out of memory: OOM when allocating tensor"):
        Trainer().fit(spec, adam, ONCE, easy, None)


def test_a_network_trained_on_since_refuses_to_predict(trainer, spec, adam, easy):
    fitted = trainer.fit(spec, adam, ONCE, easy, None)
    trainer.fit(spec, adam, ONCE, easy, None)
    with pytest.raises(ModelError, match="the trained network is gone"):
        fitted.predict(easy.x)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
def test_a_saved_network_predicts_the_same(trainer, spec, adam, easy, tmp_path):
    fitted = trainer.fit(spec, adam, ONCE, easy, None)
    fitted.save(tmp_path / "fold.keras")
    loaded = keras.saving.load_model(tmp_path / "fold.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(easy.x)[:, 0], fitted.predict(easy.x), rtol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["fold.keras"]


def test_wrong_names_and_sizes_are_refused_before_training(trainer, spec, adam, easy):
    with pytest.raises(NotBuildable, match="at least 29 pixels"):
        trainer.fit(ModelSpec("densenet201", (5, 5, 2)), adam, ONCE, easy, None)
    with pytest.raises(ModelError, match="got 'rmsprop'"):
        trainer.fit(spec, OptimizerSpec("rmsprop", 0.1), ONCE, easy, None)


@pytest.fixture
def untraced(monkeypatch):
    """Epochs that train nothing, and so compile nothing."""
    monkeypatch.setattr("models.training._run_epoch", lambda *epoch: 0.5)


@pytest.mark.usefixtures("untraced")
def test_folds_and_trials_of_one_structure_share_a_network(spec, adam, easy):
    trainer = Trainer()
    first = trainer.fit(spec, adam, ONCE, easy, None).model
    second = trainer.fit(
        replace(spec, head=(32,)), OptimizerSpec("adam", 1e-4), replace(ONCE, seed=9), easy, None
    )
    other = trainer.fit(spec, OptimizerSpec("sgd", 0.1), ONCE, easy, None)
    assert second.model is first
    assert other.model is not first


@pytest.mark.usefixtures("untraced")
def test_the_structure_used_longest_ago_is_dropped(spec, easy):
    trainer = Trainer(kept=2)
    models = [
        trainer.fit(spec, OptimizerSpec(*optimizer), replace(ONCE, epochs=1), easy, None).model
        for optimizer in (
            ("adam", 0.1),
            ("sgd", 0.1),
            ("adam", 0.1),
            ("sgd", 0.1, 0.9),
            ("adam", 0.1),
            ("sgd", 0.1),
        )
    ]
    assert models[0] is models[2] is models[4]
    assert models[1] is not models[5]


def test_dropping_a_structure_harms_neither_the_precision_policy_nor_what_is_kept(spec, adam, easy, more):
    trainer = Trainer(kept=2)
    expected = trainer.fit(spec, adam, ONCE, easy, None).predict(more.x)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for momentum in (0.0, 0.9):
            trainer.fit(spec, adam, ONCE, easy, None)
            trainer.fit(spec, OptimizerSpec("sgd", 0.1, momentum), ONCE, easy, None)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        np.testing.assert_array_equal(trainer.fit(spec, adam, ONCE, easy, None).predict(more.x), expected)
    finally:
        keras.config.set_dtype_policy(policy)


@pytest.mark.slow
def test_a_fold_of_resnet50_is_not_touched_by_the_folds_before(adam):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 17, 17, 9)).astype(np.float32), (np.arange(20) % 2).astype(np.float32)
    spec, samples = ModelSpec("resnet50", (17, 17, 9)), Samples(x, y)
    warm = Trainer()
    warm.fit(spec, adam, replace(ONCE, seed=1), Samples(x[:11], y[:11]), samples)
    after = warm.fit(spec, adam, ONCE, samples, samples).predict(x)
    np.testing.assert_array_equal(after, Trainer().fit(spec, adam, ONCE, samples, samples).predict(x))
