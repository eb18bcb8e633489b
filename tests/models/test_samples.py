import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.samples import Samples, batches


@given(st.integers(1, 200), st.integers(1, 200))
def test_batches_hold_every_row_once_and_in_order(n, size):
    order = np.random.default_rng(n).permutation(n)
    np.testing.assert_array_equal(np.concatenate(batches(order, size)), order)


@given(st.integers(2, 200), st.integers(2, 200))
def test_no_batch_holds_a_lone_row_unless_asked(n, size):
    lengths = [len(rows) for rows in batches(np.arange(n), size)]
    assert min(lengths) > 1
    assert max(lengths) <= size + 1


def test_a_row_left_over_joins_the_batch_before():
    assert [len(rows) for rows in batches(np.arange(19), 9)] == [9, 10]


def test_two_rows_left_over_are_a_batch():
    assert [len(rows) for rows in batches(np.arange(20), 9)] == [9, 9, 2]


def test_batches_of_one_are_made_when_asked():
    assert [len(rows) for rows in batches(np.arange(4), 1)] == [1, 1, 1, 1]


def test_a_batch_larger_than_the_fold_is_the_fold():
    assert [len(rows) for rows in batches(np.arange(7), 90)] == [7]


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
