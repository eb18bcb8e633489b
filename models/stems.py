"""How a small patch meets a network that was made for images of 224 pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

Network = Callable[[keras.KerasTensor], keras.KerasTensor]

REPLACED = {"conv1_conv": "stem_conv", "conv1_bn": "stem_bn", "conv1_relu": "stem_relu"}


def behind_stem(
    network: Network, patch: keras.KerasTensor, stem: str, resize_to: int | None = None
) -> keras.KerasTensor:
    """The last feature map of a deep network behind one of the stems.

    Args:
        network: A function of `models.backbones`.
        patch: The input (batch, h, w, channels), of an open or a fixed size.
        stem: "paper" takes the network as it is. "small" begins it with a 3x3 convolution of stride 1 and no
            pooling, so that its map is 4 times as wide, and pads where it halves, so that one pixel is
            enough. "resize" interpolates the patch bilinearly.
        resize_to: Side in pixels of the interpolated patch.
    """
    if stem == "resize":
        resize = layers.Resizing(resize_to, resize_to, interpolation="bilinear", name="resize")
        # by default this layer puts all behind it into training mode where a caller names no mode
        return network(resize(patch, training=False))
    if stem == "small":
        return _small(network, patch)
    return network(patch)


def _small(network: Network, patch: keras.KerasTensor) -> keras.KerasTensor:
    """A copy without the stock stem; made from it, since a layer must stand at one place only."""
    image = keras.Input((None, None, patch.shape[-1]))
    stock = keras.Model(image, network(image))
    copy = keras.models.clone_model(
        stock, input_tensors=patch, clone_function=_replacement, call_function=_unless_left_out
    )
    return copy.output


def _replacement(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    config["name"] = REPLACED.get(layer.name, layer.name)
    if layer.name == "conv1_conv":
        # the batch normalisation after it makes a bias void
        config.update(kernel_size=(3, 3), strides=(1, 1), padding="same", use_bias=False)
    if isinstance(layer, layers.AveragePooling2D):
        config["padding"] = "same"  # DenseNet's would leave nothing of a single pixel
    return type(layer).from_config(config)


def _unless_left_out(layer: keras.layers.Layer, *inputs: Any, **settings: Any) -> Any:
    """Both families pad with a layer, and take maxima, in their stem alone."""
    if isinstance(layer, layers.ZeroPadding2D | layers.MaxPooling2D):
        return inputs[0]
    return layer(*inputs, **settings)
