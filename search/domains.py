"""What values a parameter of the search space may take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = str | int | float  # True and False are ints


@dataclass(frozen=True)
class Choice:
    """One of several values, in no order."""

    options: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        """Whether a trial may have `value`; 1 is not True, but it is 1.0."""
        boolean = isinstance(value, bool)
        return any(value == option and isinstance(option, bool) == boolean for option in self.options)

    def __str__(self) -> str:
        """The options as a user wrote them."""
        return ", ".join(map(spelt, self.options))

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.options)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included, on a linear or a logarithmic scale.

    Attributes:
        step: Distance between legal numbers, counted from `low`; None for every number, or whole number.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False
    step: float | None = None

    def __contains__(self, value: object) -> bool:
        """Whether a trial may have `value`."""
        legal = int if self.integer else int | float
        if not isinstance(value, legal) or isinstance(value, bool) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def __str__(self) -> str:
        """The range as a user would say it."""
        scale = " (log)" if self.log else "" if self.step is None else f" in steps of {self.step:g}"
        return f"{self.low:g} to {self.high:g}{scale}"

    @property
    def size(self) -> int | None:
        """Number of values; None where there is one between any two."""
        if self.step is None and not self.integer:
            return None
        return int((self.high - self.low) / (self.step or 1) + 1e-9) + 1


Domain = Choice | Range


def largest(domain: Domain) -> float:
    """The largest of a domain of numbers.

    >>> largest(Choice((1, 90, 45)))
    90.0
    """
    return float(domain.high if isinstance(domain, Range) else max(map(float, domain.options)))


def spelt(value: Value) -> str:
    """A value as TOML has it, without quotes.

    >>> spelt(True), spelt("adam")
    ('true', 'adam')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def domain_from(table: Mapping[str, Any]) -> Domain:
    """A domain from plain data: {"choices": [...]}, or {"low", "high", "log", "integer", "step"}."""
    if "choices" in table:
        return Choice(tuple(table["choices"]))
    return Range(table["low"], table["high"], table["log"], table["integer"], table["step"])


@dataclass(frozen=True)
class Parameter:
    """One parameter; it exists in a trial whose earlier values satisfy `when`."""

    name: str
    domain: Domain
    when: Mapping[str, tuple[Value, ...]]

    def exists(self, params: Mapping[str, Value]) -> bool:
        """Whether a trial with these settings has the parameter."""
        return holds(self.when, params)


def holds(condition: Mapping[str, tuple[Value, ...]], params: Mapping[str, Value]) -> bool:
    """Whether every parameter that the condition names has one of the values it names."""
    return all(params.get(name) in values for name, values in condition.items())


def condition_text(condition: Mapping[str, tuple[Value, ...]]) -> str:
    """A condition in words: "optimizer = sgd"."""
    return ", ".join(f"{name} = {' or '.join(map(spelt, values))}" for name, values in condition.items())
