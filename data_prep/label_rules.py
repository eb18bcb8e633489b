"""What is to be predicted of a biopsy: of which genes or column, and where the cut lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.problems import InputError, Problems, nearest
from data_prep.tables import parse_number

COMBINATIONS: Final = ("mean-z", "multi-label")
"""What several genes become: one score, or a label each."""


@dataclass(frozen=True)
class Rule:
    """A way to cut scores in two.

    Attributes:
        cut: From the number after the colon (None without one) and the scores to the cut.
        number: Whether a number follows the name: "never", "always" or "optional".
        law: What the number must be, in words.
        low: It lies above this,
        high: and below this.
        regression: Whether models learn the logarithm of expression itself, and the cut serves the metrics.
    """

    cut: Callable[[float | None, DoubleArray], float]
    number: Literal["never", "always", "optional"] = "never"
    law: str = ""
    low: float = -math.inf
    high: float = math.inf
    regression: bool = False


def _median_or(number: float | None, score: DoubleArray) -> float:
    return float(np.median(score)) if number is None else number


# A label is 1 above the cut.
RULES: Final[dict[str, Rule]] = {
    "above-median": Rule(_median_or),
    "above": Rule(_median_or, "always", "a number in the unit of the score"),
    "above-quantile": Rule(
        lambda number, score: float(np.quantile(score, number or 0.0)),
        "always",
        "a share above 0 and below 1",
        0.0,
        1.0,
    ),
    "log-tpm": Rule(_median_or, "optional", "a number in the unit of the score", regression=True),
}

_FORMS = "'above-median', 'above:NUMBER', 'above-quantile:SHARE', 'log-tpm' or 'log-tpm:NUMBER'"


@dataclass(frozen=True)
class LabelDefinition:
    """What is to be predicted.

    Attributes:
        genes: Columns of the expression table; none where `column` is given.
        rule: "above-median"; "above:1.03" for a cut fixed beforehand, in units of the score; or
            "above-quantile:0.75". "log-tpm" has models learn log2(TPM + 1), or the score of several genes or
            of a column, and cuts at the median, or "log-tpm:1.03" at a number, for the metrics.
        threshold_from: "cohort": one cut through all labelled biopsies; "training": each training set's own,
            by which the z-scores of several genes go as well.
        column: A column of the biopsy table that holds a score (a signature), in place of genes.
        combine: What several genes become: "mean-z", one score, the mean of their z-scored log2(TPM + 1); or
            "multi-label", a label each by the same rule, of which the first gene's is what is searched for.

    Raises:
        InputError: Every value that is not legal.
    """

    genes: tuple[str, ...] = ()
    rule: str = "above-median"
    threshold_from: Literal["cohort", "training"] = "cohort"
    column: str | None = None
    combine: str = "mean-z"

    def __post_init__(self) -> None:
        problems = Problems()
        self._check_source(problems)
        if self.combine not in COMBINATIONS:
            problems.add(
                "label.combine", f"unknown name '{self.combine}'; {nearest(self.combine, COMBINATIONS)}."
            )
        elif self.combine == "multi-label" and len(self.genes) < 2:
            problems.add("label.combine", f"'multi-label' needs several genes, but got {list(self.genes)}.")
        law = _law_of_rule(self.rule)
        if law is not None:
            problems.add("label.rule", f"must be {_FORMS}{law}, but got '{self.rule}'.")
        if self.threshold_from not in ("cohort", "training"):
            problems.add(
                "label.threshold_from", f"must be 'cohort' or 'training', but got '{self.threshold_from}'."
            )
        elif self.threshold_from == "training" and law is None and self.is_fixed:
            problems.add(
                "label.threshold_from",
                f"'training' needs a rule that looks for its cut, but got rule '{self.rule}'.",
            )
        problems.raise_any()

    def _check_source(self, problems: Problems) -> None:
        if self.column is not None and self.genes:
            problems.add(
                "label.column", f"takes the place of genes, but got '{self.column}' and {list(self.genes)}."
            )
        elif self.column is None and (not self.genes or len(set(self.genes)) < len(self.genes)):
            problems.add("label.genes", f"at least one and each once is needed, but got {list(self.genes)}.")

    @property
    def is_fixed(self) -> bool:
        """Whether the cut was fixed beforehand, whatever the scores."""
        name, number = _parsed(self.rule)
        return number is not None and name != "above-quantile"

    @property
    def is_regression(self) -> bool:
        """Whether models learn the score itself."""
        return RULES[_parsed(self.rule)[0]].regression

    @property
    def heads(self) -> tuple[str, ...]:
        """What the models say something of, the first one searched for: a name for each label."""
        if self.combine == "multi-label":
            return self.genes
        return (self.column,) if self.column is not None else ("+".join(self.genes),)

    @property
    def target(self) -> str:
        """What the label that is searched for is made of, in words."""
        genes = self.genes[:1] if self.combine == "multi-label" else self.genes
        return self.column or " and ".join(genes)

    @property
    def z_scores(self) -> bool:
        """Whether the score is made of several genes that are z-scored first."""
        return len(self.genes) > 1 and self.combine == "mean-z"

    def threshold(self, score: DoubleArray) -> float:
        """The cut that the rule draws through some scores."""
        name, number = _parsed(self.rule)
        return RULES[name].cut(number, score)


def _parsed(rule: str) -> tuple[str, float | None]:
    name, colon, text = rule.partition(":")
    return name, parse_number(text) if colon else None


def _law_of_rule(rule: str) -> str | None:
    """What a rule breaks beyond its form; None for a legal one."""
    name, colon, text = rule.partition(":")
    if name not in RULES:
        return ""
    known = RULES[name]
    if known.number == ("never" if colon else "always"):
        return ""
    if not colon:
        return None
    try:
        number = parse_number(text)
    except InputError:
        return f", with {known.law}"
    return None if known.low < number < known.high else f", with {known.law}"
