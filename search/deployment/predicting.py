"""What a model says of sites, each participant's by the members that may, and the table of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.features.table import FeatureTable
from data_prep.records import Biopsy
from data_prep.tables import MISSING
from search.deployment.facts import LabelFacts
from search.deployment.model import Model
from search.deployment.records import Prediction, Shown

COLUMNS = (
    "biopsy_id",
    "participant_id",
    "x",
    "y",
    "z",
    "label",
    "probability",
    "spread",
    "positive",
    "distance",
    "unlike",
)


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a model says of n sites.

    Attributes:
        sites: The sites, in the order of the rows.
        labels: K of them.
        prediction: A row a site.
    """

    sites: tuple[Biopsy, ...]
    labels: tuple[LabelFacts, ...]
    prediction: Prediction

    @property
    def is_said(self) -> npt.NDArray[np.bool_]:
        """Of which sites something is said, shape (n,)."""
        return np.asarray(np.isfinite(self.prediction.probability).all(axis=1))

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each site and label, keys as `COLUMNS`, and "value" of a regression; None for n/a."""
        found = self.prediction
        for number, site in enumerate(self.sites):
            said = bool(self.is_said[number])
            place = dict(zip("xyz", site.position, strict=True))
            for column, label in enumerate(self.labels):
                row = {
                    "biopsy_id": site.biopsy_id,
                    "participant_id": site.participant_id,
                    **place,
                    "label": label.name,
                    "probability": _number(found.probability[number, column]),
                    "spread": _number(found.spread[number, column]),
                    "positive": bool(found.positive[number, column]) if said else None,
                    "distance": _number(found.distance[number]),
                    "unlike": bool(found.unlike[number]) if said else None,
                }
                if found.value is not None:
                    row["value"] = _number(found.value[number, column])
                yield row

    def table(self) -> str:
        """The rows as a tab-separated table: numbers to the last digit, 1 and 0 for yes and no."""
        columns = (*COLUMNS, *(() if self.prediction.value is None else ("value",)))
        lines = ["\t".join(columns)]
        lines += ["\t".join(_cell(row[name]) for name in columns) for row in self.rows()]
        return "\n".join(lines) + "\n"


def predict(
    model: Model,
    sites: Sequence[Biopsy],
    shown: Shown,
    folds: Mapping[str, int | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Ask a model about sites.

    Args:
        model: The model.
        sites: n sites.
        shown: What `shown_sites` shows of them, row by row.
        folds: In which fold each participant was held out, None of one who was in none: the members of that
            fold answer for them. None has the members answer that learned from all.
        progress: Called with sites done and in all.
    """
    whose: dict[int | None, list[int]] = {}
    for row, site in enumerate(sites):
        whose.setdefault(None if folds is None else folds[site.participant_id], []).append(row)
    parts = []
    for fold, rows in whose.items():
        parts.append(model.predictor(fold).say(_take(shown, rows)))
        if progress is not None:
            progress(sum(len(part.distance) for part in parts), len(sites))
    order = np.argsort(np.concatenate([*whose.values()]), kind="stable")
    return Predicted(tuple(sites), model.facts.labels, _joined(parts, order))


def _take(shown: Shown, rows: Sequence[int]) -> Shown:
    location = shown.location
    if location is not None:
        location = FeatureTable(location.values[list(rows)], location.names)
    return Shown(shown.patches.take(rows), location)


def _joined(parts: Sequence[Prediction], order: npt.NDArray[np.int64]) -> Prediction:
    """Predictions of different members, row by row as the sites are."""
    joined: dict[str, Any] = {}
    for part in fields(Prediction):
        arrays = [getattr(one, part.name) for one in parts]
        joined[part.name] = None if arrays[0] is None else np.concatenate(arrays)[order]
    return Prediction(**joined)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else repr(value)
