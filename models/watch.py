"""Early stopping: what is seen of the stop samples after each epoch, and the best weights so far."""

from __future__ import annotations

import math

import numpy as np

from models.compiled import CompiledModel
from models.curves import mean_loss, roc_auc
from models.errors import NonFiniteLoss
from models.samples import DoubleArray, FloatArray, Samples


class Watch:
    """Keeps the history of one fit, and the best weights where it may stop early.

    Attributes:
        history: One value an epoch for each of "loss", "learning_rate", "stop_loss", "stop_roc_auc"; the
            latter two as far as there are stop samples, of both classes. The area is that of the first target
            where it is known; regression has none.
        best_epoch: 1-based; the epoch with the lowest stop loss, or without patience the last one.
    """

    def __init__(
        self,
        compiled: CompiledModel,
        stop: Samples | None,
        patience: int | None,
        task: str = "classification",
    ) -> None:
        self._compiled = compiled
        self._stop, self._task = stop, task
        self._patience = patience if stop is not None else None
        self._best_weights: list[FloatArray] | None = None
        self._best_loss = math.inf
        self._last_epoch = 0
        self.history: dict[str, list[float]] = {}
        self.best_epoch = 0

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self._patience is not None and self._last_epoch - self.best_epoch >= self._patience

    def record(self, epoch: int, loss: float, learning_rate: float) -> dict[str, float]:
        """Take an epoch into the history and return what is known about it.

        Args:
            epoch: 1-based.
            loss: Of training, as it is optimised.
            learning_rate: Of this epoch.

        Raises:
            NonFiniteLoss: A loss or a weight became NaN or infinite.
            OutOfMemory: The stop samples did not fit.
        """
        seen = {"loss": loss, "learning_rate": learning_rate, **self._stop_scores()}
        for name, value in seen.items():
            if not math.isfinite(value):
                raise NonFiniteLoss(f"{name} became {value} in epoch {epoch}")
            self.history.setdefault(name, []).append(value)
        if not self._compiled.weights_are_finite():
            raise NonFiniteLoss(f"a weight became NaN or infinite in epoch {epoch}")
        self._last_epoch = epoch
        if self._patience is None:
            self.best_epoch = epoch
        elif seen["stop_loss"] < self._best_loss:
            self.best_epoch, self._best_loss = epoch, seen["stop_loss"]
            self._best_weights = self._compiled.weights()
        return {"epoch": epoch, **seen}

    def restore_best(self) -> None:
        """Give the network the weights of the best epoch, where it trained on after it."""
        if self._best_weights is not None and self.best_epoch < self._last_epoch:
            self._compiled.set_weights(self._best_weights)

    def _stop_scores(self) -> dict[str, float]:
        if self._stop is None:
            return {}
        output, target = self._compiled.logits(self._stop.x), self._stop.y
        if not np.isfinite(output).all():
            return {"stop_loss": math.nan}
        scores = {"stop_loss": mean_loss(output, target, self._task)}
        area = None if self._task == "regression" else _area_of_first(output, target)
        return scores if area is None else {**scores, "stop_roc_auc": area}


def _area_of_first(logit: DoubleArray, label: FloatArray) -> float | None:
    """Area under the ROC curve of the first target, over the rows where it is known."""
    first, wanted = (logit, label) if logit.ndim == 1 else (logit[:, 0], label[:, 0])
    known = ~np.isnan(wanted)
    return roc_auc(first[known], wanted[known])
