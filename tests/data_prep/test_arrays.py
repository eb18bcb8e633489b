from typing import get_args

import numpy as np
import pytest

from data_prep import arrays


@pytest.mark.parametrize(
    ("alias", "dtype"),
    [
        ("FloatArray", np.float32),
        ("DoubleArray", np.float64),
        ("IntArray", np.int64),
        ("BoolArray", np.bool_),
    ],
)
def test_each_alias_fixes_its_number_type(alias, dtype):
    assert get_args(get_args(getattr(arrays, alias))[1])[0] is dtype
