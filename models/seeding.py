"""One seed decides everything random about a training: weights, shuffling, augmentation, dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from models.errors import ModelError

# Streams are told apart by a number, so that switching augmentation on moves neither weights nor shuffling.
_WEIGHTS, _SHUFFLING, _AUGMENTATION, _NOISE = range(4)


@dataclass(frozen=True)
class Streams:
    """Independent random numbers for the parts of one training."""

    seed: int
    shuffling: np.random.Generator

    def augmentation(self, epoch: int) -> np.random.Generator:
        """The generator of one epoch (1-based): its draws can be replayed without those of epochs before."""
        return np.random.default_rng([self.seed, _AUGMENTATION, epoch])


def streams(seed: int) -> Streams:
    """The random streams of one training."""
    return Streams(seed, np.random.default_rng([seed, _SHUFFLING]))


def initialise(model: keras.Model, seed: int, rebuild: Callable[[], keras.Model] | None = None) -> None:
    """Draw every weight anew from one seed, and reset the generators of layers that draw in training.

    The i-th weight has the i-th seed of its own, so the values depend on the seed and on the structure alone:
    not on what the model was trained on before, nor on Keras's global random state.

    Args:
        model: Whose weights are drawn, nested models' included.
        seed: Decides them.
        rebuild: Builds the same network once more, for one whose author decides what it starts from (weights
            loaded from a file, layers without initializers): its weights are then those it has when built
            under the seed. None asks the layers' own initializers.

    Raises:
        ModelError: A layer has a variable without an initializer of the same name, and there is no `rebuild`.
    """
    if rebuild is not None:
        _copy(_rebuilt(rebuild, seed), model)
    else:
        _draw(model, seed)
    states = random_states(model)
    # TensorFlow takes seeds modulo 2**31 - 2
    seeds = np.random.default_rng([seed, _NOISE]).integers(2**31 - 2, size=len(states))
    for state, own in zip(states, seeds, strict=True):
        state.assign([int(own), 0])


def random_states(model: keras.Model) -> list[keras.Variable]:
    """The states of the random generators of all layers: what dropout and random augmentation draw from."""
    found = {
        id(generator.state): generator.state
        for layer in model._flatten_layers()
        for generator in layer._seed_generators
    }
    return list(found.values())


def _draw(model: keras.Model, seed: int) -> None:
    found = list(_initializers(model, {id(state) for state in random_states(model)}))
    seeds = np.random.default_rng([seed, _WEIGHTS]).integers(2**31, size=len(found))
    for (variable, initializer), own in zip(found, seeds, strict=True):
        config = initializer.get_config()
        if "seed" in config:
            initializer = type(initializer).from_config({**config, "seed": int(own)})
        variable.assign(initializer(variable.shape, variable.dtype))


def _initializers(
    model: keras.Model, states: set[int]
) -> Iterator[tuple[keras.Variable, keras.initializers.Initializer]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _initializers(layer, states)
            continue
        for variable in layer.variables:
            if id(variable) in states:
                continue
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if initializer is None:
                raise ModelError(
                    f"layer '{layer.name}': no initializer belongs to its variable '{variable.name}', "
                    f"so it cannot be seeded"
                )
            yield variable, initializer


def _rebuilt(rebuild: Callable[[], keras.Model], seed: int) -> keras.Model:
    keras.utils.set_random_seed(int(np.random.default_rng([seed, _WEIGHTS]).integers(2**31)))
    return rebuild()


def _copy(source: keras.Model, target: keras.Model) -> None:
    """All weights of one network into another, whose author may have made it otherwise this time.

    Raises:
        ModelError: The two are not made of weights of the same shapes.
    """
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (source, target)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"architecture '{target.name}': the same parameters must give the same network, but it was built "
            f"with {len(shapes[1])} weights and then with {len(shapes[0])}, or with others in shape"
        )
    for theirs, ours in zip(source.weights, target.weights, strict=True):
        ours.assign(theirs)
