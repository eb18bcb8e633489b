"""The deep networks of `keras.applications`, as they are, on any number of channels."""

from __future__ import annotations

import keras


def resnet50(patch: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet50's last feature map (batch, h/32, w/32, 2048), rounded up; random initial weights."""
    return _features(keras.applications.ResNet50, patch)


def resnet152(patch: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet152's last feature map (batch, h/32, w/32, 2048), rounded up; random initial weights."""
    return _features(keras.applications.ResNet152, patch)


def densenet201(patch: keras.KerasTensor) -> keras.KerasTensor:
    """DenseNet201's last feature map (batch, about h/32, about w/32, 1920); random initial weights."""
    return _features(keras.applications.DenseNet201, patch)


# `input_shape` is refused under 32 pixels although the networks run there; an input tensor is not checked.
def _features(application: type[keras.Model], patch: keras.KerasTensor) -> keras.KerasTensor:
    return application(weights=None, include_top=False, input_tensor=patch).output
