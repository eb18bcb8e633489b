"""Problems of the input, collected so that a user reads all of them at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_LONGEST_LINE = 1500
_MOST_NAMES = 60  # of a hint, in full
_NAMED = 5  # of a list in one line, the rest is counted
_MOST_COMPARED = 5000  # names; comparing takes about 10 microseconds each


class InputError(ValueError):
    """The input is wrong.

    Attributes:
        problems: One line a problem: where, which rule, which value, what to do next.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        lines = (problems,) if isinstance(problems, str) else tuple(problems)
        self.problems = tuple(map(one_line, lines))
        super().__init__("\n".join(self.problems))


class Problems:
    """Collects the problems of one input and raises them together.

    >>> problems = Problems()
    >>> problems.add("biopsies.tsv: row 3, column x", "a number is needed, but got 'abc'")
    >>> problems.raise_any()
    Traceback (most recent call last):
    data_prep.problems.InputError: biopsies.tsv: row 3, column x: a number is needed, but got 'abc'
    """

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, where: str, what: str) -> None:
        """Note one problem as `one_line`; repeats are dropped."""
        self._lines[one_line(f"{where}: {what}")] = None

    def extend(self, error: InputError) -> None:
        """Take over the problems that another reader found."""
        self._lines |= dict.fromkeys(error.problems)

    def raise_any(self) -> None:
        """Raise `InputError` if anything was noted."""
        if self._lines:
            raise InputError(self._lines)


def one_line(text: str) -> str:
    r"""A text fit for one line of a terminal, whatever a user's file put into it.

    White space is folded, what a terminal would obey or hide is escaped, and of a text of more than 1,500
    characters the middle is left out.

    >>> print(one_line("row 2:\n got '\x1b[31mred'"))
    row 2: got '\x1b[31mred'
    """
    if len(text) > _LONGEST_LINE:
        text = f"{text[: _LONGEST_LINE * 2 // 3]} [...] {text[-_LONGEST_LINE // 3 :]}"
    text = " ".join(text.split())
    return text if text.isprintable() else re.sub(r".", _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    mark = match.group()
    return mark if mark.isprintable() else mark.encode("unicode_escape").decode()


def named(names: Sequence[str], most: int = _NAMED) -> str:
    """Names as a reader takes them in: the first few, and how many more.

    >>> named(["a", "b"]), named(["a", "b", "c", "d"], most=2)
    ('a, b', 'a, b and 2 more')
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the legal names, the nearest first if one is near.

    >>> nearest("optimiser", ["optimizer", "metric"])
    "did you mean 'optimizer'? Known: metric, optimizer"
    """
    names = sorted(known)
    if not names:
        return "there is none yet"
    close = get_close_matches(name, names[:_MOST_COMPARED], n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    more = f" and {len(names) - _MOST_NAMES} others" if len(names) > _MOST_NAMES else ""
    return f"{hint}Known: {', '.join(names[:_MOST_NAMES])}{more}"
