"""Filters of entities."""

from __future__ import annotations

import pytest

from data_prep.importing.rules import DEFAULT_MASKS, DEFAULTS, Rule, fits, parse_filters, read_rules
from data_prep.problems import Problems


@pytest.mark.parametrize(
    ("text", "entities", "expected"),
    [
        ("suffix:T1w", {"suffix": "T1w"}, True),
        ("suffix:t1W", {"suffix": "T1w", "run": "1"}, True),
        ("suffix:T1w,ce:none", {"suffix": "T1w"}, True),
        ("suffix:T1w,ce:none", {"suffix": "T1w", "ceagent": "gd"}, False),
        ("suffix:T1w,ceagent:any", {"suffix": "T1w"}, False),
        ("suffix:T1w,ce:none|gd", {"suffix": "T1w", "ceagent": "gd"}, True),
        ("suffix:T1w|T2w", {"suffix": "FLAIR"}, False),
    ],
)
def test_a_filter(text: str, entities: dict[str, str], expected: bool) -> None:
    assert fits(entities, parse_filters(text)) is expected


@pytest.mark.parametrize(
    ("entities", "name"),
    [
        ({"suffix": "T1w"}, "T1"),
        ({"suffix": "T1w", "ceagent": "gadolinium"}, "T1Gd"),
        ({"suffix": "FLAIR"}, "FLAIR"),
        ({"suffix": "dwimap", "param": "fa"}, "FA"),
        ({"suffix": "dwi", "desc": "MD"}, "MD"),
        ({"suffix": "perf", "desc": "rCBV"}, "rCBV"),
        ({"suffix": "mask", "desc": "brain"}, "brain"),
        ({"suffix": "mask", "label": "lesion"}, "tumor"),
        ({"suffix": "dwi"}, None),
        ({"suffix": "bold"}, None),
    ],
)
def test_the_defaults_know_an_ordinary_dataset(entities: dict[str, str], name: str | None) -> None:
    matching = {rule.name for rule in (*DEFAULTS, *DEFAULT_MASKS) if fits(entities, rule.filters())}
    assert matching == ({name} if name else set())


def test_rules_that_are_none_are_all_named() -> None:
    problems = Problems()
    texts = ["T1=suffix:T1w", "T2", "T3=T2w", "a/b=suffix:T1w"]
    assert read_rules("--sequence", texts, True, problems) == (Rule("T1", "suffix:T1w"),)
    assert read_rules("--mask", ["skull=suffix:mask"], True, problems) == ()
    assert len(problems) == 4
    with pytest.raises(
        ValueError, match=r"(?s)NAME=RULE.*but got 'T2w' in a BIDS.*'a/b'.*unknown mask 'skull'"
    ):
        problems.raise_any()


def test_of_folders_a_rule_is_any_text() -> None:
    assert read_rules("--sequence", ["T1Gd=t1 post"], False, Problems()) == (Rule("T1Gd", "t1 post"),)
