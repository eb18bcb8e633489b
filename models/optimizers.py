"""Adam, AMSGrad and SGD as Keras optimizers whose update is one fused kernel a weight.

Stock Keras spells Adam out in about fifteen operations a weight, which for ResNet50 costs as much as the
network itself on a small batch. The kernels compute the same formulas and read their settings from variables,
so that one compiled step serves every value of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from models.errors import ModelError
from models.registry import check_optimizer
from models.spec import OptimizerSpec

# Settings of a Keras optimizer, and what the spec calls them; without a value they are not in the step.
_SETTINGS = {"momentum": "momentum", "weight_decay": "weight_decay", "global_clipnorm": "clip_norm"}


class _Adjustable:
    """An optimizer whose settings are variables, and whose weights need not all have the same rate.

    Weights are updated one after another, without asking for a distribution strategy: there is one device.
    Keras asks by a call in which TensorFlow keeps every graph alive that was ever traced through it.
    """

    update_step: Callable[[tf.Tensor, tf.Variable, Any], None]
    learning_rate: Any
    _slow: frozenset[str] | None = None

    def slow_down(self, variables: Iterable[keras.Variable]) -> None:
        """Give these weights a factor of their own on the learning rate; call before `build`."""
        self._slow = frozenset(map(self._var_key, variables))  # type: ignore[attr-defined]

    def build(self, variables: list[Any]) -> None:
        """Make the slots, and the variables that hold the settings; only kernels decay."""
        if self.built:  # type: ignore[attr-defined]
            return
        others = [variable for variable in variables if "kernel" not in variable.name]
        self.exclude_from_weight_decay(var_list=others)  # type: ignore[attr-defined]
        super().build(variables)  # type: ignore[misc]
        settings = {name: getattr(self, name, None) for name in _SETTINGS}
        if self._slow is not None:
            settings["factor"] = 1.0
        self._now = {name: self._setting(name, value) for name, value in settings.items() if value}

    def adopt(self, spec: OptimizerSpec) -> None:
        """Take the values of a spec, in steps that are compiled already too.

        Raises:
            ModelError: A setting would appear or vanish, which needs another step and so another optimizer.
        """
        self.learning_rate = spec.learning_rate
        for name, called in _SETTINGS.items():
            old, new = getattr(self, name, None) or 0.0, float(getattr(spec, called) or 0.0)
            if bool(old) != bool(new):
                raise ModelError(f"{called}: cannot change from {old} to {new} in a built optimizer")
            if new:
                setattr(self, name, new)
                self._now[name].assign(new)
        if self._slow is not None:
            self._now["factor"].assign(spec.transferred_rate)

    def _setting(self, name: str, value: float) -> keras.Variable:
        start = keras.initializers.Constant(value)
        return self.add_variable(shape=(), initializer=start, name=f"{name}_now")  # type: ignore[attr-defined]

    def _rates(self, variables: Iterable[Any]) -> list[Any]:
        """Each weight's own learning rate."""
        rate = self.learning_rate
        if self._slow is None:
            return [rate for _ in variables]
        slower = rate * self._now["factor"]
        key = self._var_key  # type: ignore[attr-defined]
        return [slower if key(variable) in self._slow else rate for variable in variables]

    def _clip_gradients(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        if "global_clipnorm" not in self._now:
            return gradients
        clipped, _ = tf.clip_by_global_norm(gradients, self._now["global_clipnorm"].value)
        return list(clipped)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if "weight_decay" not in self._now:
            return
        for variable, rate in zip(variables, self._rates(variables), strict=True):
            if self._use_weight_decay(variable):  # type: ignore[attr-defined]
                weight = getattr(variable, "value", variable)
                weight.assign_sub(weight * tf.cast(rate * self._now["weight_decay"], weight.dtype))

    def _backend_update_step(self, gradients: list[tf.Tensor], variables: list[Any], _rate: Any) -> None:
        for gradient, variable, rate in zip(gradients, variables, self._rates(variables), strict=True):
            self.update_step(gradient, getattr(variable, "value", variable), rate)


@keras.saving.register_keras_serializable(package="radsearch")
class FusedAdam(_Adjustable, keras.optimizers.Adam):  # type: ignore[misc]  # Keras has no type information
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


class SpeltAdam(_Adjustable, keras.optimizers.Adam):  # type: ignore[misc]  # as above
    """Adam as Keras spells it out, for XLA: it fuses by itself, and has no kernel for AMSGrad."""


@keras.saving.register_keras_serializable(package="radsearch")
class FusedSGD(_Adjustable, keras.optimizers.SGD):  # type: ignore[misc]  # Keras has no type information
    """`keras.optimizers.SGD`, with momentum or without, by fused kernels."""

    momentum: float

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
            momentum=tf.cast(self._now["momentum"].value, dtype),
            use_nesterov=self.nesterov,
        )


def _common(spec: OptimizerSpec) -> dict[str, Any]:
    return {"weight_decay": spec.weight_decay or None, "global_clipnorm": spec.clip_norm}


_MAKERS: dict[str, Callable[[OptimizerSpec], keras.optimizers.Optimizer]] = {
    "adam": lambda spec: FusedAdam(spec.learning_rate, **_common(spec)),
    "amsgrad": lambda spec: FusedAdam(spec.learning_rate, amsgrad=True, **_common(spec)),
    "sgd": lambda spec: FusedSGD(
        spec.learning_rate, momentum=float(spec.momentum), nesterov=spec.nesterov, **_common(spec)
    ),
}


def make_optimizer(spec: OptimizerSpec, xla: bool = False) -> keras.optimizers.Optimizer:
    """A new optimizer, not yet built on any weights; with `xla`, one whose update XLA compiles.

    Raises:
        ModelError: The name is unknown, or the momentum has no effect.
    """
    if check_optimizer(spec).name == "amsgrad" and xla:
        return SpeltAdam(spec.learning_rate, amsgrad=True, **_common(spec))
    return _MAKERS[spec.name](spec)


def structure_of(spec: OptimizerSpec) -> tuple[str | bool, ...]:
    """What of an optimizer a compiled step depends on: its name, and which of its settings are in use."""
    return spec.name, spec.momentum > 0, spec.nesterov, spec.weight_decay > 0, spec.clip_norm is not None


def reset_optimizer(optimizer: keras.optimizers.Optimizer, spec: OptimizerSpec) -> None:
    """Make a built optimizer equal to a new one of the same structure, slots and step counter zero."""
    for variable in optimizer.variables:
        variable.assign(tf.zeros(variable.shape, variable.dtype))
    optimizer.adopt(spec)
