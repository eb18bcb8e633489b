"""The deep networks of `keras.applications`, as they are, on any number of channels."""

from __future__ import annotations

import keras

APPLICATIONS = {
    "resnet50": keras.applications.ResNet50,
    "resnet152": keras.applications.ResNet152,
    "densenet201": keras.applications.DenseNet201,
}


def resnet50(patch: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet50's last feature map (batch, h/32, w/32, 2048), rounded up; random initial weights."""
    return _features("resnet50", patch)


def resnet152(patch: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet152's last feature map (batch, h/32, w/32, 2048), rounded up; random initial weights."""
    return _features("resnet152", patch)


def densenet201(patch: keras.KerasTensor) -> keras.KerasTensor:
    """DenseNet201's last feature map (batch, about h/32, about w/32, 1920); random initial weights."""
    return _features("densenet201", patch)


# `input_shape` is refused under 32 pixels although the networks run there; an input tensor is not checked.
def _features(name: str, patch: keras.KerasTensor) -> keras.KerasTensor:
    return APPLICATIONS[name](weights=None, include_top=False, input_tensor=patch).output
