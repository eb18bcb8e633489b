"""A cohort of numbers and a learner of a line, in place of images and models: fits in microseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from data_prep.folds import FoldTable, make_folds
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.refits.pipeline import Chooser
from search.statistics.selection import Rule


@dataclass(frozen=True)
class Toy:
    """Features (n, f), labels and participants of n biopsies; a configuration reads one feature."""

    features: np.ndarray
    label: np.ndarray
    participant: np.ndarray

    @property
    def material(self) -> Any:
        """What `search.material.Material` has of it."""
        names = [f"b{row:03d}" for row in range(len(self.label))]
        people = [f"p{who:03d}" for who in self.participant]
        return SimpleNamespace(
            patches=SimpleNamespace(biopsy_id=tuple(names), participant_id=tuple(people)),
            labels=SimpleNamespace(label=self.label, relabel=lambda rows: (self.label, 0.0)),
            participant=self.participant,
        )

    def table(self, order: np.ndarray | None = None, folds: int = 3) -> FoldTable:
        label = self.label if order is None else self.label[order]
        patches = self.material.patches
        return make_folds(patches.biopsy_id, patches.participant_id, label, folds, 1, 0)

    def fit(self, fit: Fit) -> FoldResult:
        """Rank by one feature, in the direction in which the classes differ in training."""
        label = self.label if fit.order is None else self.label[list(fit.order)]
        x, train, test = (
            self.features[:, int(fit.config.settings["feature"])],
            list(fit.train),
            list(fit.test),
        )
        slope = x[train][label[train] == 1].mean() - x[train][label[train] == 0].mean()
        return FoldResult(
            split=fit.split,
            repeat=fit.repeat,
            fold=fit.fold,
            rows=fit.test,
            participants=tuple(map(int, self.participant[test])),
            labels=tuple(map(int, label[test])),
            probabilities=tuple(map(float, 1 / (1 + np.exp(-slope * x[test])))),
            threshold=0.5,
            label_threshold=0.0,
            curves={},
            best_epoch=0,
            seconds=1.0,
            parameters=1,
            trainable_parameters=1,
            device="none",
            memory_mb=0.0,
        )


def toy(seed: int, people: int = 10, biopsies: int = 3, features: int = 4, signal: float = 0.0) -> Toy:
    """Biopsies of participants that have levels of their own, in images and in labels."""
    random = np.random.default_rng(seed)
    participant = np.repeat(np.arange(people), biopsies)
    score = random.normal(size=people)[participant] * 0.6 + random.normal(size=people * biopsies)
    levels = random.normal(size=(people, features))[participant]
    x = levels * 0.6 + random.normal(size=(people * biopsies, features)) + signal * score[:, None]
    return Toy(x, (score > np.median(score)).astype(np.int64), participant)


def chooser(features: int = 4, rule: Rule | None = None, metric: str = "roc_auc") -> Chooser:
    """A search over the features."""
    configs = (TrialConfig({"architecture": "line", "feature": f}, f) for f in range(features))
    return Chooser(tuple(configs), rule or Rule("argmax"), metric)


Fitted = Callable[[Fit], FoldResult | None]
