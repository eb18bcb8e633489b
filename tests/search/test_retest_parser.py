"""What `radsearch retest` takes, and what it costs to know."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from search.retest_parser import add_retest


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_retest(parser.add_subparsers(dest="command"))
    return parser.parse_args(["retest", "mine", *words])


def test_what_is_not_given_has_a_default() -> None:
    args = parse()
    assert (args.command, args.study, args.trial, args.stride) == ("retest", "mine", None, 4.0)
    assert (args.skip_maps, args.out, args.json, args.cohort, args.workers) == (
        False,
        None,
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--stride", "0"), "0.5 to 100 mm are possible, but got 0"),
        (("--stride", "nan"), "0.5 to 100 mm"),
        (("--stride", "wide"), "--stride"),
        (("--trial", "-1"), "a whole number from 0 on"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(*words)
    assert told in capsys.readouterr().err


def test_the_parser_loads_nothing_heavy() -> None:
    code = "import sys, search.retest_parser; print({'numpy', 'optuna', 'nibabel'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
