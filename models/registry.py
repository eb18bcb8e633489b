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
        is_deep: Whether it is made for large images: it takes other stems, and weights from elsewhere.
    """

    build: str
    smallest: int
    head: tuple[int, ...]
    is_deep: bool = False


# ResNets pad before every pooling, so that stock Keras builds and runs them even on one pixel. DenseNet pads
# its first two halvings only: its third 2x2 average pool then needs 2 pixels, a patch of 29 (tried with Keras
# 3.15: 28 does not build). The small CNN pads everywhere.
ARCHITECTURES: dict[str, Architecture] = {
    "resnet50": Architecture("models.backbones:resnet50", smallest=1, head=(256, 128), is_deep=True),
    "resnet152": Architecture("models.backbones:resnet152", smallest=1, head=(256, 128), is_deep=True),
    "densenet201": Architecture("models.backbones:densenet201", smallest=29, head=(256, 128), is_deep=True),
    "small_cnn": Architecture("models.small_cnn:small_cnn", smallest=1, head=(32,)),
}


@dataclass(frozen=True)
class Baseline:
    """A shallow model of the registry.

    Attributes:
        features: What it reads: "none", "location", "missingness", "roi_means" or "texture".
        model: What is fitted on them: see `models.spec.BaselineSpec`.
    """

    features: str
    model: str


BASELINES: dict[str, Baseline] = {
    "constant": Baseline("none", "constant"),
    "location": Baseline("location", "logistic"),
    "missingness": Baseline("missingness", "logistic"),
    "roi_means": Baseline("roi_means", "logistic"),
    "texture_logistic": Baseline("texture", "logistic"),
    "texture_svm": Baseline("texture", "svm"),
    "texture_forest": Baseline("texture", "forest"),
    "texture_gp": Baseline("texture", "gp"),
}

OPTIMIZERS = ("adam", "amsgrad", "sgd")


def smallest_side(name: str, stem: str = "paper", resize_to: int | None = None) -> int:
    """Smallest patch side, in pixels, that an architecture takes behind a stem.

    Raises:
        ModelError: No architecture has that name.
        NotBuildable: The architecture takes only its own stem, or is too deep for the side resized to.

    >>> smallest_side("densenet201"), smallest_side("densenet201", "small")
    (29, 1)
    """
    entry = architecture(name)
    if stem == "paper":
        return entry.smallest
    if not entry.is_deep:
        raise NotBuildable(f"architecture '{name}' has no stem to choose, but got '{stem}'")
    if resize_to is not None and resize_to < entry.smallest:
        raise NotBuildable(f"architecture '{name}' needs resize_to >= {entry.smallest}, but got {resize_to}")
    return 1


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

    An architecture that is not of the registry is known only once it is called: its spec comes back as it is.

    Raises:
        ModelError: No architecture has that name, or it takes no weights from elsewhere.
        NotBuildable: The patch is smaller than the architecture takes, or it has no such stem.
    """
    if spec.custom is not None:
        _check_custom(spec)
        return spec
    entry = architecture(spec.architecture)
    if spec.transfer is not None and not entry.is_deep:
        deep = ", ".join(sorted(name for name, entry in ARCHITECTURES.items() if entry.is_deep))
        raise ModelError(
            f"architecture '{spec.architecture}' takes no weights from elsewhere, but got "
            f"'{spec.transfer.weights}'; {deep} do"
        )
    side, smallest = min(spec.input_shape[:2]), smallest_side(spec.architecture, spec.stem, spec.resize_to)
    if side < smallest:
        raise NotBuildable(
            f"architecture '{spec.architecture}' needs patches of at least {smallest} pixels "
            f"(patch_radius >= {smallest // 2}), but got {side}; behind the stems 'small' and 'resize' it "
            f"takes any"
        )
    return replace(spec, head=entry.head if spec.head is None else spec.head)


def _check_custom(spec: ModelSpec) -> None:
    if spec.stem != "paper":
        raise NotBuildable(f"architecture '{spec.architecture}' has no stem to choose, but got '{spec.stem}'")
    if spec.transfer is not None:
        raise ModelError(
            f"architecture '{spec.architecture}' takes no weights from elsewhere, but got "
            f"'{spec.transfer.weights}': it may load its own"
        )
    if spec.outputs > 1 and spec.custom is not None and spec.custom.kind == "hypermodel":
        raise ModelError(
            f"architecture '{spec.architecture}': multi-label heads need an architecture with K outputs, but "
            f"a hypermodel has one and {spec.outputs} are wanted; those of the registry, and a function with "
            f"a parameter 'outputs', can have them"
        )


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
