from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import Problems
from search.catalogue import Catalogue, Own
from search.domains import Choice
from search.space import read_space
from search.space_changes import compare, plain, recorded

BEFORE: dict[str, Any] = {
    "architecture": ["small_cnn", "resnet50"],
    "stem": ["paper", "small"],
    "optimizer": ["adam", "sgd"],
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": 9,
    "patch_radius": {"low": 2, "high": 8},
    "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": "sgd"}},
    "dropout": {"choices": [0.0, 0.25], "when": {"optimizer": ["adam", "sgd"]}},
    "mine": {"width": [4, 8]},
}
CATALOGUE = Catalogue({"mine": Own("function", "mine.py:build")})
CHANGED: list[tuple[str, Any, str]] = [
    ("batch_size", [3, 18], "space.batch_size: must keep 9 of its choices 9, but got 3, 18"),
    ("stem", ["paper", "resize"], "space.stem: must keep small of its choices paper, small, but got paper, "),
    ("stem", "paper", "must keep small"),
    ("stem", None, "space.stem: must stay one of paper, small as at the study's start, but is not in the"),
    ("momentum", None, "space.momentum: must stay 0 to 0.9, any number as at the study's start, but is not"),
    (
        "learning_rate",
        {"low": 1e-4, "high": 1e-2},
        "must stay 0.0001 to 0.01 (log), any number as at the study's start, but got 0.0001 to 0.01, any",
    ),
    ("learning_rate", [1e-4, 1e-2], "but got one of 0.0001, 0.01"),
    ("patch_radius", [2, 8], "must stay 2 to 8, whole numbers as at the study's start, but got one of 2, 8"),
    ("batch_size", {"low": 2, "high": 9}, "must stay 9 as at the study's start, but got 2 to 9, whole"),
    ("mine", {"width": [8, 16]}, "space.mine.width: must keep 4 of its choices 4, 8, but got 8, 16"),
    ("mine", {"width": {"low": 4, "high": 8}}, "must stay one of 4, 8"),
    (
        "momentum",
        {"low": 0.0, "high": 0.9, "when": {"optimizer": "sgd", "architecture": "resnet50"}},
        "space.momentum.when: must stay (optimizer = sgd) as at the study's start, but got "
        "(optimizer = sgd, architecture = resnet50)",
    ),
    ("dropout", {"choices": [0.0, 0.25], "when": {"optimizer": "adam"}}, "space.dropout.when: must stay"),
    ("dropout", {"choices": [0.0, 0.25], "when": {"patch_radius": [2, 3]}}, "space.dropout.when: must stay"),
]
GROWN: list[tuple[str, Any, Any, Any]] = [
    ("batch_size", [3, 9, 18], [9], [9, 3, 18]),
    ("optimizer", ["amsgrad", "sgd", "adam"], ["adam", "sgd"], ["adam", "sgd", "amsgrad"]),
    ("architecture", ["constant", *BEFORE["architecture"]], None, ["small_cnn", "resnet50", "constant"]),
    ("dropout", {"choices": [0.5, 0.25, 0.0]}, [0.0, 0.25], [0.0, 0.25, 0.5]),
    ("weight_decay", [1e-3, 1e-2], None, [1e-3, 1e-2]),
    ("mine", {"width": [16, 8, 4]}, [4, 8], [4, 8, 16]),
]
SAME: list[tuple[str, Any]] = [
    ("optimizer", ["sgd", "adam"]),
    ("batch_size", [9]),
    ("dropout", [0.25, 0.0]),
    ("momentum", {"low": 0.0, "high": 0.9}),
]


def space(table: dict[str, Any]) -> Any:
    table = {name: entry for name, entry in table.items() if entry is not None}
    problems = Problems()
    read = read_space({**table, "architecture": ["mine", *table["architecture"]]}, "s", problems, CATALOGUE)
    problems.raise_any()
    return read


def found(now: dict[str, Any], log: Any = ()) -> tuple[list[dict[str, Any]], Problems]:
    problems = Problems()
    return compare("toy", space(BEFORE), log, space(now), problems), problems


@pytest.mark.parametrize(("name", "entry", "line"), CHANGED)
def test_another_meaning_is_refused_and_named(name: str, entry: Any, line: str) -> None:
    _, problems = found({**BEFORE, name: entry})
    with pytest.raises(ValueError, match="study 'toy': space") as caught:
        problems.raise_any()
    (said,) = [told for told in str(caught.value).splitlines() if line in told]
    assert said.endswith("Use another name for a new study")


@pytest.mark.parametrize(("name", "entry", "before", "now"), GROWN)
def test_what_is_added_is_recorded_in_order(name: str, entry: Any, before: Any, now: Any) -> None:
    (change,), problems = found({**BEFORE, name: entry})
    assert not len(problems)
    if name == "architecture":
        before, now = ["mine", "small_cnn", "resnet50"], ["mine", *now]
    named = "mine.width" if name == "mine" else name
    assert (change["parameter"], change["before"], change["now"]) == (named, before, now)
    assert datetime.fromisoformat(change["time"]).tzinfo is not None


def test_a_range_that_moves_is_recorded() -> None:
    (change,), problems = found({**BEFORE, "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}})
    assert not len(problems)
    assert (change["before"]["low"], change["now"]["low"]) == (1e-4, 1e-5)


@pytest.mark.parametrize(("name", "entry"), SAME)
def test_what_means_the_same_is_no_change(name: str, entry: Any) -> None:
    changes, problems = found({**BEFORE, name: entry})
    assert not len(problems)
    assert changes == []


def test_a_condition_may_name_what_was_added_with_it() -> None:
    now = {
        **BEFORE,
        "optimizer": ["adam", "sgd", "amsgrad"],
        "dropout": {"choices": [0.0, 0.25], "when": {"optimizer": ["adam", "sgd"]}},
    }
    _, problems = found(now)
    assert not len(problems)


def test_a_change_that_is_logged_and_not_in_the_space_yet_is_not_logged_twice() -> None:
    now = {**BEFORE, "batch_size": [9, 18], "weight_decay": [1e-3]}
    log, _ = found(now)
    assert found(now, log)[0] == []
    assert len(found(BEFORE, log)[1]) == 2


def test_all_problems_come_at_once() -> None:
    _, problems = found({**BEFORE, "batch_size": 3, "stem": "small"})
    assert len(problems) == 2


def test_the_recorded_space_keeps_each_list_in_the_order_optuna_has() -> None:
    now = {
        **BEFORE,
        "optimizer": ["amsgrad", "sgd", "adam"],
        "dropout": {"choices": [0.25, 0.0], "when": {"optimizer": ["adam", "sgd"]}},
        "mine": {"width": [16, 8, 4]},
    }
    changes, _ = found(now)
    table = recorded(now, BEFORE, changes)
    assert table["optimizer"] == ["adam", "sgd", "amsgrad"]
    assert table["dropout"] == BEFORE["dropout"]
    assert table["mine"] == {"width": [4, 8, 16]}
    assert recorded(table, table, changes) == table


@given(st.lists(st.permutations([3, 9, 18, 27, 45]), min_size=1, max_size=4), st.data())
def test_a_list_grows_at_its_end_however_it_is_written(orders: list[list[int]], data: st.DataObject) -> None:
    """Whatever order each start's file has, the recorded list is the earlier one and then what was added."""
    have, log, table = [9], list[dict[str, Any]](), {"batch_size": [9]}
    for order in orders:
        added = data.draw(st.sets(st.sampled_from(order)))
        listed = [value for value in order if value in added or value in have]
        problems = Problems()
        before = read_space(table, "s", Problems())
        log += compare("toy", before, log, read_space({"batch_size": listed}, "s", Problems()), problems)
        table = recorded({"batch_size": listed}, table, log)
        assert not len(problems)
        assert table["batch_size"][: len(have)] == have
        assert set(table["batch_size"]) == set(listed)
        have = table["batch_size"]


def test_a_domain_as_plain_data() -> None:
    assert plain(Choice((1, 2))) == [1, 2]
    assert plain(None) is None
