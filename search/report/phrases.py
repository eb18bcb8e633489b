"""Numbers and names in the words of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NAMED = {
    "roc_auc": "AUC",
    "within_participant_auc": "AUC within participants",
    "between_participant_auc": "AUC between participants",
    "f1": "F1",
    "brier": "Brier score",
    "brier_skill": "Brier skill",
    "spearman": "Spearman correlation",
}
FINE = ("brier", "log_loss")  # metrics whose differences lie in the third decimal


@dataclass(frozen=True)
class Range:
    """A value and its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


def named(metric: str) -> str:
    """A metric as one says it.

    >>> named("roc_auc"), named("log_loss")
    ('AUC', 'log loss')
    """
    return NAMED.get(metric, metric.replace("_", " "))


def article(name: str) -> str:
    """A metric with its article.

    >>> article("AUC"), article("log loss")
    ('an AUC', 'a log loss')
    """
    return f"{'an' if name[0] in 'aeiouAEIOF' else 'a'} {name}"


def digits_of(metric: str) -> int:
    """Decimals in which a metric is told.

    >>> digits_of("roc_auc"), digits_of("brier")
    (2, 3)
    """
    return 3 if metric in FINE else 2


def decimal(value: float, digits: int = 2, sign: bool = False) -> str:
    """A number with so many decimals, with its sign where asked for; zero has none.

    >>> decimal(0.126), decimal(-0.004), decimal(0.05, sign=True), decimal(-0.0004, 3, sign=True)
    ('0.13', '0.00', '+0.05', '0.000')
    """
    rounded = round(value, digits)
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}" if rounded else f"{0:.{digits}f}"


def interval(found: Range, digits: int = 2) -> str:
    """A value with its interval in words.

    >>> interval(Range(0.612, 0.5, 0.71)), interval(Range(0.6, None, None))
    ('0.61 (95 % interval 0.50 to 0.71)', '0.60')
    """
    value = "undefined" if found.value is None else decimal(found.value, digits)
    if found.low is None or found.high is None:
        return value
    return f"{value} (95 % interval {decimal(found.low, digits)} to {decimal(found.high, digits)})"


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "trial"), counted(1200, "biopsy")
    ('1 trial', '1,200 biopsies')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
