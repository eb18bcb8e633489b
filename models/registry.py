"""The architectures and optimizers by name, and what is known about them before anything is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from models.errors import ModelError, NotBuildable
from models.spec import ModelSpec, OptimizerSpec


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry.

    Attributes:
        build: `module:function`; the function takes the input tensor and returns the last feature map.
        smallest: Smallest patch side, in pixels, at which the network both builds and runs.
        head: Widths of the dense ReLU layers unless the model's spec names others.
    """

    build: str
    smallest: int
    head: tuple[int, ...]


# ResNets pad before every pooling, so that stock Keras builds and runs them even on one pixel. DenseNet pads
# its first two halvings only: its third 2x2 average pool then needs 2 pixels, a patch of 29 (tried with Keras
# 3.15: 28 does not build). The small CNN pads everywhere.
ARCHITECTURES: dict[str, Architecture] = {
    "resnet50": Architecture("models.backbones:resnet50", smallest=1, head=(256, 128)),
    "resnet152": Architecture("models.backbones:resnet152", smallest=1, head=(256, 128)),
    "densenet201": Architecture("models.backbones:densenet201", smallest=29, head=(256, 128)),
    "small_cnn": Architecture("models.small_cnn:small_cnn", smallest=1, head=(32,)),
}

OPTIMIZERS = ("adam", "amsgrad", "sgd")


def smallest_side(name: str) -> int:
    """Smallest patch side, in pixels, that an architecture takes.

    Raises:
        ModelError: No architecture has that name.
    """
    return architecture(name).smallest


def architecture(name: str) -> Architecture:
    """The registry's entry for a name.

    Raises:
        ModelError: No architecture has that name.
    """
    if name not in ARCHITECTURES:
        raise ModelError(_unknown("architecture", name, ARCHITECTURES))
    return ARCHITECTURES[name]


def check(spec: ModelSpec) -> ModelSpec:
    """Refuse what cannot be built; otherwise the same spec with its head spelt out.

    Raises:
        ModelError: No architecture has that name.
        NotBuildable: The patch is smaller than the architecture takes.
    """
    entry = architecture(spec.architecture)
    side = min(spec.input_shape[:2])
    if side < entry.smallest:
        raise NotBuildable(
            f"architecture '{spec.architecture}' needs patches of at least {entry.smallest} pixels "
            f"(patch_radius >= {entry.smallest // 2}), but got {side}"
        )
    return replace(spec, head=entry.head if spec.head is None else spec.head)


def check_optimizer(spec: OptimizerSpec) -> OptimizerSpec:
    """Refuse an unknown optimizer, and a momentum that the optimizer would not use.

    Raises:
        ModelError: The name is unknown, or the momentum has no effect.
    """
    if spec.name not in OPTIMIZERS:
        raise ModelError(_unknown("optimizer", spec.name, OPTIMIZERS))
    if spec.momentum and spec.name != "sgd":
        raise ModelError(
            f"optimizer '{spec.name}' takes no momentum, but got {spec.momentum}; only 'sgd' does"
        )
    return spec


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{what}: a known name is needed, but got '{name}'. {hint}Known: {', '.join(names)}"
