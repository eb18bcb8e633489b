"""A network as its training step computes it: the same function of the same weights, by cheaper kernels.

Each view stands in for one stock Keras layer, reads that layer's own variables, and computes what it computes
up to the rounding of float32. What is saved, counted and shown is always the stock network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import tensorflow as tf

from models.reach import is_plain_convolution, is_used_once


class View(keras.layers.Layer):  # type: ignore[misc]  # Keras has no type information
    """What the stand-ins have in common: the stock layer, under its name and precision."""

    def __init__(self, stock: keras.layers.Layer) -> None:
        super().__init__(name=stock.name, dtype=stock.dtype_policy)
        self.stock = stock

    def build(self, shape: object) -> None:
        """Nothing to make: the stock layer has the variables."""


class PointwiseConvolution(View):
    """A 1x1 convolution as one matrix product over all pixels, which oneDNN and cuBLAS do best."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Feature map (batch, h, w, channels) to (batch, h / stride, w / stride, filters), rounded up."""
        down, across = self.stock.strides
        # reshape, not index: TensorFlow keeps a graph alive for good in which a variable was sliced
        kernel = tf.reshape(self.stock.kernel.value, self.stock.kernel.shape[2:])
        return _affine(x[:, ::down, ::across] if down * across > 1 else x, kernel, self.stock.bias)


class CentreConvolution(View):
    """A padded odd convolution on a map of one pixel, where all taps but the centre meet padding alone.

    The outer taps never receive a gradient, so that Adam, AMSGrad and SGD leave them as they were drawn. The
    centre is a variable of its own: neither gradients nor moments are computed for the others. Weight decay
    would move the outer taps, and must not be combined with this view.

    Attributes:
        centre: Weights (channels, filters) of the centre tap; `settle` copies them to the stock layer.
    """

    def __init__(self, stock: keras.layers.Layer) -> None:
        super().__init__(stock)
        self.centre = self.add_weight(shape=stock.kernel.shape[2:], initializer="zeros", name="centre")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Feature map (batch, 1, 1, channels) to (batch, 1, 1, filters)."""
        return _affine(x, self.centre.value, self.stock.bias)

    def load(self) -> None:
        """Take the centre tap from the stock layer."""
        self.centre.assign(self.stock.kernel.numpy()[self._middle])

    def settle(self, kernel: keras.Variable) -> None:
        """Put the centre tap into a kernel (side, side, channels, filters), whose other taps stay."""
        value = kernel.numpy()
        value[self._middle] = self.centre.numpy()
        kernel.assign(value)

    @property
    def _middle(self) -> tuple[int, int]:
        down, across = self.stock.kernel_size
        return down // 2, across // 2


class FusedBatchNormalization(View):
    """Batch normalisation in one kernel forward and one backward, where stock Keras takes dozens.

    The statistics are float32 under any precision policy, as in Keras. The kernel returns the unbiased
    variance; Keras's moving average takes the biased one.
    """

    def call(self, x: tf.Tensor, training: bool = False, mask: None = None) -> tf.Tensor:
        """Feature map (batch, h, w, channels), normalised; in training the moving statistics follow."""
        stock = self.stock
        train = bool(training and stock.trainable)
        nothing = tf.zeros([0])
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.cast(stock.gamma.value, tf.float32),
            offset=tf.cast(stock.beta.value, tf.float32),
            mean=nothing if train else stock.moving_mean.value,
            variance=nothing if train else stock.moving_variance.value,
            epsilon=stock.epsilon,
            is_training=train,
        )
        if train:
            count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
            # one value a channel has no unbiased variance, only a biased one of zero
            biased = tf.math.multiply_no_nan(variance, (count - 1) / count)
            _follow(stock.moving_mean, mean, stock.momentum)
            _follow(stock.moving_variance, biased, stock.momentum)
        return y


@dataclass(frozen=True)
class Lowered:
    """A stock network and what its training step runs instead.

    Attributes:
        network: Patches (batch, h, w, channels) to the chosen output of the stock network.
        trainable: What training moves: the stock network's variables, a centre in place of its kernel.
        variables: The same, and the batch-norm statistics.
    """

    network: keras.Model
    trainable: list[keras.Variable]
    variables: list[keras.Variable]
    _stock: keras.Model
    _centres: tuple[CentreConvolution, ...]

    def load(self) -> None:
        """Take over the stock network's weights; call after each change of them."""
        for view in self._centres:
            view.load()

    def copy_to(self, model: keras.Model) -> None:
        """Give a stock network of the same structure the trained weights; taps out of reach stay its own."""
        centred = {id(view.stock.kernel): view for view in self._centres}
        for mine, theirs in zip(self._stock.weights, model.weights, strict=True):
            if id(mine) in centred:
                centred[id(mine)].settle(theirs)
            else:
                theirs.assign(mine)


def lower(model: keras.Model, output: str, centred: Iterable[str]) -> Lowered:
    """Lower a stock network.

    Args:
        model: A functional Keras model, with its variables.
        output: The layer whose output is wanted.
        centred: Names of the convolutions that work on a map of one pixel (`models.reach`).
    """
    names = frozenset(centred)
    # Lowering calls the layers that have no view once more, so this is looked up before.
    viewed = frozenset(layer.name for layer in model.layers if is_used_once(layer))
    wanted = keras.Model(model.input, model.get_layer(output).output)
    network = keras.models.clone_model(wanted, clone_function=_viewer(names, viewed))
    centres = tuple(layer for layer in network.layers if isinstance(layer, CentreConvolution))
    dead = {id(view.stock.kernel) for view in centres}
    return Lowered(
        network,
        [variable for variable in network.trainable_variables if id(variable) not in dead],
        [variable for variable in network.variables if id(variable) not in dead],
        model,
        centres,
    )


def _viewer(
    centred: frozenset[str], viewed: frozenset[str]
) -> Callable[[keras.layers.Layer], keras.layers.Layer]:
    def view(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name not in viewed:
            return layer
        if layer.name in centred:
            return CentreConvolution(layer)
        if is_plain_convolution(layer) and layer.kernel_size == (1, 1):
            return PointwiseConvolution(layer)
        if _is_plain_batch_norm(layer):
            return FusedBatchNormalization(layer)
        return layer

    return view


def _is_plain_batch_norm(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.scale
        and layer.center
        and not layer.synchronized
        and len(layer.output.shape) == 4
        and layer.axis in (-1, 3)
    )


def _affine(x: tf.Tensor, kernel: tf.Tensor, bias: keras.Variable | None) -> tf.Tensor:
    channels, filters = kernel.shape
    shape = tf.shape(x)
    y = tf.matmul(tf.reshape(x, (-1, channels)), kernel)
    if bias is not None:
        y = tf.nn.bias_add(y, bias.value)
    return tf.reshape(y, (shape[0], shape[1], shape[2], filters))


def _follow(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    average.assign(average.value * momentum + value * (1 - momentum))
