from __future__ import annotations

from typing import Any

import pytest

from data_prep.problems import InputError, Problems
from search.domains import Choice, Domain, Range
from search.entries import read_domain, read_own_domain
from search.known import Known


def read(entry: Any, known: Known | None = None) -> Domain | None:
    problems = Problems()
    found = (
        read_own_domain(entry, "x", problems) if known is None else read_domain(entry, known, "x", problems)
    )
    problems.raise_any()
    return found


@pytest.mark.parametrize(
    ("entry", "domain"),
    [
        (16, Choice((16,))),
        ([True, False], Choice((True, False))),
        (["a", "b"], Choice(("a", "b"))),
        ([1, 0.5], Choice((1.0, 0.5))),
        ({"choices": [1, 2]}, Choice((1, 2))),
        ({"low": 1, "high": 9}, Range(1, 9, integer=True)),
        ({"low": 0.1, "high": 1, "log": True}, Range(0.1, 1, log=True)),
    ],
)
def test_a_users_parameter_has_the_type_of_its_values(entry: Any, domain: Domain) -> None:
    assert read(entry) == domain


@pytest.mark.parametrize(
    "entry", [[1, "a"], [True, 1], [None], [[1]], {"low": "a", "high": 2}, {"choices": []}]
)
def test_values_of_several_types_or_none_are_refused(entry: Any) -> None:
    with pytest.raises(InputError, match="x"):
        read(entry)


def test_a_pattern_says_its_law() -> None:
    with pytest.raises(InputError, match="widths is needed"):
        read(["a"], Known(str, None, pattern=r"\d+", law="widths"))


def test_true_and_false_have_no_range() -> None:
    with pytest.raises(InputError, match="a list of true and false is needed"):
        read({"low": 0, "high": 1}, Known(bool, False))
