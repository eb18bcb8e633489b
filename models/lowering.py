"""A network as its training step computes it: the same function of the same weights, by cheaper kernels.

What is saved, counted and shown is always the stock network; what stands in for its layers is in
`models.views`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import keras

from models.errors import ModelError
from models.reach import is_nested, is_plain_batch_norm, is_plain_convolution, leaves
from models.seeding import random_states
from models.views import (
    AdjustableDropout,
    CentreConvolution,
    DenseConvolution,
    FusedBatchNormalization,
    LoneBatchNormalization,
    PointwiseConvolution,
    View,
)

_HEAD_DROPOUT = re.compile(r"dropout\d+")  # as `models.heads` names them, at the top level of a network


@dataclass(frozen=True)
class Lowered:
    """A stock network and what its training step runs instead.

    Attributes:
        network: Patches (batch, h, w, channels) to the chosen output of the stock network.
        trainable: What training moves: the stock network's variables, a centre in place of its kernel.
        variables: The same, and the batch-norm statistics; neither rates of dropout nor states of random
            generators.
    """

    network: keras.Model
    trainable: list[keras.Variable]
    variables: list[keras.Variable]
    _stock: keras.Model
    _centres: tuple[CentreConvolution, ...]
    _dropouts: tuple[AdjustableDropout, ...]

    def load(self) -> None:
        """Take over the stock network's weights; call after each change of them."""
        for view in self._centres:
            view.load()

    def set_dropout(self, rate: float) -> None:
        """Drop this share of the features in our head; a custom network's own dropout keeps its rate."""
        for view in self._dropouts:
            view.rate.assign(rate)

    def standing_for(self, variables: Iterable[keras.Variable]) -> list[keras.Variable]:
        """Those of the stock network's variables that training moves, a centre in place of its kernel."""
        moved = {id(variable): variable for variable in self.trainable}
        moved |= {id(view.stock.kernel): view.centre for view in self._centres}
        return [moved[id(variable)] for variable in variables if id(variable) in moved]

    def copy_to(self, model: keras.Model) -> None:
        """Give a stock network of the same structure the trained weights; taps out of reach stay its own."""
        centred = {id(view.stock.kernel): view for view in self._centres}
        for mine, theirs in zip(self._stock.weights, model.weights, strict=True):
            if id(mine) in centred:
                centred[id(mine)].settle(theirs)
            else:
                theirs.assign(mine)


def lower(
    model: keras.Model,
    output: str,
    centred: Iterable[str] = (),
    alone: bool = False,
    compact: Iterable[str] = (),
) -> Lowered:
    """Lower a stock network.

    Args:
        model: A functional Keras model, with its variables; nested models are lowered too.
        output: The layer whose output is wanted.
        centred: Names of the convolutions that work on a map of one pixel (`models.reach`).
        alone: Whether training is on single samples, by which batch normalisation then goes in its own way.
        compact: Names of the convolutions that are run as one product over their whole map, for a network
            that predicts only: the matrices are made of the weights that the layers have now.
    """
    # Lowering calls the layers that have no view once more, so that this is looked up before.
    places = leaves(model)
    if alone:
        _check_alone(model, places)
    views = _Views(places, frozenset(centred), alone, frozenset(compact))
    wanted = keras.Model(model.input, model.get_layer(output).output)
    network = keras.models.clone_model(wanted, clone_function=views)
    centres = tuple(view for view in views.made if isinstance(view, CentreConvolution))
    dropouts = tuple(view for view in views.made if isinstance(view, AdjustableDropout))
    top = {id(layer) for layer in model.layers if _HEAD_DROPOUT.fullmatch(layer.name)}
    ours = tuple(view for view in dropouts if id(view.stock) in top)
    left_out = {id(view.stock.kernel) for view in centres} | {id(view.rate) for view in dropouts}
    left_out |= {id(state) for state in random_states(network)}
    return Lowered(
        network,
        [variable for variable in network.trainable_variables if id(variable) not in left_out],
        [variable for variable in network.variables if id(variable) not in left_out],
        model,
        centres,
        ours,
    )


def _check_alone(model: keras.Model, places: dict[str, keras.layers.Layer]) -> None:
    """Refuse single samples where a batch normalisation would see one value a channel and has no view.

    Raises:
        ModelError: One is used at several places, or is of another kind than stock Keras's plain one.
    """
    viewed = {id(layer) for layer in places.values() if is_plain_batch_norm(layer)}
    for layer in _all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and id(layer) not in viewed:
            raise ModelError(
                f"batch_size: batches of one need plain batch normalisations that are each used once, but "
                f"'{layer.name}' is not; use a batch_size of 2 or more"
            )


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


class _Views:
    """From a stock layer to what stands in for it: a view, or the layer itself."""

    def __init__(
        self,
        places: dict[str, keras.layers.Layer],
        centred: frozenset[str],
        alone: bool,
        compact: frozenset[str],
    ) -> None:
        chosen = dict.fromkeys(compact, DenseConvolution) | dict.fromkeys(centred, CentreConvolution)
        self._makers = {
            id(layer): maker
            for name, layer in places.items()
            if (maker := chosen.get(name) or _maker(layer, alone)) is not None
        }
        self.made: list[View] = []

    def __call__(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        if is_nested(layer):
            return keras.models.clone_model(layer, clone_function=self)
        maker = self._makers.get(id(layer))
        if maker is None:
            return layer
        self.made.append(maker(layer))
        return self.made[-1]


def _maker(layer: keras.layers.Layer, alone: bool) -> Callable[[keras.layers.Layer], View] | None:
    if alone and is_plain_batch_norm(layer) and layer.trainable:
        return LoneBatchNormalization
    if is_plain_convolution(layer) and layer.kernel_size == (1, 1):
        return PointwiseConvolution
    if is_plain_batch_norm(layer) and layer.scale and layer.center and len(layer.output.shape) == 4:
        return FusedBatchNormalization
    if type(layer) is keras.layers.Dropout and layer.rate > 0 and layer.noise_shape is None:
        return AdjustableDropout
    return None
