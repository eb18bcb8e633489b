"""What the models of a fold learn, and from what they say the probability of each label."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.labels import UNKNOWN, Labels
from models.calibration import Calibration, platt
from models.curves import probability

# With fewer biopsies beside the training ones a regression is not calibrated on them.
LEAST_TO_CALIBRATE = 8

# Of a logistic distribution with standard deviation 1.
_UNIT_SLOPE = math.pi / math.sqrt(3.0)

# Log-odds beyond this are told apart by less and less, so that float64 still tells them apart: they rank.
_ALMOST_CERTAIN = 20.0


@dataclass(frozen=True, eq=False)
class Targets:
    """The K labels of n biopsies as one fold learns them.

    Attributes:
        names: Of the labels, the one that is searched for first.
        learned: What models are fitted to: 0 and 1, or standardised values of a regression; NaN where
            unknown; shape (n, K).
        labels: 0, 1 or `UNKNOWN`, shape (n, K).
        thresholds: The cut that made each label, in units of its score.
        cuts: The same on the scale of `learned`, shape (K,).
        mean: Of the values of the training rows, shape (K,); 0 of a classification.
        sd: Likewise; 1 of a classification.
        is_regression: Whether values are learned.
        usual: From a value to the chance of each label, by the training rows alone; of a regression.
    """

    names: tuple[str, ...]
    learned: FloatArray
    labels: IntArray
    thresholds: tuple[float, ...]
    cuts: DoubleArray
    mean: DoubleArray
    sd: DoubleArray
    is_regression: bool
    usual: tuple[Calibration, ...] = ()

    @classmethod
    def of(cls, labels: Labels, train: IntArray) -> Targets:
        """The targets of a fold that learns from some rows."""
        heads = labels.heads(train)
        marks = np.stack([head.label for head in heads], axis=1)
        names, thresholds = tuple(head.name for head in heads), tuple(float(head.threshold) for head in heads)
        if not labels.definition.is_regression:
            learned = np.where(marks == UNKNOWN, np.nan, marks).astype(np.float32)
            still, unit = np.zeros(len(heads)), np.ones(len(heads))
            return cls(names, learned, marks, thresholds, np.full(len(heads), 0.5), still, unit, False)
        values = np.stack([head.value for head in heads], axis=1)
        mean, sd = np.nanmean(values[train], axis=0), np.nanstd(values[train], axis=0)
        sd = np.where(sd > 0, sd, 1.0)
        cuts = (np.array([head.cut for head in heads]) - mean) / sd
        learned = ((values - mean) / sd).astype(np.float32)
        margin = (learned - cuts)[train]
        usual = tuple(_usual(margin[:, k], marks[train, k]) for k in range(len(heads)))
        return cls(names, learned, marks, thresholds, cuts, mean, sd, True, usual)

    def values(self, outputs: DoubleArray) -> DoubleArray:
        """What a regression says, in units of its score's logarithm; shape of `outputs`, (m, K)."""
        return outputs * self.sd + self.mean

    def calibrated(self, outputs: DoubleArray | None, rows: IntArray | None) -> tuple[Calibration, ...]:
        """From what a regression says to the chance of each label, by rows that it did not learn from.

        Where fewer than `LEAST_TO_CALIBRATE` of them have the label, or all the same one, by the training
        rows' values alone: as if it were wrong by as much as they vary.

        Args:
            outputs: What it says of these rows, shape (m, K); None without any.
            rows: m rows; None without any.
        """
        if outputs is None or rows is None or not self.is_regression:
            return self.usual
        found = []
        for k, usual in enumerate(self.usual):
            label = self.labels[rows, k]
            known = label != UNKNOWN
            enough = known.sum() >= LEAST_TO_CALIBRATE and len(set(label[known])) == 2
            found.append(platt(outputs[known, k] - self.cuts[k], label[known]) if enough else usual)
        return tuple(found)

    def probability(self, outputs: DoubleArray, calibrated: tuple[Calibration, ...]) -> DoubleArray:
        """Probability of each label, shape (m, K).

        Of a regression it rises with what it says, and so ranks biopsies as that does.

        Args:
            outputs: Probabilities of a classification, or standardised values; shape (m, K).
            calibrated: As `calibrated` gives it; not used by a classification.
        """
        if not self.is_regression:
            return outputs
        slope, intercept = (np.array([getattr(one, name) for one in calibrated]) for name in _LINE)
        return probability(_told_apart(slope * (outputs - self.cuts) + intercept))


_LINE = ("slope", "intercept")


def _usual(margin: DoubleArray, label: IntArray) -> Calibration:
    """A slope for errors of one standard deviation, and as many positives as the training rows have.

    Args:
        margin: Standardised values of the training rows above the cut, NaN where unknown; shape (n,).
        label: Their labels, shape (n,).
    """
    known = label != UNKNOWN
    share = (label[known].sum() + 0.5) / (known.sum() + 1)
    rise = _UNIT_SLOPE * margin[known]

    def excess(intercept: float) -> float:
        return float(probability(rise + intercept).mean() - share)

    ends = float(np.abs(rise).max(initial=0.0)) + 40.0
    return Calibration(_UNIT_SLOPE, float(brentq(excess, -ends, ends)))


def _told_apart(logit: DoubleArray) -> DoubleArray:
    """Log-odds that keep their order as probabilities of double precision, which end at about 36."""
    beyond = np.maximum(np.abs(logit) - _ALMOST_CERTAIN, 0.0)
    size = np.minimum(np.abs(logit), _ALMOST_CERTAIN) + np.log1p(beyond)
    return np.asarray(np.sign(logit) * size, dtype=np.float64)
