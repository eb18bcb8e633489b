"""Weights from elsewhere: which layers take them, how channels are matched, and what stays frozen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np

from models.backbones import APPLICATIONS
from models.errors import ModelError
from models.samples import FloatArray
from models.spec import STAGES, ModelSpec
from models.stems import REPLACED
from models.weight_files import Weights, read_weights

IMAGENET = "imagenet"

# How `keras.applications` names the file that it publishes for a network without its top, and with it.
PUBLISHED = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
WITH_TOP = "{}_weights_tf_dim_ordering_tf_kernels.h5"

# The published ResNets saw grey values from 0 to 255 (blue, green, red) less their mean, the DenseNets also
# divided by their deviation, as patches are: see `keras.applications.imagenet_utils.preprocess_input`.
_GREY_DEVIATION = 255 * np.array((0.225, 0.224, 0.229), np.float32)
_UNDIVIDED = ("resnet50", "resnet152")

_FIRST = ("conv1_conv", "stem_conv")
_STEM = frozenset(REPLACED.values())
_STAGE = re.compile(r"(?:conv|pool)([1-5])(?:_|$)")
_SHOWN = 3  # problems of a file that an error spells out


def stage_of(layer: str) -> int | None:
    """The stage of a layer of a deep network, 0 to `STAGES` - 1, by its name; None if it is in no stage.

    >>> stage_of("conv1_conv"), stage_of("pool4_bn"), stage_of("conv5_block3_out"), stage_of("dense1")
    (0, 3, 4, None)
    """
    if layer in _STEM:
        return 0
    if layer in ("bn", "relu"):  # DenseNet's last, behind conv5
        return STAGES - 1
    match = _STAGE.match(layer)
    return int(match[1]) - 1 if match else None


def freeze(model: keras.Model, trainable_stages: int) -> None:
    """Let the last stages of a deep network train and no others.

    What is not transferred always trains: the head, and a stem put in place of the stock one. A frozen batch
    normalisation uses its moving statistics in training too.
    """
    for layer in _transferable(model):
        layer.trainable = (stage_of(layer.name) or 0) >= STAGES - trainable_stages


def transferred(model: keras.Model) -> list[keras.Variable]:
    """The variables that a transfer fills: neither those of the head nor those of a replaced stem."""
    return [variable for layer in _transferable(model) for variable in layer.variables]


def transfer(model: keras.Model, spec: ModelSpec) -> None:
    """Put the weights of `spec.transfer` into a network; without a transfer, do nothing.

    Layers are found by name. A replaced stem takes the file's own if that has one, and is else left alone.

    Raises:
        ModelError: There are no such weights, or they are those of another network.
    """
    if spec.transfer is None:
        return
    source = load_source(spec)
    layers = {layer.name: layer for layer in model.layers if stage_of(layer.name) is not None}
    values = {
        name: _matched(name, arrays, spec.input_shape[2]) for name, arrays in source.items() if name in layers
    }
    problems = _problems(layers, source, values)
    if problems:
        line = "; ".join(problems)
        raise ModelError(f"weights: '{spec.transfer.weights}' does not fit {spec.architecture}: {line}")
    for name, arrays in values.items():
        for variable, array in zip(layers[name].variables, arrays, strict=True):
            variable.assign(array)


def load_source(spec: ModelSpec) -> Weights:
    """The weights that a spec with a transfer asks for, by layer name; those asked for last stay in memory.

    The first kernel of the weights that `keras.applications` publishes is brought to inputs in units of their
    standard deviation, which patches are, where it was made for grey values. A published file is known by its
    name: under another one it counts as made for standardised inputs.

    Raises:
        ModelError: The weights cannot be fetched, or the file is no weights file.
    """
    if spec.transfer is None:
        raise ModelError("weights: a transfer is needed, but the model has none")
    name = spec.transfer.weights
    path = Path(name).expanduser()
    changed = path.stat().st_mtime_ns if name != IMAGENET and path.is_file() else 0
    return _loaded(name, spec.architecture, changed)


@lru_cache(maxsize=1)
def _loaded(name: str, network: str, _changed: int) -> Weights:
    weights = _fetched(network) if name == IMAGENET else read_weights(Path(name).expanduser())
    published = {PUBLISHED.format(network), WITH_TOP.format(network)}
    is_published = name == IMAGENET or Path(name).name in published
    if not is_published or network not in _UNDIVIDED or _FIRST[0] not in weights:
        return weights
    kernel, *rest = weights[_FIRST[0]]
    return {**weights, _FIRST[0]: (kernel * _GREY_DEVIATION[:, None], *rest)}


def _fetched(network: str) -> Weights:
    try:
        model = APPLICATIONS[network](weights=IMAGENET, include_top=False, input_shape=(None, None, 3))
    except Exception as error:  # Keras raises Exception itself when a download fails
        reason = " ".join(str(error).split())
        raise ModelError(
            f"weights: 'imagenet' could not be fetched for {network} ({reason}); "
            f"give the path of the file {PUBLISHED.format(network)} instead"
        ) from error
    return {layer.name: tuple(layer.get_weights()) for layer in model.layers if layer.variables}


def to_channels(kernel: FloatArray, channels: int) -> FloatArray:
    """A convolution's kernel for another number of channels, with the same response to equal channels.

    Channel c takes the kernel of channel c mod S of the S there are, divided by how many channels take it.
    Fewer channels than S each take an equal share of the sum.

    Args:
        kernel: Weights (h, w, S, filters).
        channels: How many channels are wanted.

    Returns:
        Weights (h, w, channels, filters).
    """
    sources = kernel.shape[2]
    if channels < sources:
        return np.repeat(kernel.sum(axis=2, keepdims=True) / np.float32(channels), channels, axis=2)
    taken = np.arange(channels) % sources
    shares = np.bincount(taken)[taken].astype(np.float32)
    return np.asarray(kernel[:, :, taken] / shares[:, None])


def _matched(name: str, arrays: Sequence[FloatArray], channels: int) -> tuple[FloatArray, ...]:
    if name in _FIRST and arrays[0].ndim == 4:
        return to_channels(arrays[0], channels), *arrays[1:]
    return tuple(arrays)


def _transferable(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if stage_of(layer.name) is not None and layer.name not in _STEM]


def _problems(layers: dict[str, keras.layers.Layer], source: Weights, values: Weights) -> list[str]:
    """In what a file differs from a network, at most a line for each kind."""
    wanted = {name for name, layer in layers.items() if layer.variables}
    missing = sorted(wanted - _STEM - set(source))
    stock_stem = {name for name in source if stage_of(name) == 0}
    foreign = sorted({name for name in source if stage_of(name) is not None} - set(layers) - stock_stem)
    shapes = {
        name: ([tuple(variable.shape) for variable in layers[name].variables], [a.shape for a in arrays])
        for name, arrays in values.items()
    }
    differing = [
        f"layer '{name}' needs {_listed(map(str, need))}, but got {_listed(map(str, got))}"
        for name, (need, got) in shapes.items()
        if need != got
    ]
    problems = [f"it lacks the layers {_listed(missing)}"] if missing else []
    problems += [f"it has layers of another network, {_listed(foreign)}"] if foreign else []
    return problems + ([_listed(differing, "; ")] if differing else [])


def _listed(names: Iterable[str], separator: str = ", ") -> str:
    every = list(names)
    more = f"{separator}and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return separator.join(every[:_SHOWN]) + more
