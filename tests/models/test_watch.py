import numpy as np
import pytest

from models.curves import log_loss, roc_auc
from models.errors import NonFiniteLoss
from models.samples import Samples
from models.watch import Watch


class Scripted:
    """A compiled network whose weights are the number of the epoch, and whose output follows a script."""

    def __init__(self, *margins):
        self.margins = margins
        self.epoch = 0

    def logits(self, x):
        self.epoch += 1
        return self.margins[self.epoch - 1] * np.array([-1.0, 1.0])

    def weights_are_finite(self):
        return self.margins != ("broken",)

    def weights(self):
        return [np.array(self.epoch)]

    def set_weights(self, weights):
        self.epoch = int(weights[0])


@pytest.fixture
def pair():
    return Samples(np.zeros((2, 1, 1, 1), np.float32), np.array([0, 1], np.float32))


def _watched(compiled, stop, patience):
    watch = Watch(compiled, stop, patience)
    for epoch in range(1, len(compiled.margins) + 1):
        watch.record(epoch, 0.5, 0.1)
        if watch.is_over:
            break
    return watch


def test_training_ends_when_patience_runs_out(pair):
    watch = _watched(Scripted(1, 3, 2, 2.5, 9), pair, patience=2)
    assert len(watch.history["stop_loss"]) == 4
    assert watch.best_epoch == 2


def test_an_improvement_renews_patience(pair):
    assert _watched(Scripted(1, 0, 2, 1, 3, 2), pair, patience=2).best_epoch == 5


def test_the_best_weights_come_back(pair):
    compiled = Scripted(1, 3, 2, 2)
    _watched(compiled, pair, patience=2).restore_best()
    assert compiled.epoch == 2


def test_the_best_weights_come_back_when_the_epochs_end_first(pair):
    compiled = Scripted(1, 3, 2)
    watch = _watched(compiled, pair, patience=8)
    assert not watch.is_over
    watch.restore_best()
    assert compiled.epoch == 2


def test_an_equal_loss_is_no_improvement(pair):
    assert _watched(Scripted(1, 1, 1), pair, patience=2).best_epoch == 1


def test_without_patience_the_last_epoch_counts(pair):
    compiled = Scripted(1, 3, 2)
    watch = _watched(compiled, pair, patience=None)
    watch.restore_best()
    assert (watch.best_epoch, compiled.epoch) == (3, 3)


def test_without_stop_samples_only_the_loss_is_known():
    watch = Watch(Scripted(), None, patience=1)
    assert watch.record(1, 0.5, 0.1) == {"epoch": 1, "loss": 0.5, "learning_rate": 0.1}
    assert not watch.is_over


def test_the_stop_scores_are_those_of_inference(pair):
    seen = Watch(Scripted(2.0), pair, None).record(1, 0.5, 0.1)
    assert seen["stop_loss"] == pytest.approx(log_loss(np.array([-2.0, 2.0]), [0, 1]))
    assert seen["stop_roc_auc"] == 1.0


def test_one_class_has_no_area():
    stop = Samples(np.zeros((2, 1, 1, 1), np.float32), np.ones(2, np.float32))
    assert "stop_roc_auc" not in Watch(Scripted(2.0), stop, None).record(1, 0.5, 0.1)


def test_a_loss_that_is_not_a_number_names_its_epoch(pair):
    with pytest.raises(NonFiniteLoss, match="loss became nan in epoch 3"):
        Watch(Scripted(1), pair, None).record(3, float("nan"), 0.1)


def test_a_stop_loss_that_is_not_a_number_is_refused(pair):
    with pytest.raises(NonFiniteLoss, match="stop_loss became nan in epoch 1"):
        Watch(Scripted(np.nan), pair, None).record(1, 0.5, 0.1)


def test_a_weight_that_is_not_a_number_is_refused_though_the_loss_is():
    with pytest.raises(NonFiniteLoss, match="a weight became NaN or infinite in epoch 2"):
        Watch(Scripted("broken"), None, None).record(2, 0.5, 0.1)


class Answering:
    """A compiled network that gives these numbers."""

    def __init__(self, *rows):
        self.rows = np.array(rows, np.float64)

    def logits(self, x):
        return self.rows

    def weights_are_finite(self):
        return True


def _stop(*rows):
    return Samples(np.zeros((len(rows), 1, 1, 1), np.float32), np.array(rows, np.float32))


def test_the_area_is_that_of_the_first_target_where_it_is_known():
    logits = np.array([[1.0, 9.0], [2.0, -9.0], [-3.0, 0.0], [5.0, 1.0]])
    stop = _stop([0, 1], [1, 1], [np.nan, 0], [0, np.nan])
    seen = Watch(Answering(*logits), stop, None).record(1, 0.5, 0.1)
    assert seen["stop_roc_auc"] == roc_auc(logits[[0, 1, 3], 0], [0, 1, 0]) == 0.5
    known = ~np.isnan(stop.y)
    assert seen["stop_loss"] == pytest.approx(log_loss(logits[known], stop.y[known]))


def test_a_regression_is_watched_by_its_squared_error():
    seen = Watch(Answering(1.0, -1.0), _stop(3, -2), None, "regression").record(1, 0.5, 0.1)
    assert seen == {"epoch": 1, "loss": 0.5, "learning_rate": 0.1, "stop_loss": 2.5}
