"""From the last feature map to probabilities, or to values."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

LOGIT = "logit"


def output_head(
    features: keras.KerasTensor,
    widths: Sequence[int],
    dropout: float = 0.0,
    outputs: int = 1,
    task: str = "classification",
) -> keras.KerasTensor:
    """Global average pooling, dense ReLU layers, and a unit a target: under a sigmoid, or linear.

    Args:
        features: Feature map (batch, h, w, channels).
        widths: Widths of the dense ReLU layers, the one next to the map first.
        dropout: Share of its inputs that each dense layer, the last included, loses in training, by a layer
            "dropout1", "dropout2", ... before it; 0 for no such layers.
        outputs: How many targets.
        task: "classification" or "regression".

    Returns:
        "probability", or in regression "value", (batch, outputs). The last dense layer is the one named
        `LOGIT`; it and what follows are float32 under any precision policy, as losses and ranks need it.
    """
    hidden = layers.GlobalAveragePooling2D(name="average")(features)
    for number, width in enumerate(widths, start=1):
        hidden = _thinned(hidden, dropout, number)
        hidden = layers.Dense(width, activation="relu", name=f"dense{number}")(hidden)
    hidden = _thinned(hidden, dropout, len(widths) + 1)
    return named_output(layers.Dense(outputs, dtype="float32", name=LOGIT)(hidden), task)


def named_output(logit: keras.KerasTensor, task: str = "classification") -> keras.KerasTensor:
    """What a network returns, from its linear units (batch, outputs): "probability" or "value"."""
    if task == "regression":
        return layers.Activation("linear", dtype="float32", name="value")(logit)
    return layers.Activation("sigmoid", dtype="float32", name="probability")(logit)


def _thinned(hidden: keras.KerasTensor, dropout: float, number: int) -> keras.KerasTensor:
    return layers.Dropout(dropout, name=f"dropout{number}")(hidden) if dropout else hidden
