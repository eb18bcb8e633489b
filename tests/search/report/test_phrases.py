"""Numbers in words: as many decimals as a metric needs, and no sign where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.report.phrases import Range, decimal, digits_of, interval


@given(st.floats(-10, 10), st.integers(0, 4), st.booleans())
def test_a_number_is_its_rounded_self_and_zero_has_no_sign(value: float, digits: int, sign: bool) -> None:
    text = decimal(value, digits, sign)
    assert float(text) == round(value, digits)
    assert not (text[0] in "+-" and float(text) == 0)
    assert text.startswith("+") == (sign and float(text) > 0)


@pytest.mark.parametrize(("metric", "digits"), [("brier", 3), ("log_loss", 3), ("roc_auc", 2), ("f1", 2)])
def test_small_differences_have_a_third_decimal(metric: str, digits: int) -> None:
    assert digits_of(metric) == digits


def test_an_interval_has_the_decimals_of_its_value() -> None:
    assert interval(Range(0.24, 0.2, 0.2804), 3) == "0.240 (95 % interval 0.200 to 0.280)"
    assert interval(Range(None, None, None)) == "undefined"
