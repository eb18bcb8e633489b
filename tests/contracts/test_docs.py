"""What the pages tell people to type is what the commands take, and what they link to is there."""

from __future__ import annotations

import argparse
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from search.parser import build_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = ("", "sh")
ENDS = set("();<>|&")


def shell_commands(script: str) -> Iterator[list[str]]:
    """The arguments of every `radsearch` that a script starts, itself or by way of another program.

    >>> list(shell_commands("A=1 radsearch ui & # one\\nray job submit -- \\\\\\n radsearch show x"))
    [['ui'], ['show', 'x']]
    """
    for line in script.replace("\\\n", " ").splitlines():
        if "radsearch" not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for place, word in enumerate(words):
            before = words[place - 1] if place else ";"
            starts = set(before) <= ENDS or before == "--" or "=" in before
            if starts and Path(word).name == "radsearch":
                rest = words[place + 1 :]
                end = next((i for i, later in enumerate(rest) if later and set(later) <= ENDS), len(rest))
                yield rest[:end]


def spoken_commands(prose: str) -> Iterator[list[str]]:
    """The arguments of every `radsearch ...` in running text, where `[...]` is what may be left out."""
    for text in re.findall(r"`(radsearch [^`]+)`", prose):
        yield from shell_commands(re.sub(r"[\[\]\n]", " ", text))


def complaint(words: list[str], *, partly: bool) -> str:
    """What the parser says against a command line.

    Args:
        words: After `radsearch`.
        partly: It is an example of some of its words, with placeholders.
    """
    parser = build_parser()
    if partly:
        _relax(parser)
    said = io.StringIO()
    # Three dots stand for a value, or for any number of words.
    for tried in (words, [word for word in words if word != "..."]):
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            try:
                parser.parse_args(tried)
            except SystemExit as end:
                if end.code:
                    continue
        return ""
    return f"radsearch {shlex.join(words)}: {said.getvalue().splitlines()[-1]}"


def _relax(parser: argparse.ArgumentParser) -> None:
    """Nothing is required, and any word will do for a value."""
    for group in parser._mutually_exclusive_groups:
        group.required = False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _relax(sub)
        elif action.nargs != 0:
            action.required, action.type, action.choices = False, None, None
            if not action.option_strings and action.nargs is None:
                action.nargs = "?"


def complaints(page: str) -> list[str]:
    """What is wrong with the commands of a page."""
    scripts = [block for language, block in FENCE.findall(page) if language in SHELL]
    typed = [words for script in scripts for words in shell_commands(script)]
    said = [complaint(words, partly="..." in words) for words in typed]
    said += [complaint(words, partly=True) for words in spoken_commands(FENCE.sub("", page))]
    return [line for line in said if line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_radsearch_takes(page: Path) -> None:
    assert complaints(page.read_text()) == []


@pytest.mark.parametrize(
    "page",
    [
        "`radsearch run STUDY.toml --cache DIR`",
        "`radsearch submit ... --no-such-flag`",
        "```sh\nradsearch run study.toml --trials many\n```",
        "```\nA=1 radsearch worker cd3d --cohort x --nodes 3   # so\n```",
        "```sh\nray job submit -- \\\n    radsearch submit study.toml --gpus 2\n```",
    ],
)
def test_a_command_that_radsearch_refuses_is_found(page: str) -> None:
    """So that the test above means something."""
    assert len(complaints(page)) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", FENCE.sub("", page.read_text()))
    inside = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_an_image_takes_from_a_checkout_what_is_named_alone_and_that_is_there() -> None:
    """Cohorts, homes and submit.env may lie in one."""
    blocks = FENCE.findall((ROOT / "docs" / "ray.md").read_text())
    (dockerfile,) = (block for language, block in blocks if language == "dockerfile")
    sources = [
        word for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()
    ]
    assert "search" in sources
    assert all((ROOT / source).exists() for source in sources)
    assert not {".", "./", "*", "cohorts", "studies"} & set(sources)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_a_password_typed_into_a_command_line(page: Path) -> None:
    scripts = [block for language, block in FENCE.findall(page.read_text()) if language in SHELL]
    assert not re.findall(r"--from-literal\S*(?:PASSWORD|TOKEN|SECRET|:\.\.\.@)", "\n".join(scripts))
