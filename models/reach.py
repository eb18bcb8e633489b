"""Which weights a patch of one size reaches at all.

Padding is zero, so that a tap of a convolution which meets padding alone, at every position of its output,
receives no gradient whatever the data are. On small patches the last maps of a deep network have one pixel.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import numpy.typing as npt


def is_plain_convolution(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a 2D convolution without groups, dilation or an activation of its own."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and type(layer).__name__ == "Conv2D"
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
    )


def is_used_once(layer: keras.layers.Layer) -> bool:
    """Whether a layer stands at one place of its network only, so that it has one input size."""
    return len(layer._inbound_nodes) == 1


class Reach:
    """What patches of any size reach in one network.

    Args:
        model: A functional Keras model with an open input size (batch, any, any, channels).
    """

    def __init__(self, model: keras.Model) -> None:
        self._channels = model.input.shape[-1]
        self._spatial = [
            layer
            for layer in model.layers
            if is_plain_convolution(layer) and max(layer.kernel_size) > 1 and is_used_once(layer)
        ]
        self._maps = keras.Model(
            model.input, [_unpadded(layer)[0] for layer in self._spatial] or model.output
        )
        self._known: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def centred(self, size: tuple[int, int]) -> frozenset[str]:
        """Names of the convolutions of which patches (height, width) reach the centre tap alone."""
        return frozenset(
            layer.name
            for layer, side in zip(self._spatial, self._sides(size), strict=True)
            if side == (1, 1)
            and _unpadded(layer)[1] == [(0, 0), (0, 0)]
            and layer.strides == (1, 1)
            and _is_free(layer)
            and layer.padding == "same"
            and all(k % 2 for k in layer.kernel_size)
        )

    def dead_parameters(self, size: tuple[int, int]) -> int:
        """How many weights patches (height, width) leave without any gradient, whatever the data."""
        total = 0
        for layer, side in zip(self._spatial, self._sides(size), strict=True):
            axes = zip(side, layer.kernel_size, layer.strides, _padding(layer, side), strict=True)
            reached = math.prod(int(_reached(*axis).sum()) for axis in axes)
            total += (math.prod(layer.kernel_size) - reached) * math.prod(layer.kernel.shape[2:])
        return total

    def _sides(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of what each spatial convolution sees, without padding."""
        if not self._spatial:
            return []
        if size not in self._known:
            shapes = self._maps.compute_output_shape((None, *size, self._channels))
            shapes = shapes if isinstance(shapes, list) else [shapes]
            self._known[size] = [(shape[1], shape[2]) for shape in shapes]
        return self._known[size]


def _is_free(layer: keras.layers.Conv2D) -> bool:
    """Whether gradients alone move the kernel: nothing else reaches its outer taps."""
    return layer.trainable and layer.kernel_constraint is None and layer.kernel_regularizer is None


def _reached(size: int, kernel: int, stride: int, pad: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which taps (kernel,) of a convolution meet a pixel somewhere along an axis of `size` pixels.

    >>> _reached(1, 3, 1, (1, 1)), _reached(2, 3, 1, (1, 1)).all()
    (array([False,  True, False]), np.True_)
    """
    positions = np.arange(0, size + sum(pad) - kernel + 1, stride)
    place = positions[:, None] + np.arange(kernel) - pad[0]
    return np.asarray(((place >= 0) & (place < size)).any(axis=0))


def _padding(layer: keras.layers.Conv2D, side: tuple[int, int]) -> list[tuple[int, int]]:
    """Zeros before and after each axis: of a padding layer before it, and of the convolution itself."""
    outer = _unpadded(layer)[1]
    if layer.padding == "valid":
        return outer
    both = []
    for n, (before, after), k, s in zip(side, outer, layer.kernel_size, layer.strides, strict=True):
        padded = n + before + after
        own = max((math.ceil(padded / s) - 1) * s + k - padded, 0)
        both.append((before + own // 2, after + own - own // 2))
    return both


def _unpadded(layer: keras.layers.Conv2D) -> tuple[keras.KerasTensor, list[tuple[int, int]]]:
    """The map before a padding layer that feeds the convolution, with that padding; else its own input."""
    source = layer.input._keras_history.operation
    if isinstance(source, keras.layers.ZeroPadding2D):
        return source.input, [tuple(pair) for pair in source.padding]
    return layer.input, [(0, 0), (0, 0)]
