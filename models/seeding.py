"""One seed decides everything random about a training: weights, shuffling, augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from models.errors import ModelError

# Streams are told apart by a number, so that switching augmentation on moves neither weights nor shuffling.
_WEIGHTS, _SHUFFLING, _AUGMENTATION = range(3)


@dataclass(frozen=True)
class Streams:
    """Independent random numbers for the parts of one training."""

    shuffling: np.random.Generator
    augmentation: np.random.Generator


def streams(seed: int) -> Streams:
    """The random streams of one training."""
    return Streams(
        shuffling=np.random.default_rng([seed, _SHUFFLING]),
        augmentation=np.random.default_rng([seed, _AUGMENTATION]),
    )


def initialise(model: keras.Model, seed: int) -> None:
    """Draw every weight anew, as its layer's own initializer would, from one seed.

    The i-th weight has the i-th seed of its own, so the values depend on the seed and on the structure alone:
    not on what the model was trained on before, nor on Keras's global random state.

    Raises:
        ModelError: A layer has a variable without an initializer of the same name.
    """
    found = list(_initializers(model))
    seeds = np.random.default_rng([seed, _WEIGHTS]).integers(2**31, size=len(found))
    for (variable, initializer), own in zip(found, seeds, strict=True):
        config = initializer.get_config()
        if "seed" in config:
            initializer = type(initializer).from_config({**config, "seed": int(own)})
        variable.assign(initializer(variable.shape, variable.dtype))


def _initializers(
    model: keras.Model,
) -> Iterator[tuple[keras.Variable, keras.initializers.Initializer]]:
    for layer in model.layers:
        for variable in layer.variables:
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if initializer is None:
                raise ModelError(
                    f"layer '{layer.name}': no initializer belongs to its variable '{variable.name}', "
                    f"so it cannot be seeded"
                )
            yield variable, initializer
