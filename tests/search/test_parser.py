"""Every command of the design has a parser, and every parser a command."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re

import pytest

from search.parser import build_parser


def parsers() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


@pytest.mark.parametrize("name", parsers())
def test_a_command_reads_every_flag_that_it_takes_and_no_other(name: str) -> None:
    """A flag that nobody reads does nothing, and one that is read but not taken is an error at run time."""
    module = importlib.import_module(f"search.commands.{name}")
    read = set(re.findall(r"args\.(\w+)", inspect.getsource(module)))
    taken = {action.dest for action in parsers()[name]._actions} - {"help"}
    assert read == taken


@pytest.mark.parametrize("name", parsers())
def test_every_flag_says_what_it_does(name: str) -> None:
    assert all(action.help for action in parsers()[name]._actions)
