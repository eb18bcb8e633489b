from __future__ import annotations

import pytest

from search.parser import build_parser


def test_what_the_documents_promise_is_what_is_taken_when_nothing_is_said() -> None:
    parse = build_parser().parse_args
    assert parse(["test", "s"]).permutations == 199
    assert parse(["test", "s"]).configurations == 20
    assert parse(["test", "s"]).null == "both"
    assert (parse(["rescore", "s"]).top, parse(["rescore", "s"]).seeds) == (10, 3)
    assert parse(["rescore", "s"]).scheme == "bank"
    assert parse(["nested", "s.toml"]).inner == 4
    assert parse(["compare", "a", "b:3", "c"]).studies == ["a", "b:3", "c"]


@pytest.mark.parametrize(
    "words",
    [
        ["test"],
        ["test", "s", "--permutations", "0"],
        ["test", "s", "--null", "free"],
        ["test", "s", "--seed", "-1"],
        ["rescore", "s", "--scheme", "biopsy"],
        ["rescore", "s", "--seeds", "0"],
        ["nested", "s.toml", "--inner", "1"],
        ["nested", "s.toml", "--configurations", "many"],
        ["compare"],
        ["report", "s"],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(words)
