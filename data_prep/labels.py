"""Molecular labels of biopsies: which are above the cut.

Several genes form one score, the mean of their z-scored log2(TPM + 1); one gene is its own score, in TPM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.problems import InputError, Problems
from data_prep.records import Cohort, Expression
from data_prep.tables import parse_number

# A rule turns the text after its colon and the scores into the cut; a label is 1 above it.
RULES: dict[str, Callable[[str, DoubleArray], float]] = {
    "above-median": lambda _, score: float(np.median(score)),
    "above": lambda text, _: parse_number(text),
}

_LEGAL_RULES = "'above-median' or 'above:NUMBER'"


@dataclass(frozen=True)
class LabelDefinition:
    """What is to be predicted.

    Attributes:
        genes: Columns of the expression table.
        rule: "above-median", or "above:1.03" for a cut fixed beforehand, in units of the score.
        threshold_from: "cohort": one median of all labelled biopsies; "training": each training set's own, by
            which the z-scores of several genes go as well.

    Raises:
        InputError: A value that is not legal.
    """

    genes: tuple[str, ...]
    rule: str = "above-median"
    threshold_from: Literal["cohort", "training"] = "cohort"

    def __post_init__(self) -> None:
        problems = Problems()
        if not self.genes or len(set(self.genes)) < len(self.genes):
            problems.add("label.genes", f"at least one and each once is needed, but got {list(self.genes)}.")
        name, colon, text = self.rule.partition(":")
        if name not in RULES or bool(colon) != (name == "above"):
            problems.add(
                "label.rule", f"must be {_LEGAL_RULES}, but got '{self.rule}', which is not available."
            )
        elif colon and not _is_number(text):
            problems.add("label.rule", f"must be {_LEGAL_RULES}, but got '{self.rule}'.")
        if self.threshold_from not in ("cohort", "training"):
            problems.add(
                "label.threshold_from", f"must be 'cohort' or 'training', but got '{self.threshold_from}'."
            )
        elif self.threshold_from == "training" and self.rule != "above-median":
            problems.add(
                "label.threshold_from", f"'training' needs rule 'above-median', but got rule '{self.rule}'."
            )
        problems.raise_any()

    def threshold(self, score: DoubleArray) -> float:
        """The cut that the rule draws through some scores."""
        name, _, text = self.rule.partition(":")
        return RULES[name](text, score)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the n biopsies that have expression of every gene.

    Attributes:
        biopsy_id: n names, in the order of the biopsy table.
        tpm: Shape (n, genes).
        score: By the whole cohort, shape (n,).
        label: 1 where the score is above the threshold, else 0; shape (n,).
        threshold: In units of the score.
        definition: What they mean.
    """

    biopsy_id: tuple[str, ...]
    tpm: DoubleArray
    score: DoubleArray
    label: IntArray
    threshold: float
    definition: LabelDefinition

    def relabel(self, train_rows: Sequence[int] | IntArray) -> tuple[IntArray, float]:
        """Labels as one fold sees them.

        Args:
            train_rows: The rows whose expression may be looked at.

        Returns:
            The labels of all n biopsies and their threshold: the cohort's own, or with
            `threshold_from = "training"` those by the median of the training rows.
        """
        if self.definition.threshold_from == "cohort":
            return self.label, self.threshold
        rows = np.asarray(train_rows, dtype=np.int64)
        score = _score(self.tpm, rows)
        threshold = self.definition.threshold(score[rows])
        return (score > threshold).astype(np.int64), threshold


def label_biopsies(cohort: Cohort, definition: LabelDefinition) -> Labels:
    """Label the biopsies that have expression of every gene; the others are left out.

    Raises:
        InputError: No expression table, a gene that it lacks, or labels that are all alike.
    """
    expression = _expression_with(cohort, definition.genes)
    names, values = [], []
    for biopsy in cohort.biopsies:
        tpm = [expression.tpm(biopsy.biopsy_id, gene) for gene in definition.genes]
        if None not in tpm:
            names.append(biopsy.biopsy_id)
            values.append(tpm)
    if not names:
        raise InputError(
            f"{expression.file}: some biopsy must have values of {list(definition.genes)}, but none has."
        )
    table = np.array(values, dtype=np.float64)
    score = _score(table, np.arange(len(names)))
    threshold = definition.threshold(score)
    label = (score > threshold).astype(np.int64)
    if label.min() == label.max():
        raise InputError(
            f"label.rule: '{definition.rule}' must tell biopsies apart, but the threshold is {threshold:g} "
            f"and all {len(names)} scores lie between {score.min():g} and {score.max():g}."
        )
    return Labels(tuple(names), table, score, label, threshold, definition)


def _expression_with(cohort: Cohort, genes: Sequence[str]) -> Expression:
    if cohort.expression is None:
        raise InputError(
            "cohort.toml: expression: a table is needed to label biopsies, but the key is missing."
        )
    problems = Problems()
    known = cohort.expression.genes
    for gene in genes:
        if gene not in known:
            close = get_close_matches(gene, known, n=3)
            hint = f"Did you mean {' or '.join(close)}?" if close else f"It has {len(known)} others."
            problems.add(
                f"{cohort.expression.file}: row 1, column {gene}",
                f"the gene is required, but missing. {hint}",
            )
    problems.raise_any()
    return cohort.expression


def _score(tpm: DoubleArray, rows: IntArray) -> DoubleArray:
    """One gene: its TPM. Several: the mean of log2(TPM + 1), each z-scored by mean and sd of `rows`."""
    if tpm.shape[1] == 1:
        return tpm[:, 0]
    log = np.log2(tpm + 1.0)
    mean, std = log[rows].mean(axis=0), log[rows].std(axis=0)
    return np.asarray(((log - mean) / np.where(std > 0, std, 1.0)).mean(axis=1), dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(parse_number(text))
    except InputError:
        return False
