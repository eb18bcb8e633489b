"""The networks and optimizers in stock Keras, as a user of `keras.applications` writes them."""

from __future__ import annotations

import keras
from keras import layers

APPLICATIONS = {"resnet50": "ResNet50", "resnet152": "ResNet152", "densenet201": "DenseNet201"}


def compiled(
    architecture: str, shape: tuple[int, ...], optimizer: str, rate: float, momentum: float
) -> keras.Model:
    """A compiled model from patches (batch, *shape) to probabilities (batch, 1)."""
    model = network(architecture, shape)
    model.compile(optimizer=make_optimizer(optimizer, rate, momentum), loss="binary_crossentropy")
    return model


def network(architecture: str, shape: tuple[int, ...]) -> keras.Model:
    """The network with its head."""
    patch = keras.Input(shape)
    if architecture == "small_cnn":
        hidden = layers.Dense(32, activation="relu", name="dense1")(_small_cnn(patch))
    else:
        application = getattr(keras.applications, APPLICATIONS[architecture])
        base = application(include_top=False, weights=None, input_tensor=patch, pooling="avg")
        hidden = layers.Dense(256, activation="relu", name="dense1")(base.output)
        hidden = layers.Dense(128, activation="relu", name="dense2")(hidden)
    return keras.Model(patch, layers.Dense(1, activation="sigmoid", name="logit")(hidden))


def make_optimizer(name: str, rate: float, momentum: float) -> keras.optimizers.Optimizer:
    """The optimizer of that name, as Keras ships it."""
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=momentum)
    return keras.optimizers.Adam(rate, amsgrad=name == "amsgrad")


def _small_cnn(patch: keras.KerasTensor) -> keras.KerasTensor:
    features = patch
    for number, width in enumerate((24, 32, 48), start=1):
        conv = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv{number}")
        features = layers.GroupNormalization(8, name=f"norm{number}")(conv(features))
        features = layers.Activation("relu")(features)
        if number == 2:
            features = layers.MaxPooling2D(2, padding="same")(features)
    return layers.GlobalAveragePooling2D()(features)
