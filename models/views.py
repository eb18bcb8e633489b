"""Stand-ins for stock Keras layers: the same function of the same variables, by cheaper kernels.

Each view reads the variables of the stock layer that it stands in for, and computes what that computes up to
the rounding of float32; `LoneBatchNormalization` is the one exception, and says why.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf


class View(keras.layers.Layer):  # type: ignore[misc]  # Keras has no type information
    """What the stand-ins have in common: the stock layer, under its name and precision."""

    def __init__(self, stock: keras.layers.Layer) -> None:
        super().__init__(name=stock.name, dtype=stock.dtype_policy)
        self.stock = stock
        self.supports_masking = stock.supports_masking

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


class DenseConvolution(View):
    """A padded convolution on a map of a few pixels, as one matrix product over the whole map.

    On 2x2 pixels a 3x3 kernel meets zeros with five of its nine taps at every place; here they do not occur.
    For prediction only: the matrix holds each weight of the kernel several times over.
    """

    def __init__(self, stock: keras.layers.Layer) -> None:
        super().__init__(stock)
        self._sides = stock.input.shape[1:3], stock.output.shape[1:3]
        matrix = spread(stock.kernel.numpy(), *self._sides, stock.strides)
        self.matrix = self.add_weight(shape=matrix.shape, initializer="zeros", trainable=False, name="matrix")
        self.matrix.assign(matrix)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Feature map (batch, h, w, channels) to (batch, h / stride, w / stride, filters), rounded up."""
        matrix = self.matrix.value
        y = tf.matmul(tf.reshape(x, (-1, matrix.shape[0])), matrix)
        y = tf.reshape(y, (-1, *self._sides[1], self.stock.filters))
        return y if self.stock.bias is None else tf.nn.bias_add(y, self.stock.bias.value)


def spread(
    kernel: npt.NDArray[np.float32], seen: tuple[int, int], made: tuple[int, int], strides: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """The matrix (h w channels, h' w' filters) by which a padded convolution multiplies a whole map.

    Args:
        kernel: Weights (height, width, channels, filters).
        seen: h, w of the map.
        made: h', w' of the output.
        strides: Of the convolution, down and across.
    """
    sides = zip(seen, made, kernel.shape[:2], strides, strict=True)
    before = [max((out - 1) * step + taps - size, 0) // 2 for size, out, taps, step in sides]
    matrix = np.zeros((*seen, kernel.shape[2], *made, kernel.shape[3]), np.float32)
    for down, across in np.ndindex(*made):
        for row, column in np.ndindex(*kernel.shape[:2]):
            y, x = down * strides[0] + row - before[0], across * strides[1] + column - before[1]
            if 0 <= y < seen[0] and 0 <= x < seen[1]:
                matrix[y, x, :, down, across] = kernel[row, column]
    return matrix.reshape(math.prod(matrix.shape[:3]), -1)


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


class LoneBatchNormalization(View):
    """Batch normalisation where every batch is a single sample, by moving statistics that the sample joins.

    Stock Keras normalises a lone sample by its own moments. On a map of one pixel that turns it into the
    offset, whatever it is, so that nothing before the layer learns; its moving variance falls towards zero,
    and inference multiplies by up to `1 / sqrt(epsilon)`. On a larger map it takes out what tells the
    sample's level from others', which inference then puts back in. Either way the network that is trained is
    not the one that predicts.

    Here the moving statistics follow the sample first, exactly as the mean and variance of exponentially
    weighted pixels do, and then normalise it, as they will in inference. As pixels have a share in their own
    statistics, none of n is brought farther from `beta` than `gamma sqrt(n / (1 - momentum) - 1)`; gradients
    are those of this function. Inference is that of the stock layer.

    References:
        Finch 2009, "Incremental calculation of weighted mean and variance", section 9, with
        alpha = 1 - momentum, and the variance within the sample beside that between samples.
    """

    def call(self, x: tf.Tensor, training: bool = False, mask: None = None) -> tf.Tensor:
        """Values (1, ..., channels); in training the statistics follow."""
        stock = self.stock
        if not training:
            return stock(x, training=False)
        value = tf.cast(x, tf.float32)
        own, within = tf.nn.moments(value, list(range(len(value.shape) - 1)))
        away, follow = own - stock.moving_mean.value, 1 - stock.momentum
        mean = stock.moving_mean.value + follow * away
        between = stock.momentum * (stock.moving_variance.value + follow * away**2)
        variance = between + follow * within
        stock.moving_mean.assign(mean)
        stock.moving_variance.assign(variance)
        offset = None if stock.beta is None else stock.beta.value
        scale = None if stock.gamma is None else stock.gamma.value
        y = tf.nn.batch_normalization(value, mean, variance, offset, scale, stock.epsilon)
        return tf.cast(y, stock.compute_dtype)


class AdjustableDropout(View):
    """Dropout whose rate is a variable, so that one compiled step serves every rate.

    It draws from the stock layer's own generator by the stock layer's operation: at one state of the
    generator and one rate, both drop the same units.

    Attributes:
        rate: Share of the units that is dropped, in [0, 1).
    """

    def __init__(self, stock: keras.layers.Dropout) -> None:
        super().__init__(stock)
        start = keras.initializers.Constant(stock.rate)
        self.rate = self.add_weight(shape=(), initializer=start, trainable=False, name="rate")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features of any shape; in training some are zero and the others larger by as much."""
        if not training:
            return x
        seed = tf.cast(self.stock.seed_generator.next(), tf.int32)
        rate = tf.cast(self.rate.value, x.dtype)
        return tf.nn.experimental.stateless_dropout(x, rate=rate, seed=seed)


def _affine(x: tf.Tensor, kernel: tf.Tensor, bias: keras.Variable | None) -> tf.Tensor:
    channels, filters = kernel.shape
    shape = tf.shape(x)
    y = tf.matmul(tf.reshape(x, (-1, channels)), kernel)
    if bias is not None:
        y = tf.nn.bias_add(y, bias.value)
    return tf.reshape(y, (shape[0], shape[1], shape[2], filters))


def _follow(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    average.assign(average.value * momentum + value * (1 - momentum))
