"""Which weights a patch of one size reaches at all.

Padding is zero, so that a tap of a convolution which meets padding alone, at every position of its output,
receives no gradient whatever the data are. On small patches the last maps of a deep network have one pixel.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import numpy.typing as npt

Side = tuple[int, ...]


def is_plain_convolution(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a 2D convolution without groups, dilation, an activation or a loss of its own."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and type(layer).__name__ == "Conv2D"
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
        and layer.activity_regularizer is None
    )


def is_plain_batch_norm(layer: keras.layers.Layer) -> bool:
    """Whether a layer normalises the last axis by the moments of its batch, as on one device."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and not layer.synchronized
        and not layer.renorm
        and layer.axis in (-1, len(layer.output.shape) - 1)
        and layer.activity_regularizer is None
    )


def is_nested(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a network of stock kind, whose own layers make all of its output."""
    return type(layer).__name__ in ("Functional", "Sequential") and isinstance(layer, keras.Model)


def leaves(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers that stand at one place of a network only, so that they have one input size.

    Returns:
        By name; layers of a nested model as "model/layer".
    """
    found = {}
    for layer in model.layers:
        if len(layer._inbound_nodes) != 1:
            continue
        found[layer.name] = layer
        if is_nested(layer):
            found.update({f"{layer.name}/{name}": leaf for name, leaf in leaves(layer).items()})
    return found


class Reach:
    """What patches of any size reach in one network.

    Args:
        model: A functional Keras model with an open input size (batch, any, any, channels), or with a fixed
            one; of the latter nested models are seen through.
    """

    def __init__(self, model: keras.Model) -> None:
        self._input = model.input
        places = leaves(model) if self._is_fixed else {x.name: x for x in model.layers if _is_once(x)}
        self._spatial = {
            name: layer
            for name, layer in places.items()
            if is_plain_convolution(layer) and max(layer.kernel_size) > 1
        }
        self._seen = [_unpadded(layer)[0] for layer in self._spatial.values()]
        self._maps = None if self._is_fixed else keras.Model(model.input, self._seen or model.output)
        self._known: dict[tuple[int, int], list[Side]] = {}

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether the network has an open input size, or this one."""
        return not self._is_fixed or size == self._input.shape[1:3]

    def centred(self, size: tuple[int, int]) -> frozenset[str]:
        """Names of the convolutions of which patches (height, width) reach the centre tap alone."""
        return frozenset(
            name
            for (name, layer), side in zip(self._spatial.items(), self._sides(size), strict=True)
            if side == (1, 1)
            and _unpadded(layer)[1] == [(0, 0), (0, 0)]
            and layer.strides == (1, 1)
            and _is_free(layer)
            and layer.padding == "same"
            and all(k % 2 for k in layer.kernel_size)
        )

    def compact(self, size: tuple[int, int]) -> frozenset[str]:
        """Names of the convolutions that cost less as one matrix product over the whole map.

        Less arithmetic, since no tap meets padding, and a matrix of at most twice the kernel's weights.
        """
        return frozenset(
            name
            for (name, layer), side in zip(self._spatial.items(), self._sides(size), strict=True)
            if 0 not in side and layer.padding == "same" and _is_compact(layer, side)
        )

    def dead_parameters(self, size: tuple[int, int]) -> int:
        """How many trained weights patches (height, width) leave without any gradient, whatever the data."""
        total = 0
        for layer, side in zip(self._spatial.values(), self._sides(size), strict=True):
            if layer.trainable and 0 not in side:
                total += _dead_taps(layer, side) * math.prod(layer.kernel.shape[2:])
        return total

    @property
    def _is_fixed(self) -> bool:
        return None not in self._input.shape[1:]

    def _sides(self, size: tuple[int, int]) -> list[Side]:
        """Height and width of what each spatial convolution sees, without padding.

        A side is 0 where the layer belongs to a nested model of an open size.
        """
        if not self._seen:
            return []
        if size not in self._known:
            self._known[size] = [tuple(n or 0 for n in shape[1:-1]) for shape in self._shapes(size)]
        return self._known[size]

    def _shapes(self, size: tuple[int, int]) -> list[tuple[int | None, ...]]:
        if self._maps is None:
            return [tensor.shape for tensor in self._seen]
        shapes = self._maps.compute_output_shape((None, *size, self._input.shape[-1]))
        return shapes if isinstance(shapes, list) else [shapes]


def _is_once(layer: keras.layers.Layer) -> bool:
    return len(layer._inbound_nodes) == 1


def _is_free(layer: keras.layers.Conv2D) -> bool:
    """Whether gradients alone move the kernel: nothing else reaches its outer taps."""
    return layer.trainable and layer.kernel_constraint is None and layer.kernel_regularizer is None


def _is_compact(layer: keras.layers.Conv2D, side: Side) -> bool:
    """Whether a kernel has more taps than the map pixels, and about as many as pairs of pixels connected."""
    padded = _unpadded(layer)[1] != [(0, 0), (0, 0)]
    taps, seen = math.prod(layer.kernel_size), math.prod(side)
    made = math.prod(math.ceil(n / step) for n, step in zip(side, layer.strides, strict=True))
    return not padded and seen < taps and seen * made <= 2 * taps


def _dead_taps(layer: keras.layers.Conv2D, side: Side) -> int:
    axes = zip(side, layer.kernel_size, layer.strides, _padding(layer, side), strict=True)
    reached = math.prod(int(_reached(*axis).sum()) for axis in axes)
    return int(math.prod(layer.kernel_size)) - reached


def _reached(size: int, kernel: int, stride: int, pad: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which taps (kernel,) of a convolution meet a pixel somewhere along an axis of `size` pixels.

    >>> _reached(1, 3, 1, (1, 1)), _reached(2, 3, 1, (1, 1)).all()
    (array([False,  True, False]), np.True_)
    """
    positions = np.arange(0, size + sum(pad) - kernel + 1, stride)
    place = positions[:, None] + np.arange(kernel) - pad[0]
    return np.asarray(((place >= 0) & (place < size)).any(axis=0))


def _padding(layer: keras.layers.Conv2D, side: Side) -> list[tuple[int, int]]:
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
