from __future__ import annotations

import argparse

import pytest

from search.check_parser import add_check


def parsed(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_check(parser.add_subparsers(dest="command"))
    return parser.parse_args(["check", *args])


def test_a_cohort_is_enough() -> None:
    assert vars(parsed("here")) == {"command": "check", "cohort": "here", "out": None, "json": False}


def test_flags() -> None:
    args = parsed("here", "--json", "--out", "there")
    assert (args.json, args.out) == (True, "there")


def test_without_a_cohort_it_is_wrong_usage() -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed()
