"""A search of ridge regressions over features: fast learners whose folds are those that a study stores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from benchmarks.honesty_cohorts import RADII, Cohort
from data_prep.folds import make_folds
from data_prep.phantom.spec import SEQUENCES
from search.records import FoldResult
from search.statistics.predictions import Predictions, assemble

Doubles = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

FOLDS = 5
PENALTIES = (1e0, 1e4)  # drawn between, by logarithms, for standardised features
DEFAULT_RADIUS, DEFAULT_PENALTY = 5, 100.0  # the untuned configuration, with every sequence


@dataclass(frozen=True, eq=False)
class Configurations:
    """Ridge regressions, the first untuned, the others drawn at random.

    Attributes:
        uses: Which features each uses, shape (configurations, sequences x radii).
        penalty: Shape (configurations,).
    """

    uses: Booleans
    penalty: Doubles

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int) -> Configurations:
        """One radius or all of them, 1 to 9 of the sequences, and a penalty each."""
        uses = np.zeros((count, len(SEQUENCES), len(RADII)), dtype=np.bool_)
        penalty = np.exp(rng.uniform(*np.log(PENALTIES), size=count))
        for mine in uses:
            sequences = rng.permutation(len(SEQUENCES))[: rng.integers(1, len(SEQUENCES) + 1)]
            radius = rng.integers(len(RADII) + 1)
            radii = np.arange(len(RADII)) == radius if radius < len(RADII) else np.ones(len(RADII), np.bool_)
            mine[np.ix_(sequences, radii)] = True
        uses[0], penalty[0] = np.array(RADII) == DEFAULT_RADIUS, DEFAULT_PENALTY
        return cls(uses.reshape(count, -1), penalty)

    def scores(self, train: Cohort, feature: Doubles) -> Doubles:
        """Fit each on a cohort, and score other biopsies.

        Args:
            train: What they learn from.
            feature: Of the others, shape (n, sequences, radii).

        Returns:
            Shape (configurations, n).
        """
        known, asked = (values.reshape(len(values), -1) for values in (train.feature, feature))
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        known, asked = (known - mean) / deviation, (asked - mean) / deviation
        label = train.label - train.label.mean()
        used = self.uses.astype(np.float64)
        # An unused feature has a row and a column of the identity, so that its weight is 0.
        gram = (known.T @ known) * used[:, :, None] * used[:, None, :]
        diagonal = np.where(self.uses, self.penalty[:, None], 1.0)
        gram += diagonal[:, :, None] * np.eye(used.shape[1])
        weights = np.linalg.solve(gram, ((known.T @ label) * used)[:, :, None])[:, :, 0]
        return weights @ asked.T + train.label.mean()


def run_search(cohort: Cohort, configurations: Configurations, seed: int) -> Predictions:
    """Cross-validate every configuration as a study does, participants whole; what its storage then says."""
    names = [f"p{who:04}" for who in cohort.participant]
    table = make_folds([f"b{i:04}" for i in range(len(names))], names, cohort.label, FOLDS, 1, seed)
    folds: list[list[FoldResult]] = [[] for _ in configurations.penalty]
    for split in table.splits():
        rows = split.train
        train = Cohort(cohort.feature[rows], cohort.label[rows], cohort.participant[rows])
        probability = expit(4 * (configurations.scores(train, cohort.feature[split.test]) - 0.5))
        for number, said in enumerate(probability):
            folds[number].append(_fold(cohort, split.fold, split.test, said, configurations, number))
    return assemble(folds, range(len(folds)), [{} for _ in folds], default=0, handed_out=len(folds))


def _fold(
    cohort: Cohort,
    fold: int,
    rows: npt.NDArray[np.int64],
    probability: Doubles,
    configurations: Configurations,
    number: int,
) -> FoldResult:
    weights = int(configurations.uses[number].sum()) + 1
    return FoldResult(
        split=fold,
        repeat=0,
        fold=fold,
        rows=tuple(rows.tolist()),
        participants=tuple(cohort.participant[rows].tolist()),
        labels=tuple(cohort.label[rows].tolist()),
        probabilities=tuple(probability.tolist()),
        threshold=0.5,
        label_threshold=0.0,
        curves={},
        best_epoch=1,
        seconds=0.0,
        parameters=weights,
        trainable_parameters=weights,
        device="CPU",
        memory_mb=0.0,
    )
