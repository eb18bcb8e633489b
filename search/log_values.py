"""What is logged, in the form in which MLflow keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# The longest values that MLflow takes (mlflow/utils/validation.py).
PARAM_LENGTH = 6000
TAG_LENGTH = 8000


def param_texts(params: Mapping[str, object]) -> dict[str, str]:
    """Parameters as MLflow keeps them: long values end in '…'."""
    return _texts(params, PARAM_LENGTH)


def tag_texts(tags: Mapping[str, object]) -> dict[str, str]:
    """Tags as MLflow keeps them: long values end in '…'."""
    return _texts(tags, TAG_LENGTH)


def curve_points(epochs: Sequence[Mapping[str, float | None]], first: int) -> dict[int, dict[str, float]]:
    """By step, from `first` on, the values that are numbers; steps without one are left out.

    >>> curve_points([{"loss": 0.5, "auc": None}, {"loss": float("nan")}], 1)
    {1: {'loss': 0.5}}
    """
    points = {}
    for step, metrics in enumerate(epochs, start=first):
        values = {name: float(value) for name, value in metrics.items() if value is not None}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        if finite:
            points[step] = finite
    return points


def _texts(values: Mapping[str, object], limit: int) -> dict[str, str]:
    texts = {name: str(value) for name, value in values.items()}
    return {name: text if len(text) <= limit else f"{text[: limit - 1]}…" for name, text in texts.items()}
