import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from models.errors import ModelError
from models.shallow_fit import FittedBaseline, Rows, fit_pipeline, varies
from models.spec import BaselineSpec


def rows(x, y):
    return Rows(np.asarray(x, np.float64), np.asarray(y, np.float64), np.arange(len(x)))


def test_a_pipeline_imputes_the_mean_scales_and_fits():
    x = [[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0], [5.0, 5.0]]
    fit = fit_pipeline(BaselineSpec("logistic"), rows(x, [0.0, 1.0, 1.0, 2.0]), LinearRegression())
    assert fit.selected == (0,)
    np.testing.assert_allclose(fit.output("predict", np.array([[4.0, -9.0], [np.nan, 0.0]])), [1.5, 1.0])


@pytest.mark.parametrize(
    ("x", "y"), [([[1.0], [1.0]], [0, 1]), ([[1.0], [2.0]], [3, 3]), (np.empty((2, 0)), [0, 1])]
)
def test_rows_with_nothing_to_teach_give_no_fit(x, y):
    assert fit_pipeline(BaselineSpec("logistic"), rows(x, y), LinearRegression()) is None


def test_a_column_varies_beyond_rounding_and_missing_values():
    x = np.array([[1.0, 1e9, np.nan, 0.0], [np.nan, 1e9 + 1e-6, np.nan, 1e-30]])
    assert varies(x).tolist() == [False, False, False, True]


def test_rows_are_of_one_length():
    with pytest.raises(ModelError, match="got 2 rows, 1 labels, 2 participants"):
        Rows(np.zeros((2, 1)), np.zeros(1), np.arange(2))


def test_a_constant_model_expects_its_columns():
    fitted = FittedBaseline("classification", 1, 2, constant=0.3)
    assert fitted.predict(np.zeros((3, 2))).tolist() == [0.3, 0.3, 0.3]
    with pytest.raises(ModelError, match="as many columns as in training, 2, are needed, but got 1"):
        fitted.predict(np.zeros((3, 1)))
