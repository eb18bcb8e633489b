import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.samples import Samples, batch_cuts, smoothed


@given(st.integers(1, 200), st.integers(1, 200))
def test_batches_hold_every_row_once_and_in_order(n, size):
    cuts = batch_cuts(n, size)
    assert (cuts[0], cuts[-1]) == (0, n)
    assert (np.diff(cuts) > 0).all()


@given(st.integers(2, 200), st.integers(2, 200))
def test_no_batch_holds_a_lone_row_unless_asked(n, size):
    lengths = np.diff(batch_cuts(n, size))
    assert lengths.min() > 1
    assert lengths.max() <= size + 1


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [(19, 9, [9, 10]), (20, 9, [9, 9, 2]), (4, 1, [1, 1, 1, 1]), (7, 90, [7]), (1, 9, [1])],
    ids=["a row left over joins", "two rows left over", "batches of one", "the whole fold", "a lone sample"],
)
def test_batches_have_these_lengths(n, size, lengths):
    assert np.diff(batch_cuts(n, size)).tolist() == lengths


def test_samples_have_a_label_each():
    with pytest.raises(ModelError, match="one label a patch is needed, but got 3 patches, 2 labels"):
        Samples(np.zeros((3, 5, 5, 1), np.float32), np.zeros(2, np.float32))


def test_no_samples_are_refused():
    with pytest.raises(ModelError, match="got 0 patches"):
        Samples(np.zeros((0, 5, 5, 1), np.float32), np.zeros(0, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_patches_that_are_not_finite_are_refused(value):
    x = np.zeros((3, 5, 5, 1), np.float32)
    x[1, :2, 0] = value
    with pytest.raises(ModelError, match="finite numbers are needed, but got 2 that are NaN or infinite"):
        Samples(x, np.zeros(3, np.float32))


def test_labels_that_are_not_smoothed_stay_the_same_bits():
    labels = np.array([0, 1, 1], np.float32)
    np.testing.assert_array_equal(smoothed(labels, 0.0), labels)


@given(st.floats(0, 0.99))
def test_smoothed_labels_are_those_of_keras(smoothing):
    labels = np.array([[0], [1]], np.float32)
    logits = np.array([[0.3], [-1.2]], np.float32)
    theirs = keras.losses.binary_crossentropy(labels, logits, from_logits=True, label_smoothing=smoothing)
    ours = keras.losses.binary_crossentropy(smoothed(labels, smoothing), logits, from_logits=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def _several(*rows):
    return Samples(np.zeros((len(rows), 5, 5, 1), np.float32), np.array(rows, np.float32))


def test_a_target_among_several_may_be_unknown():
    samples = _several([0, np.nan, 1], [1, 1, 1], [np.nan, np.nan, 0])
    assert samples.known.tolist() == [2, 3, 1]
    assert _several(0, 1).known.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("rows", "law"),
    [
        (([0, 1], [np.nan, np.nan], [1, 0]), "a target that is known, but 1 of 3 have none"),
        (([0], [np.nan]), "a target that is known, but 1 of 2 have none"),
        ((0, np.nan), "finite numbers are needed, but got 1 that"),
        (([0, np.inf], [1, 1]), "finite numbers are needed, but got 1 that"),
        (([[0]], [[1]]), r"targets \(n,\) or \(n, k\) are needed, but got the shape \(2, 1, 1\)"),
    ],
    ids=["no target known", "the only target", "NaN of one target", "infinite", "three axes"],
)
def test_targets_that_cannot_be_trained_on_are_refused(rows, law):
    with pytest.raises(ModelError, match=law):
        _several(*rows)


def test_smoothing_leaves_unknown_targets_unknown():
    np.testing.assert_allclose(smoothed(np.array([[1, np.nan]], np.float32), 0.5), [[0.75, np.nan]])
