"""Numbers with points and commas."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.importing.numerals import Numerals, lowered, numerals_of, plain


@given(st.decimals(-(10**6), 10**6, places=2))
def test_a_decimal_comma_is_a_point(number: Decimal) -> None:
    text = f"{number:f}".replace(".", ",")
    numerals = numerals_of([text], typed=False, semicolons=False, told=False)
    assert numerals.comma
    assert numerals.number(text) == float(number)


@pytest.mark.parametrize("cell", ["0,125", "-12,5", "1234,567", ",5", "12,5000"])
def test_what_cannot_separate_thousands_is_decimal(cell: str) -> None:
    assert numerals_of(["1", cell], typed=False, semicolons=False, told=False).comma


def test_what_may_be_either_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"'34,125' may be 34.125 or 34125. Say --decimal-comma"):
        numerals_of(["34,125", "1,000"], typed=False, semicolons=False, told=False)
    assert numerals_of(["34,125"], typed=False, semicolons=True, told=False).comma
    assert numerals_of(["34,125"], typed=False, semicolons=False, told=True).comma


def test_points_among_commas_are_refused_but_in_workbooks_which_store_numbers() -> None:
    with pytest.raises(
        ValueError, match=r"a decimal comma is needed, as elsewhere in the table, but got '1.5'"
    ):
        Numerals(comma=True).text("1.5")
    assert Numerals(comma=True, typed=True).text("1.5") == "1.5"


@pytest.mark.parametrize("cell", ["", "12 mm", "1.234,5", "1,2,3", "nan", "inf", "\uff11"])
def test_anything_else_is_no_number(cell: str) -> None:
    with pytest.raises(ValueError, match=r"is needed"):
        Numerals(comma=True).text(cell)


@given(st.decimals(-(10**6), 10**6, places=6))
def test_one_less_is_exact(number: Decimal) -> None:
    assert Decimal(lowered(f"{number:f}")) == number - 1


@given(st.floats(0, 1e15, allow_subnormal=False))
def test_numbers_survive_being_written(number: float) -> None:
    assert float(plain(number)) == pytest.approx(number, rel=1e-14)
