"""The last layers of somebody's network, brought to one float32 unit of log-odds and its sigmoid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from models.errors import ModelError
from models.heads import LOGIT, probability_head

_PASSING = {"Reshape", "Flatten", "Dropout", "Squeeze", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}
_SUMS = {"Add", "Subtract"}
_NAMED = {"Sigmoid": "sigmoid", "Softmax": "softmax"}


def probability(
    output: keras.KerasTensor, head: Sequence[int] | None, dropout: float, source: str
) -> keras.KerasTensor:
    """One probability a patch from whatever a network ends in.

    Args:
        output: A feature map (batch, h, w, channels) or features (batch, n > 2), which get our head; one unit
            (batch, 1), linear or under a sigmoid; two units (batch, 2) under a softmax, the second the
            positive class.
        head: Widths of the dense layers of our head, none for None.
        dropout: In our head.
        source: Where the network comes from, for problems.

    Returns:
        Probability (batch, 1), float32, after the log-odds of the layer `LOGIT`.

    Raises:
        ModelError: The network ends in something else, or in a unit of its own where a head is asked for.
    """
    shape = output.shape
    if len(shape) == 2 and shape[1] is not None and shape[1] <= 2:
        if head or dropout:
            raise ModelError(
                f"{source}: the network ends in {shape[1]} unit(s) of its own and takes no head or dropout, "
                f"but got head {tuple(head or ())} and dropout {dropout}"
            )
        return layers.Activation("sigmoid", dtype="float32", name="probability")(_log_odds(output, source))
    if len(shape) == 2 and shape[1] is not None:
        return probability_head(
            layers.Reshape((1, 1, shape[1]), name="features")(output), head or (), dropout
        )
    if len(shape) == 4 and shape[3] is not None:
        return probability_head(output, head or (), dropout)
    raise ModelError(
        f"{source}: the model must return a feature map (batch, h, w, channels), features (batch, n), or one "
        f"unit (batch, 1), but returns {shape}"
    )


def _log_odds(output: keras.KerasTensor, source: str) -> keras.KerasTensor:
    activation, units = activation_of(output), output.shape[1]
    if activation not in (("linear", "sigmoid") if units == 1 else ("softmax",)):
        law = (
            "one unit must be linear (log-odds) or under a sigmoid"
            if units == 1
            else "two units must be under a softmax"
        )
        raise ModelError(
            f"{source}: {law}, but {'it comes' if units == 1 else 'they come'} from {_origin(output)} "
            f"with {activation or 'an activation that cannot be told'}"
        )
    before = _before(output, activation)
    if before is None:
        before = _inverse(output)
    elif units == 2:
        before = before[:, 1:] - before[:, :1]
    if before._keras_history.operation.name == LOGIT:
        return before
    return layers.Activation("linear", dtype="float32", name=LOGIT)(before)


def activation_of(output: keras.KerasTensor) -> str | None:
    """The activation that a tensor has last gone through, poolings and reshapes aside; None if unknown."""
    operation = output._keras_history.operation
    kind = type(operation)
    if isinstance(operation, keras.Model):
        return activation_of(operation.outputs[0])
    if isinstance(operation, layers.Layer) and hasattr(operation, "activation"):
        return str(keras.activations.serialize(operation.activation))
    if not kind.__module__.startswith("keras."):
        return None
    if kind.__name__ in _NAMED:
        return _NAMED[kind.__name__]
    if kind.__name__ in _PASSING:
        return activation_of(operation.input)
    if kind.__name__ in _SUMS:
        inputs = keras.tree.flatten(operation.input)
        return "linear" if all(activation_of(each) == "linear" for each in inputs) else None
    return None


def _before(output: keras.KerasTensor, activation: str | None) -> keras.KerasTensor | None:
    """What the last activation was applied to, in float32 from a dense layer; None if out of reach."""
    operation = output._keras_history.operation
    if _is_plain_dense(operation):
        return _without_activation(operation)
    if activation == "linear":
        return output
    if type(operation) is not layers.Activation and type(operation).__name__ not in _NAMED:
        return None
    dense = operation.input._keras_history.operation
    if _is_plain_dense(dense) and dense.activation is keras.activations.linear:
        return _without_activation(dense)
    return operation.input


def _is_plain_dense(operation: Any) -> bool:
    return type(operation) is layers.Dense and len(operation._inbound_nodes) == 1  # used once


def _without_activation(dense: keras.layers.Dense) -> keras.KerasTensor:
    name = LOGIT if dense.units == 1 else f"{LOGIT}s"
    config: dict[str, Any] = {"activation": "linear", "dtype": "float32", "name": name}
    linear = layers.Dense.from_config(dense.get_config() | config)
    before = linear(dense.input)
    linear.set_weights(dense.get_weights())
    return before


def _inverse(output: keras.KerasTensor) -> keras.KerasTensor:
    """Log-odds from a probability (batch, 1), or from those of two classes (batch, 2)."""
    shares = keras.ops.clip(keras.ops.cast(output, "float32"), keras.config.epsilon(), 1.0)
    if output.shape[1] == 2:
        return keras.ops.log(shares[:, 1:]) - keras.ops.log(shares[:, :1])
    return keras.ops.log(shares) - keras.ops.log(keras.ops.clip(1.0 - shares, keras.config.epsilon(), 1.0))


def _origin(output: keras.KerasTensor) -> str:
    operation = output._keras_history.operation
    return f"'{operation.name}' ({type(operation).__name__})"
