"""Problems of the input, collected so that a user reads all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """The input is wrong.

    Attributes:
        problems: One line a problem: where, which rule, which value, what to do next.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
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
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, where: str, what: str) -> None:
        """Note one problem; line breaks of a quoted foreign message are folded, repeats are dropped."""
        line = " ".join(f"{where}: {what}".split())
        if line not in self._lines:
            self._lines.append(line)

    def extend(self, error: InputError) -> None:
        """Take over the problems that another reader found."""
        self._lines += [line for line in error.problems if line not in self._lines]

    def raise_any(self) -> None:
        """Raise `InputError` if anything was noted."""
        if self._lines:
            raise InputError(self._lines)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the legal names, the nearest first if one is near.

    >>> nearest("optimiser", ["optimizer", "metric"])
    "did you mean 'optimizer'? Known: metric, optimizer"
    """
    names = sorted(known)
    if not names:
        return "there is none yet"
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(names)}"
