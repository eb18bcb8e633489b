"""Molecular labels of biopsies: which are above the cut.

Several genes form one score, the mean of their z-scored log2(TPM + 1), or a label each; one gene is its own
score, in TPM, and so is a column of the biopsy table, in its own unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.label_rules import LabelDefinition
from data_prep.problems import InputError, Problems, nearest
from data_prep.records import Cohort, Expression
from data_prep.tables import MISSING, parse_number

__all__ = ["UNKNOWN", "Head", "LabelDefinition", "Labels", "label_biopsies"]

UNKNOWN = -1
"""The label of a biopsy of which the gene was not measured."""


@dataclass(frozen=True, eq=False)
class Head:
    """One of the labels that models predict at once.

    Attributes:
        name: The gene, or what the score is made of.
        value: What a regression learns: log2(TPM + 1) of a gene, else the score; NaN where unknown; (n,).
        label: 1 above the cut, else 0, `UNKNOWN` where the gene was not measured; shape (n,).
        cut: On the scale of `value`.
        threshold: The same cut in units of the score.
    """

    name: str
    value: DoubleArray
    label: IntArray
    cut: float
    threshold: float


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the n biopsies that have what the first label is made of.

    Attributes:
        biopsy_id: n names, in the order of the biopsy table.
        tpm: Shape (n, genes); no genes where the score is a column. NaN only in what further labels of
            "multi-label" are made of.
        score: By the whole cohort, shape (n,).
        label: 1 where the score is above the threshold, else 0; shape (n,).
        threshold: In units of the score.
        definition: What they mean.
        further: Thresholds of the further labels of "multi-label", by the whole cohort.
    """

    biopsy_id: tuple[str, ...]
    tpm: DoubleArray
    score: DoubleArray
    label: IntArray
    threshold: float
    definition: LabelDefinition
    further: tuple[float, ...] = ()

    @property
    def value(self) -> DoubleArray:
        """What ranks and regressions are made of: log2(TPM + 1) of one gene, else the score; shape (n,)."""
        return self._value(self.score)

    def relabel(self, train_rows: Sequence[int] | IntArray) -> tuple[IntArray, float]:
        """Labels as one fold sees them.

        Args:
            train_rows: The rows whose expression may be looked at.

        Returns:
            The labels of all n biopsies and their threshold: the cohort's own, or with
            `threshold_from = "training"` those by the training rows.
        """
        first = self.heads(train_rows)[0]
        return first.label, first.threshold

    def heads(self, train_rows: Sequence[int] | IntArray) -> tuple[Head, ...]:
        """Every label as one fold sees it, the one that is searched for first; arguments as of `relabel`."""
        rows = np.asarray(train_rows, dtype=np.int64)
        fitted = self.definition.threshold_from == "training"
        names, several = self.definition.heads, self.definition.combine == "multi-label"
        if several:
            return tuple(
                self._head(number, self.tpm[:, number], rows, fitted) for number in range(len(names))
            )
        score = _score(self.tpm, rows) if fitted and self.tpm.shape[1] else self.score
        return (self._head(0, score, rows, fitted),)

    def take(self, rows: Sequence[int] | IntArray) -> Labels:
        """The labels of some biopsies, in the order of `rows`; the threshold stays the whole cohort's."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(self.ordered(chosen), biopsy_id=tuple(self.biopsy_id[row] for row in chosen))

    def ordered(self, rows: Sequence[int] | IntArray) -> Labels:
        """The biopsies as they are, each with the expression of another: row i has that of `rows[i]`."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(self, tpm=self.tpm[chosen], score=self.score[chosen], label=self.label[chosen])

    def _head(self, number: int, score: DoubleArray, rows: IntArray, fitted: bool) -> Head:
        name, known = self.definition.heads[number], ~np.isnan(score)
        cut = (self.threshold, *self.further)[number]
        if fitted:
            cut = self.definition.threshold(score[rows][known[rows]])
        label = np.where(known, score > cut, UNKNOWN).astype(np.int64)
        return Head(name, self._value(score), label, float(self._value(np.array([cut]))[0]), cut)

    def _value(self, score: DoubleArray) -> DoubleArray:
        """A score on the scale of a regression."""
        is_tpm = len(self.definition.genes) == 1 or self.definition.combine == "multi-label"
        return np.asarray(np.log2(np.maximum(score, 0.0) + 1.0)) if is_tpm else score


def label_biopsies(cohort: Cohort, definition: LabelDefinition) -> Labels:
    """Label the biopsies that have what the score is made of; the others are left out.

    Raises:
        InputError: No expression table, a gene or column that is not there, a value that is no number, or
            labels that are all alike.
    """
    if definition.column is None:
        names, tpm = _expressed(cohort, definition)
        several = definition.combine == "multi-label"
        score = tpm[:, 0] if several else _score(tpm, np.arange(len(names)))
        further = tpm[:, 1:].T if several else ()
    else:
        names, score = _scored(cohort, definition.column)
        tpm, further = np.empty((len(names), 0)), ()
    threshold = definition.threshold(score)
    label = (score > threshold).astype(np.int64)
    cuts = tuple(definition.threshold(values[~np.isnan(values)]) for values in further)
    labels = Labels(names, tpm, score, label, threshold, definition, cuts)
    _check_both_classes(labels)
    return labels


def _check_both_classes(labels: Labels) -> None:
    problems = Problems()
    for gene, head in enumerate(labels.heads(np.arange(len(labels.biopsy_id)))):
        known = head.label != UNKNOWN
        if len(set(head.label[known])) == 2:
            continue
        score = labels.score if gene == 0 else labels.tpm[:, gene]
        told = f"all {int(known.sum())} scores lie between {np.nanmin(score):g} and {np.nanmax(score):g}."
        what = f" of {head.name}" if gene else ""
        problems.add(
            "label.rule",
            f"'{labels.definition.rule}' must tell biopsies apart, but the threshold{what} is "
            f"{head.threshold:g} and {told}",
        )
    problems.raise_any()


def _expressed(cohort: Cohort, definition: LabelDefinition) -> tuple[tuple[str, ...], DoubleArray]:
    """Biopsies and their values: of every gene, or where each has its own label of the first one."""
    expression = _expression_with(cohort, definition.genes)
    needed = 1 if definition.combine == "multi-label" else len(definition.genes)
    names, values = [], []
    for biopsy in cohort.biopsies:
        tpm = [expression.tpm(biopsy.biopsy_id, gene) for gene in definition.genes]
        if None not in tpm[:needed]:
            names.append(biopsy.biopsy_id)
            values.append(tpm)
    if not names:
        raise InputError(
            f"{expression.file}: some biopsy must have values of {list(definition.genes[:needed])}, "
            "but none has."
        )
    table = np.array(values, dtype=np.float64)
    for gene, values_of_gene in zip(definition.genes, table.T, strict=True):
        if np.isnan(values_of_gene).all():
            raise InputError(f"{expression.file}: some biopsy must have a value of {gene}, but none has.")
    return tuple(names), table


def _scored(cohort: Cohort, column: str) -> tuple[tuple[str, ...], DoubleArray]:
    """Biopsies and the score that a column of the biopsy table gives them."""
    known = list(cohort.biopsies[0].columns)
    if column not in known:
        raise InputError(f"label.column: unknown column '{column}'; {nearest(column, known)}.")
    problems, names, scores = Problems(), [], []
    measured = [biopsy for biopsy in cohort.biopsies if biopsy.columns[column] != MISSING]
    if measured and not any(_is_number(biopsy.columns[column]) for biopsy in measured):
        raise InputError(
            f"{cohort.file.biopsies}: row {measured[0].row}, column {column}: a column of numbers is needed, "
            f"but got '{measured[0].columns[column]}' and the like in all {len(measured)} rows."
        )
    for biopsy in measured:
        text = biopsy.columns[column]
        try:
            scores.append(parse_number(text))
            names.append(biopsy.biopsy_id)
        except InputError as error:
            problems.add(f"{cohort.file.biopsies}: row {biopsy.row}, column {column}", str(error))
    problems.raise_any()
    if not names:
        raise InputError(f"{cohort.file.biopsies}: some biopsy must have a value of {column}, but none has.")
    return tuple(names), np.array(scores, dtype=np.float64)


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
        parse_number(text)
    except InputError:
        return False
    return True
