"""Adam, AMSGrad and SGD as Keras optimizers whose update is one fused kernel a weight.

Stock Keras spells Adam out in about fifteen operations a weight, which for ResNet50 costs as much as the
network itself on a small batch. The kernels compute the same formulas and read their settings from variables,
so that one compiled step serves every learning rate and momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from models.errors import ModelError
from models.registry import check_optimizer
from models.spec import OptimizerSpec


class _OneReplica:
    """Updates weight after weight, without asking for a distribution strategy: there is one device.

    Keras asks by a call in which TensorFlow keeps every graph alive that was ever traced through it.
    """

    update_step: Callable[[tf.Tensor, tf.Variable, Any], None]

    def _backend_update_step(
        self, grads: list[tf.Tensor], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, getattr(variable, "value", variable), learning_rate)


@keras.saving.register_keras_serializable(package="radsearch")
class FusedAdam(_OneReplica, keras.optimizers.Adam):  # type: ignore[misc]  # Keras has no type information
    """`keras.optimizers.Adam`, AMSGrad included, by fused kernels.

    XLA has no such kernel for AMSGrad: compile a model that uses it with `jit_compile=False`.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """Update one weight and its moments in place."""
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        index = self._get_variable_index(variable)
        settings = {
            "var": variable.handle,
            "m": self._momentums[index].value.handle,
            "v": self._velocities[index].value.handle,
            "beta1_power": tf.pow(tf.cast(self.beta_1, dtype), step),
            "beta2_power": tf.pow(tf.cast(self.beta_2, dtype), step),
            "lr": tf.cast(learning_rate, dtype),
            "beta1": tf.cast(self.beta_1, dtype),
            "beta2": tf.cast(self.beta_2, dtype),
            "epsilon": tf.cast(self.epsilon, dtype),
            "grad": tf.cast(gradient, dtype),
        }
        if self.amsgrad:
            largest = self._velocity_hats[index].value.handle
            tf.raw_ops.ResourceApplyAdamWithAmsgrad(vhat=largest, **settings)
        else:
            tf.raw_ops.ResourceApplyAdam(**settings)


class SpeltAdam(_OneReplica, keras.optimizers.Adam):  # type: ignore[misc]  # as above
    """Adam as Keras spells it out, for XLA: it fuses by itself, and has no kernel for AMSGrad."""


@keras.saving.register_keras_serializable(package="radsearch")
class FusedSGD(_OneReplica, keras.optimizers.SGD):  # type: ignore[misc]  # Keras has no type information
    """`keras.optimizers.SGD`, with momentum or without, by fused kernels."""

    momentum: float

    def build(self, variables: list[Any]) -> None:
        """Make the slots, and the variable that holds the momentum."""
        if self.built:
            return
        super().build(variables)
        start = keras.initializers.Constant(self.momentum)
        self._momentum_now = self.add_variable(shape=(), initializer=start, name="momentum_now")

    def set_momentum(self, momentum: float) -> None:
        """Change the momentum, in steps that are compiled already too.

        Raises:
            ModelError: The change is from or to zero, which needs other slots and so another optimizer.
        """
        if bool(momentum) != bool(self.momentum):
            raise ModelError(
                f"momentum: cannot change from {self.momentum} to {momentum} in a built optimizer"
            )
        self.momentum = momentum
        self._momentum_now.assign(momentum)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """Update one weight and its momentum in place."""
        dtype = variable.dtype
        rate, gradient = tf.cast(learning_rate, dtype), tf.cast(gradient, dtype)
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=rate,
            grad=gradient,
            momentum=tf.cast(self._momentum_now.value, dtype),
            use_nesterov=self.nesterov,
        )


_MAKERS: dict[str, Callable[[OptimizerSpec], keras.optimizers.Optimizer]] = {
    "adam": lambda spec: FusedAdam(spec.learning_rate),
    "amsgrad": lambda spec: FusedAdam(spec.learning_rate, amsgrad=True),
    "sgd": lambda spec: FusedSGD(spec.learning_rate, momentum=float(spec.momentum)),
}


def make_optimizer(spec: OptimizerSpec, xla: bool = False) -> keras.optimizers.Optimizer:
    """A new optimizer, not yet built on any weights; with `xla`, one whose update XLA compiles.

    Raises:
        ModelError: The name is unknown, or the momentum has no effect.
    """
    if check_optimizer(spec).name == "amsgrad" and xla:
        return SpeltAdam(spec.learning_rate, amsgrad=True)
    return _MAKERS[spec.name](spec)


def structure_of(spec: OptimizerSpec) -> tuple[str, bool]:
    """What of an optimizer a compiled step depends on: its name, and whether it has momentum slots."""
    return spec.name, spec.momentum > 0


def reset_optimizer(optimizer: keras.optimizers.Optimizer, spec: OptimizerSpec) -> None:
    """Make a built optimizer equal to a new one of the same structure, slots and step counter zero."""
    for variable in optimizer.variables:
        variable.assign(tf.zeros(variable.shape, variable.dtype))
    optimizer.learning_rate = spec.learning_rate
    if isinstance(optimizer, FusedSGD):
        optimizer.set_momentum(float(spec.momentum))
