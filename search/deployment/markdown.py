"""Pieces of Markdown that show names as they are, whatever a user called things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_prep.problems import one_line

_SIGNS = "\\`*_{}[]<>#|!~$&"


def escaped(text: str) -> str:
    r"""A text on one line in which nothing is taken for markup.

    >>> print(escaped("a_b *c*\n<d>"))
    a\_b \*c\* \<d\>
    """
    shown = "".join(f"\\{sign}" if sign in _SIGNS else sign for sign in one_line(text))
    # What begins a line with one of these is a list, a rule or a heading.
    return f"\\{shown}" if shown[:1] in ("-", "+", "=") else shown


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; numbers and names alike stand at the left."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)
