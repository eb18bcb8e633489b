"""What finalists scored on other splits and seeds than the search's own, as kept in the study's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.files import whole_file
from data_prep.problems import InputError
from search.domains import Value
from search.home import StudyFolder
from search.metrics import count_pairs, finite, pooled_metrics
from search.records import FoldResult
from search.statistics.predictions import Predictions, assemble

SCHEMES = ("bank", "participant", "random")


@dataclass(frozen=True)
class Finalist:
    """One configuration on every table.

    Attributes:
        trial: Number of the trial.
        is_default: Whether it stands for no tuning.
        settings: Every parameter in force.
        own: Its value in the search, on the search's own tables with one seed; None if it did not complete.
        tables: Every metric of each table; None where it is undefined or no model could be fitted.
        folds: Every fold of every table, its probabilities the mean over the seeds; without curves.
        failures: Why models could not be fitted, if any: those of other seeds stand in where there are some.
    """

    trial: int
    is_default: bool
    settings: Mapping[str, Value]
    own: float | None
    tables: tuple[Mapping[str, float | None], ...]
    folds: tuple[FoldResult, ...]
    failures: tuple[str, ...]

    def values(self, metric: str) -> list[float]:
        """A metric on each table where it is defined."""
        return list(finite({str(table): values[metric] for table, values in enumerate(self.tables)}).values())

    def mean(self, metric: str) -> float | None:
        """Mean over the tables."""
        values = self.values(metric)
        return float(np.mean(values)) if values else None

    def sd(self, metric: str) -> float | None:
        """Standard deviation over the tables (n - 1); None of fewer than two."""
        values = self.values(metric)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def regression(self, metric: str) -> float | None:
        """The search's own value minus the mean over the tables: what was luck of one table and one seed."""
        mean = self.mean(metric)
        return None if mean is None or self.own is None else self.own - mean


@dataclass(frozen=True)
class SchemeScores:
    """The finalists of a study under one scheme of splits.

    Attributes:
        scheme: One of `SCHEMES`.
        title: What every table that shows a result of it calls it.
        shares_participants: Whether participants lie on both sides of a split: then it is too good.
        is_pooled: Whether `roc_auc` ranks held-out biopsies of different models together.
        metric: The study's.
        study: The study's id.
        folds: Hash of the search's own fold table.
        table: Hash of the tables scored on; None of splits that are no fold table.
        tables: How many.
        seeds: How many fits were averaged.
        handed_out: How many trials the search had handed out.
        finalists: In the order of the search's own values, the default last where it is not among the best.
    """

    scheme: str
    title: str
    shares_participants: bool
    is_pooled: bool
    metric: str
    study: str
    folds: str
    table: str | None
    tables: int
    seeds: int
    handed_out: int
    finalists: tuple[Finalist, ...]

    def predictions(self) -> Predictions | None:
        """Out-of-fold predictions of the finalists that could be fitted everywhere.

        None where there is no such finalist, or where not every biopsy is held out in every table.
        """
        whole = [one for one in self.finalists if one.folds and not any(map(_is_empty, one.tables))]
        if not whole or self.shares_participants:
            return None
        defaults = [index for index, one in enumerate(whole) if one.is_default]
        return assemble(
            [one.folds for one in whole],
            trials=[one.trial for one in whole],
            settings=[one.settings for one in whole],
            default=defaults[0] if defaults else None,
            handed_out=self.handed_out,
        )

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> SchemeScores:
        """The scores that `as_json` gave."""
        return cls(**{**told, "finalists": tuple(map(_finalist, told["finalists"]))})


Rescored = dict[str, SchemeScores]


def metrics_of(folds: list[FoldResult], is_pooled: bool) -> dict[str, float | None]:
    """Every metric of the folds of one table.

    Args:
        folds: Its folds.
        is_pooled: Whether `roc_auc` ranks all biopsies together, not those of each fold.
    """
    metrics = pooled_metrics([fold.scores for fold in folds])
    if is_pooled:
        label = np.concatenate([fold.scores.label for fold in folds])
        metrics["roc_auc"] = count_pairs(label, np.concatenate([f.scores.probability for f in folds])).auc
    return metrics


def write_scores(scores: SchemeScores, folder: StudyFolder) -> None:
    """Keep the scores with the study, whole or not at all, in place of earlier ones of that scheme."""
    with whole_file(_path(folder, scores.scheme)) as new:
        new.write_text(json.dumps(scores.as_json(), allow_nan=False) + "\n", encoding="utf-8")


def read_rescored(folder: StudyFolder) -> Rescored | None:
    """What was scored again of a study, by scheme; None where nothing was.

    Raises:
        InputError: A file is none that `write_scores` wrote.
    """
    found = {scheme: scores for scheme in SCHEMES if (scores := read_scheme(folder, scheme)) is not None}
    return found or None


def read_scheme(folder: StudyFolder, scheme: str) -> SchemeScores | None:
    """What was scored again under one of `SCHEMES`, without the others' files; None where nothing was.

    Raises:
        InputError: The file is none that `write_scores` wrote.
    """
    path = _path(folder, scheme)
    return _read(path) if path.exists() else None


def _path(folder: StudyFolder, scheme: str) -> Path:
    return folder.root / "refits" / f"rescored-{scheme}.json"


def _read(path: Path) -> SchemeScores:
    try:
        return SchemeScores.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: scores that `radsearch rescore` wrote are needed, but: {error}. Run it again"
        ) from error


def _finalist(told: Mapping[str, Any]) -> Finalist:
    folds = tuple(map(FoldResult.from_json, told["folds"]))
    lists = {name: tuple(told[name]) for name in ("tables", "failures")}
    return Finalist(**{**told, **lists, "folds": folds})


def _is_empty(metrics: Mapping[str, float | None]) -> bool:
    return metrics["brier"] is None
