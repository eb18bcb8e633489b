"""One entry of a study file's [space]: a value, a list, or a range, read into a domain."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from data_prep.problems import Problems, nearest
from search.domains import Choice, Domain, Range
from search.known import Known

LARGEST = 2**53  # beyond it a float, and so Optuna, tells whole numbers no more apart
_KEYS = ("low", "high", "log", "when", "choices")
_NOUNS = {str: "a name", int: "a whole number", float: "a number", bool: "true or false"}


def read_domain(entry: Any, known: Known, here: str, problems: Problems) -> Domain | None:
    """Read the entry of a known parameter.

    Args:
        entry: A value, a list of values, {choices} or {low, high, log}.
        known: Type and limits.
        here: The place, for problems.
        problems: Takes what is wrong.

    Returns:
        The domain; None where something is wrong.
    """
    if isinstance(entry, Mapping):
        return _read_table(entry, known, here, problems)
    return _read_choice(entry if isinstance(entry, list) else [entry], known, here, problems)


def read_own_domain(entry: Any, here: str, problems: Problems) -> Domain | None:
    """Read the entry of a parameter of the user's own, whose type is that of its values."""
    values = list(entry.values()) if isinstance(entry, Mapping) and "choices" not in entry else entry
    values = values["choices"] if isinstance(values, Mapping) else values
    kinds = {type(value) for value in (values if isinstance(values, list) else [values])}
    if isinstance(entry, Mapping) and "choices" not in entry:
        kinds = {type(entry.get("low")), type(entry.get("high"))}
    kind = float if kinds == {int, float} else next(iter(kinds)) if len(kinds) == 1 else None
    if kind not in _NOUNS:
        problems.add(here, f"values must be names, numbers, or true and false, of one type, but got {entry}")
        return None
    return read_domain(entry, Known(kind, None), here, problems)


def _read_table(entry: Mapping[str, Any], known: Known, here: str, problems: Problems) -> Domain | None:
    if set(entry) == {"choices"} and isinstance(entry["choices"], list):
        return _read_choice(entry["choices"], known, here, problems)
    unknown = set(entry) - set(_KEYS)
    for key in sorted(unknown):
        problems.add(f"{here}.{key}", f"unknown key; {nearest(key, _KEYS)}")
    return None if unknown else _read_range(entry, known, here, problems)


def _read_range(entry: Mapping[str, Any], known: Known, here: str, problems: Problems) -> Range | None:
    low: Any
    high: Any
    low, high, log = entry.get("low"), entry.get("high"), entry.get("log", False)
    if known.kind in (str, bool):
        noun = "names" if known.kind is str else "true and false"
        problems.add(here, f"a list of {noun} is needed, but got {dict(entry)}")
        return None
    if (
        "choices" in entry
        or not isinstance(log, bool)
        or not (_legal_type(low, known) and _legal_type(high, known))
    ):
        noun = "whole numbers" if known.kind is int else "numbers"
        problems.add(
            here, f"a range needs low and high, {noun}, and log true or false, but got {dict(entry)}"
        )
        return None
    if not low < high:
        problems.add(here, f"`low < high` must hold, but got low={low}, high={high}")
        return None
    legal = [
        _check_value(low, known, f"{here}.low", problems),
        _check_value(high, known, f"{here}.high", problems),
    ]
    if log and low <= 0:
        problems.add(here, f"a logarithmic range must lie above 0, but got low={low}")
        return None
    return Range(low, high, log, known.kind is int) if all(legal) else None


def _read_choice(options: list[Any], known: Known, here: str, problems: Problems) -> Choice | None:
    if not options:
        problems.add(here, "at least one value is needed, but the list is empty")
        return None
    legal = [_check_value(option, known, here, problems) for option in options]
    if not all(legal):
        return None
    values = tuple(known.kind(option) for option in options)
    if len(set(values)) < len(values):
        problems.add(here, f"values must differ, but got {options}")
        return None
    return Choice(values)


def _legal_type(value: Any, known: Known) -> bool:
    legal = (int, float) if known.kind is float else known.kind
    return isinstance(value, legal) and (known.kind is bool or not isinstance(value, bool))


def _check_value(value: Any, known: Known, here: str, problems: Problems) -> bool:
    """Whether `value` is legal; if not, one problem is added."""
    number = known.kind in (int, float)
    if number and isinstance(value, int) and abs(value) > LARGEST:
        problems.add(here, f"must lie within {LARGEST}, but got a number of {len(str(abs(value)))} digits")
        return False
    if not _legal_type(value, known):
        problems.add(here, f"{_NOUNS[known.kind]} is needed, but got {value!r}")
    elif known.names and value not in known.names:
        problems.add(here, f"unknown name {value!r}; {nearest(value, map(str, known.names))}")
    elif known.pattern and not re.fullmatch(known.pattern, value):
        problems.add(here, f"{known.law} is needed, but got {value!r}")
    elif number and not (known.low <= value < known.high and math.isfinite(value)):
        problems.add(here, f"must lie in {_interval(known)}, but got {value}")
    elif number and known.open_low and value <= known.low:
        problems.add(here, f"must be above {known.low:g}, but got {value}")
    else:
        return True
    return False


def _interval(known: Known) -> str:
    return f"[{known.low:g}, {known.high:g})"
