"""What can go wrong with a model: one root, few children, one line each."""

from __future__ import annotations


class ModelError(ValueError):
    """A model, optimizer or training setting is wrong, or a training could not go on."""


class NotBuildable(ModelError):  # noqa: N818  # the name says what happened
    """The architecture cannot be built for this input shape, which is known before any training."""


class NonFiniteLoss(ModelError):  # noqa: N818  # the name says what happened
    """A loss, a weight or the network's output became NaN or infinite."""


class OutOfMemory(ModelError):  # noqa: N818  # the name says what happened
    """The device or the machine had too little memory for the model and the batch."""
