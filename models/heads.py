"""From the last feature map to one probability."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

LOGIT = "logit"


def probability_head(
    features: keras.KerasTensor, widths: Sequence[int], dropout: float = 0.0
) -> keras.KerasTensor:
    """Global average pooling, dense ReLU layers, and a sigmoid unit.

    Args:
        features: Feature map (batch, h, w, channels).
        widths: Widths of the dense ReLU layers, the one next to the map first.
        dropout: Share of its inputs that each dense layer and the sigmoid unit lose in training, by a layer
            "dropout1", "dropout2", ... before it; 0 for no such layers.

    Returns:
        Probability (batch, 1). The unit before the sigmoid is the layer named `LOGIT`; both are float32 under
        any precision policy, as cross-entropy and ranks need it.
    """
    hidden = layers.GlobalAveragePooling2D(name="average")(features)
    for number, width in enumerate(widths, start=1):
        hidden = _thinned(hidden, dropout, number)
        hidden = layers.Dense(width, activation="relu", name=f"dense{number}")(hidden)
    hidden = _thinned(hidden, dropout, len(widths) + 1)
    logit = layers.Dense(1, dtype="float32", name=LOGIT)(hidden)
    return layers.Activation("sigmoid", dtype="float32", name="probability")(logit)


def _thinned(hidden: keras.KerasTensor, dropout: float, number: int) -> keras.KerasTensor:
    return layers.Dropout(dropout, name=f"dropout{number}")(hidden) if dropout else hidden
