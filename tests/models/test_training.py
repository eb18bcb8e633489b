import runpy
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from models.build import build_model
from models.compiled import CompiledModel
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


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_a_training_that_stops_early_is_the_beginning_of_the_whole_one(
    trainer, spec, adam, easy, more, schedule
):
    whole = TrainingSpec(6, 9, 7, schedule=schedule, plateau_patience=1)
    half_way = []

    def listen(epoch):
        if epoch["epoch"] == 3:  # the network that is being trained, as it is now
            (_, compiled), *_ = reversed(trainer._warm._kept)
            half_way.extend(compiled.weights())

    full = trainer.fit(spec, adam, whole, easy, None, on_epoch=listen).history
    short = trainer.fit(spec, adam, replace(whole, stop_after=3), easy, None)
    assert short.best_epoch == 3
    assert short.history == {name: values[:3] for name, values in full.items()}
    for kept, passed in zip(short._current().weights(), half_way, strict=True):
        np.testing.assert_array_equal(kept, passed)


def test_without_stop_samples_the_weights_of_the_last_epoch_are_kept_whatever_the_patience(
    trainer, spec, adam, easy
):
    training = TrainingSpec(6, 9, 7, schedule="cosine", stop_after=4)
    plain = trainer.fit(spec, adam, training, easy, None).predict(easy.x)
    patient = trainer.fit(spec, adam, replace(training, patience=1), easy, None)
    assert patient.best_epoch == 4
    np.testing.assert_array_equal(patient.predict(easy.x), plain)


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
    fitted._compiled.model.get_layer(LOGIT).bias.assign([np.inf])
    with pytest.raises(NonFiniteLoss, match="output is not finite"):
        fitted.predict(easy.x)


class Exhausted:
    """`CompiledModel.epoch`, out of memory the first few times."""

    def __init__(self, times):
        self.left, self.epoch = times, CompiledModel.epoch

    def __get__(self, compiled, _):
        def epoch(*args):
            self.left -= 1
            if self.left >= 0:
                raise OutOfMemory("the device or machine ran out of memory")
            return self.epoch(compiled, *args)

        return epoch


def test_exhausted_memory_in_an_epoch_is_told(spec, adam, easy, monkeypatch):
    monkeypatch.setattr("models.compiled.CompiledModel.epoch", Exhausted(1))
    with pytest.raises(OutOfMemory, match="ran out of memory"):
        Trainer().fit(spec, adam, ONCE, easy, None)


def test_memory_that_other_networks_hold_does_not_decide_whether_one_fits(spec, adam, easy, monkeypatch):
    """The first epoch runs out of memory while another network is kept, and fits without it."""
    expected = Trainer().fit(spec, adam, ONCE, easy, None).history
    trainer = Trainer()
    trainer.fit(spec, OptimizerSpec("sgd", 0.1), ONCE, easy, None)
    monkeypatch.setattr("models.compiled.CompiledModel.epoch", Exhausted(1))
    assert trainer.fit(spec, adam, ONCE, easy, None).history == expected


def test_memory_for_the_making_of_a_network_is_found_too(spec, adam, easy, monkeypatch):
    trainer = Trainer()
    trainer.fit(spec, OptimizerSpec("sgd", 0.1), ONCE, easy, None)
    made = []

    def make(*args):
        made.append(args)
        if len(made) == 1:
            raise MemoryError
        return CompiledModel(*args)

    monkeypatch.setattr("models.warm.CompiledModel", make)
    assert np.isfinite(trainer.fit(spec, adam, ONCE, easy, None).history["loss"]).all()


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


def test_a_kept_network_of_another_size_gives_the_numbers_of_a_fresh_one(spec, adam, easy, more):
    wide = Samples(np.pad(easy.x, ((0, 0), (2, 2), (2, 2), (0, 0))), easy.y)
    trainer = Trainer()
    first = trainer.fit(replace(spec, input_shape=(9, 9, 2)), adam, ONCE, wide, None)
    after = trainer.fit(spec, adam, ONCE, easy, more)
    assert after._compiled is first._compiled
    assert after.history == Trainer().fit(spec, adam, ONCE, easy, more).history


@pytest.mark.slow
def test_the_saved_network_keeps_weights_out_of_reach_as_they_were_drawn(adam):
    """At 9 pixels, ResNet50 trains only the centres of nine kernels."""
    spec, rng = ModelSpec("resnet50", (9, 9, 2)), np.random.default_rng(0)
    samples = Samples(rng.normal(size=(6, 9, 9, 2)).astype(np.float32), np.arange(6, dtype=np.float32) % 2)
    fitted = Trainer().fit(spec, adam, TrainingSpec(1, 6, 3), samples, None)
    models = build_model(spec, 3), fitted.model
    drawn, trained = (model.get_layer("conv5_block1_2_conv").kernel.numpy() for model in models)
    outer = np.ones((3, 3), bool)
    outer[1, 1] = False
    np.testing.assert_array_equal(trained[outer], drawn[outer])
    assert (trained[1, 1] != drawn[1, 1]).mean() > 0.99
    assert fitted.dead_parameters == 9_437_184


@pytest.mark.slow
def test_a_fold_of_resnet50_is_not_touched_by_the_folds_before(adam):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 17, 17, 9)).astype(np.float32), (np.arange(20) % 2).astype(np.float32)
    spec, samples = ModelSpec("resnet50", (17, 17, 9)), Samples(x, y)
    warm = Trainer()
    warm.fit(spec, adam, replace(ONCE, seed=1), Samples(x[:11], y[:11]), samples)
    after = warm.fit(spec, adam, ONCE, samples, samples).predict(x)
    np.testing.assert_array_equal(after, Trainer().fit(spec, adam, ONCE, samples, samples).predict(x))


def _rates(fitted):
    return fitted.history["learning_rate"]


def test_a_schedule_sets_the_rate_of_every_epoch(trainer, spec, adam, easy, more):
    training = replace(ONCE, epochs=4, schedule="cosine")
    told = []
    fitted = trainer.fit(spec, adam, training, easy, more, on_epoch=told.append)
    np.testing.assert_allclose(_rates(fitted), 0.005 * (1 + np.cos(np.pi * np.arange(4) / 4)))
    assert [epoch["learning_rate"] for epoch in told] == _rates(fitted)
    assert _rates(trainer.fit(spec, adam, ONCE, easy, more)) == [0.01, 0.01]


def test_each_epoch_moves_at_the_rate_that_is_told(trainer, spec, easy):
    """On the whole fold an epoch's loss is from before its step, so that the first two are equal."""
    rate, whole = OptimizerSpec("sgd", 0.1), TrainingSpec(3, 90, 0)
    constant = trainer.fit(spec, rate, whole, easy, None).history["loss"]
    cosine = trainer.fit(spec, rate, replace(whole, schedule="cosine"), easy, None).history["loss"]
    assert cosine[:2] == constant[:2]
    _, second, third = cosine
    assert constant[2] < third
    assert (second - third) / (second - constant[2]) == pytest.approx(0.75, rel=0.1)


@pytest.mark.parametrize("stops", [True, False])
def test_a_plateau_follows_the_stop_loss_or_else_the_loss(trainer, spec, easy, stops):
    """Against the training labels the stop loss only rises; the training loss falls."""
    contrary = Samples(easy.x, 1 - easy.y) if stops else None
    training = replace(ONCE, epochs=5, schedule="plateau", plateau_patience=1, plateau_factor=0.5)
    fitted = trainer.fit(spec, OptimizerSpec("adam", 1e-2), training, easy, contrary)
    watched = fitted.history["stop_loss" if stops else "loss"]
    better = np.array(watched) <= np.minimum.accumulate(watched)
    expected = 0.01 * 0.5 ** np.cumsum([0, *~better[:-1]])
    np.testing.assert_allclose(_rates(fitted), expected)
    assert (_rates(fitted)[-1] < 0.01) == stops


def test_smoothed_labels_are_for_the_training_loss_alone(trainer, spec, easy):
    still, smooth = OptimizerSpec("sgd", 1e-12), replace(ONCE, epochs=1, label_smoothing=0.4)
    plain, found = (trainer.fit(spec, still, each, easy, easy) for each in (replace(ONCE, epochs=1), smooth))
    assert found.history["stop_loss"] == plain.history["stop_loss"]
    p = found.predict(easy.x)
    y = easy.y * 0.6 + 0.2
    expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert found.history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_smoothed_labels_keep_the_output_from_the_extremes(trainer, spec, easy):
    training = TrainingSpec(40, 9, 0)
    spread = [
        np.ptp(trainer.fit(spec, OptimizerSpec("adam", 1e-2), each, easy, None).predict(easy.x))
        for each in (training, replace(training, label_smoothing=0.5))
    ]
    assert spread[0] > 0.99
    assert spread[1] < 0.75


def test_a_rate_for_transferred_weights_needs_some(trainer, spec, adam, easy):
    with pytest.raises(ModelError, match=r"transferred_rate: only with transferred weights, but got 0\.1"):
        trainer.fit(spec, replace(adam, transferred_rate=0.1), ONCE, easy, None)


def test_a_network_with_dropout_is_the_same_after_other_fits_as_fresh(spec, adam, easy, more):
    thick = replace(spec, dropout=0.5)
    trainer = Trainer()
    for rate, seed in ((0.1, 1), (0.5, 2)):
        trainer.fit(replace(spec, dropout=rate), adam, replace(ONCE, seed=seed), more, easy)
    after = trainer.fit(thick, adam, ONCE, easy, more)
    assert after.history == Trainer().fit(thick, adam, ONCE, easy, more).history
    assert after.model.get_layer("dropout1").rate == 0.5


def _one_pixel(samples):
    """The mean of each patch."""
    return Samples(samples.x.mean(axis=(1, 2), keepdims=True), samples.y)


@pytest.mark.parametrize("side", [1, 5])
def test_batches_of_one_learn_and_predict_sanely(trainer, custom, easy, more, side):
    fit, stop = (_one_pixel(each) if side == 1 else each for each in (easy, more))
    rate, training = OptimizerSpec("adam", 1e-3), TrainingSpec(20, 1, 0)
    fitted = trainer.fit(custom("normed", side), rate, training, fit, stop)
    assert fitted.history["stop_roc_auc"][-1] > 0.9
    assert max(fitted.history["stop_loss"]) < 2
    probability = fitted.predict(stop.x)
    assert np.abs(np.log(probability / (1 - probability))).max() < 20
    variances = [weight for weight in fitted.model.weights if weight.name == "moving_variance"]
    assert min(float(np.max(variance)) for variance in variances) > 1e-3


@pytest.mark.parametrize(("size", "n"), [(1, 6), (9, 1)], ids=["of one", "a lone sample"])
def test_single_samples_and_others_have_networks_of_their_own(trainer, custom, easy, size, n):
    rate, few = OptimizerSpec("adam", 1e-3), _one_pixel(Samples(easy.x[:n], easy.y[:n]))
    single = trainer.fit(custom("normed", 1), rate, replace(ONCE, batch_size=size), few, None)._compiled
    pairs = _one_pixel(Samples(easy.x[:5], easy.y[:5]))
    other = trainer.fit(custom("normed", 1), rate, replace(ONCE, batch_size=2), pairs, None)._compiled
    assert single is not other


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
def test_a_custom_network_with_random_layers_is_trained_and_saved(custom, adam, easy, more, tmp_path):
    spec = custom("random", 5, rate=0.2)
    warm = Trainer()
    warm.fit(spec, adam, replace(ONCE, seed=1), more, easy)
    after = warm.fit(spec, adam, ONCE, easy, more)
    fresh = Trainer().fit(spec, adam, ONCE, easy, more)
    assert after.history == fresh.history
    np.testing.assert_array_equal(after.predict(more.x), fresh.predict(more.x))
    after.save(tmp_path / "fold.keras")
    loaded = keras.saving.load_model(tmp_path / "fold.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(more.x, training=False)[:, 0], after.predict(more.x), rtol=1e-4)


def _three_labels(samples, missing=0.3):
    """The label, its opposite, and one of chance; some are not known, but never all of a row."""
    random = np.random.default_rng(0)
    y = np.column_stack([samples.y, 1 - samples.y, random.integers(0, 2, len(samples.y))]).astype(np.float32)
    y[:, 1:][random.random((len(y), 2)) < missing] = np.nan
    return Samples(samples.x, y)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
def test_several_labels_are_learnt_at_once_and_saved(trainer, spec, adam, easy, more, tmp_path):
    wanted, fit = replace(spec, outputs=3), _three_labels(easy)
    fitted = trainer.fit(wanted, adam, TrainingSpec(15, 9, 0), fit, _three_labels(more))
    found = fitted.predict(more.x)
    assert found.shape == (24, 3)
    assert ((found[:, 0] > 0.5) == more.y).mean() > 0.8
    assert ((found[:, 1] > 0.5) == 1 - more.y).mean() > 0.8
    assert fitted.history["stop_roc_auc"][-1] > 0.9
    fitted.save(tmp_path / "fold.keras")
    loaded = keras.saving.load_model(tmp_path / "fold.keras", safe_mode=True)
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}
    np.testing.assert_allclose(loaded(more.x), found, rtol=1e-4, atol=1e-6)


def test_the_loss_of_an_epoch_is_the_mean_over_its_known_targets(trainer, spec, easy):
    """At a vanishing rate every batch is scored by the initial weights."""
    still, samples = OptimizerSpec("sgd", 1e-12), _three_labels(easy)
    fitted = trainer.fit(replace(spec, outputs=3), still, TrainingSpec(1, 9, 0), samples, samples)
    p, y = fitted.predict(samples.x), samples.y
    expected = pytest.approx(-np.nanmean(y * np.log(p) + (1 - y) * np.log(1 - p)), rel=1e-5)
    assert fitted.history["loss"] == [expected]
    assert fitted.history["stop_loss"] == [expected]


def _planted(n, seed):
    """Patches whose target is linear in a channel's mean, standardised."""
    x = np.random.default_rng(seed).normal(size=(n, 5, 5, 2)).astype(np.float32)
    return Samples(x, (5 * x[..., 0].mean(axis=(1, 2))).astype(np.float32))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, while it saves
def test_a_planted_value_is_learnt_and_saved(trainer, spec, adam, tmp_path):
    fit, stop = _planted(120, 0), _planted(60, 1)
    fitted = trainer.fit(replace(spec, task="regression"), adam, TrainingSpec(25, 9, 0), fit, stop)
    found = fitted.predict(stop.x)
    assert found.shape == (60,)
    assert np.corrcoef(found, stop.y)[0, 1] > 0.9
    assert found.min() < -1
    assert fitted.history["stop_loss"][-1] == pytest.approx(np.mean((found - stop.y) ** 2), rel=1e-5)
    assert "stop_roc_auc" not in fitted.history
    fitted.save(tmp_path / "fold.keras")
    loaded = keras.saving.load_model(tmp_path / "fold.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(stop.x)[:, 0], found, rtol=1e-4, atol=1e-5)


def test_the_order_of_rows_is_of_no_consequence_to_a_whole_batch(trainer, spec, adam, easy):
    """But for rounding: sums are taken in another order."""
    samples, order = _three_labels(easy), np.random.default_rng(1).permutation(40)
    wanted, whole = replace(spec, outputs=3), TrainingSpec(3, 40, 0)
    first = trainer.fit(wanted, adam, whole, samples, None).predict(easy.x)
    shuffled = Samples(samples.x[order], samples.y[order])
    np.testing.assert_allclose(
        trainer.fit(wanted, adam, whole, shuffled, None).predict(easy.x), first, rtol=1e-3
    )


@pytest.mark.parametrize(
    ("more", "training", "law"),
    [
        (
            {"task": "regression"},
            replace(ONCE, label_smoothing=0.1),
            "label_smoothing: 0 is needed in regression",
        ),
        ({"outputs": 2}, ONCE, r"2 output\(s\) need targets \(n, 2\), but got the shape \(40,\)"),
    ],
)
def test_targets_that_are_not_the_networks_are_refused(trainer, spec, adam, easy, more, training, law):
    with pytest.raises(ModelError, match=law):
        trainer.fit(replace(spec, **more), adam, training, easy, None)


def test_stop_targets_have_the_shape_of_the_others(trainer, spec, adam, easy):
    with pytest.raises(ModelError, match=r"1 output\(s\) need targets \(n,\), but got the shape \(40, 3\)"):
        trainer.fit(spec, adam, ONCE, easy, _three_labels(easy))
