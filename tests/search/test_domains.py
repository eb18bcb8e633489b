from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.domains import Choice, Parameter, Range, condition_text, domain_from, largest


def test_true_is_not_one_and_one_is_not_true() -> None:
    assert True in Choice((True, False))
    assert 1 not in Choice((True, False))
    assert True not in Choice((1, 2))
    assert True not in Range(0, 2, integer=True)


@given(st.integers(-20, 20), st.integers(1, 6), st.integers(0, 8))
def test_a_range_with_steps_holds_as_many_values_as_it_says(low: int, step: int, count: int) -> None:
    domain = Range(low, low + step * count, integer=True, step=step)
    assert (
        sum(value in domain for value in range(low - 1, low + step * count + 2)) == domain.size == count + 1
    )


def test_a_step_of_a_tenth_is_met_in_spite_of_rounding() -> None:
    assert all(tenth / 10 in Range(0.0, 1.0, step=0.1) for tenth in range(11))
    assert 0.1 + 0.2 in Range(0.0, 1.0, step=0.1)
    assert 0.25 not in Range(0.0, 1.0, step=0.1)


def test_a_continuous_range_has_no_number_of_values() -> None:
    assert Range(0.0, 1.0).size is None
    assert Range(2, 16, integer=True).size == 15


@pytest.mark.parametrize(
    ("table", "domain"),
    [
        ({"choices": ["a", 1, True]}, Choice(("a", 1, True))),
        (
            {"low": 1, "high": 9, "log": False, "integer": True, "step": 2},
            Range(1, 9, integer=True, step=2),
        ),
    ],
)
def test_a_domain_is_read_from_plain_data(table: dict[str, object], domain: Choice | Range) -> None:
    assert domain_from(table) == domain


def test_domains_and_conditions_read_as_a_user_writes_them() -> None:
    assert str(Choice((True, "adam", 0.5))) == "true, adam, 0.5"
    assert str(Range(1e-5, 0.1, log=True)) == "1e-05 to 0.1 (log)"
    assert str(Range(0, 1, step=0.25)) == "0 to 1 in steps of 0.25"
    assert (
        condition_text({"optimizer": ("sgd",), "flip": (True, False)})
        == "optimizer = sgd, flip = true or false"
    )


def test_a_parameter_exists_where_every_condition_holds() -> None:
    parameter = Parameter("p", Choice((1,)), {"a": (1, 2), "b": ("x",)})
    assert parameter.exists({"a": 2, "b": "x"})
    assert not parameter.exists({"a": 2})
    assert not parameter.exists({"a": 3, "b": "x"})


def test_the_largest_number_of_a_domain_is_that_of_a_list_or_of_a_range() -> None:
    assert largest(Choice((0, 0.5, False))) == 0.5
    assert largest(Range(0.0, 2.0)) == 2.0
