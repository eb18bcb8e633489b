"""Compiled networks that stay warm from fold to fold and trial to trial, as far as memory allows."""

from __future__ import annotations

import gc
import math
from collections.abc import Hashable

import keras
import tensorflow as tf

from models.compiled import CompiledModel, errors_named
from models.memory import resident_mb
from models.optimizers import structure_of
from models.spec import ComputeSpec, ModelSpec, OptimizerSpec

KEPT_ON_GPU = 2

Structure = tuple[Hashable, ...]


class WarmNetworks:
    """Keeps the compiled networks of the structures used last.

    A structure is what a compiled step depends on: architecture, channels, head, stem, outputs, task, which
    convolutions see one pixel alone, which stages a transfer lets train, whether there is dropout, whether
    steps are on single samples, the optimizer's name, and which of its settings are in use. The values of
    these settings, the rate of dropout, the weights transferred, batch size, seed, and within these limits
    the patch radius, compile nothing. A custom network is another one for every size and every value of its
    parameters.

    Args:
        compute: Precision and compiler of every network.
        memory_mb: Resident memory of this process past which the network used longest ago is dropped before
            another is made; one is always kept, and on a GPU at most `KEPT_ON_GPU`.
    """

    def __init__(self, compute: ComputeSpec, memory_mb: float = math.inf) -> None:
        self._compute, self._memory_mb = compute, memory_mb
        self._kept: list[tuple[Structure, CompiledModel]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def ready(
        self, model: ModelSpec, optimizer: OptimizerSpec, seed: int, alone: bool = False
    ) -> CompiledModel:
        """A network of that structure, its weights and its optimizer as newly built under the seed.

        Args:
            model: The network, and the size of its patches.
            optimizer: What updates its weights.
            seed: Decides its weights.
            alone: Whether every step will be on a single sample.

        Raises:
            ModelError: The weights to transfer cannot be had, or do not fit.
            NotBuildable: The network does not take patches of this size.
            OutOfMemory: The device or machine has too little memory.
        """
        with errors_named():
            compiled = self._found(model, optimizer, alone) or self._made(model, optimizer, alone)
            compiled.reset(optimizer, seed, model)
        return compiled

    def release(self, model: ModelSpec, optimizer: OptimizerSpec, alone: bool = False) -> bool:
        """Drop every network; whether others were kept than the one that `ready` gives for the same."""
        had_others = not all(_fits(kept, model, optimizer, alone) for kept in self._kept)
        self._kept.clear()
        _forget()
        return had_others

    def _found(self, model: ModelSpec, optimizer: OptimizerSpec, alone: bool) -> CompiledModel | None:
        for place, kept in enumerate(self._kept):
            if _fits(kept, model, optimizer, alone):
                self._kept.append(self._kept.pop(place))
                return kept[1]
        return None

    def _made(self, model: ModelSpec, optimizer: OptimizerSpec, alone: bool) -> CompiledModel:
        while self._is_full():
            del self._kept[0]
            _forget()
        compiled = CompiledModel(model, optimizer, self._compute.xla, alone)
        self._kept.append((_structure(model, optimizer, alone), compiled))
        return compiled

    def _is_full(self) -> bool:
        """Of a GPU's memory only its own networks are known, not how much other slots want: few are kept."""
        on_gpu = bool(tf.config.list_physical_devices("GPU")) and len(self._kept) >= KEPT_ON_GPU
        return bool(self._kept) and (on_gpu or resident_mb() > self._memory_mb)


def _structure(model: ModelSpec, optimizer: OptimizerSpec, alone: bool) -> Structure:
    """Everything of a spec that a compiled step depends on, but for what the patch size decides."""
    return (
        model.architecture,
        model.input_shape[2],
        model.head,
        model.stem,
        model.resize_to,
        None if model.transfer is None else model.transfer.trainable_stages,
        model.custom,
        model.dropout > 0,
        model.outputs,
        model.task,
        structure_of(optimizer),
        alone,
    )


def _fits(
    kept: tuple[Structure, CompiledModel], model: ModelSpec, optimizer: OptimizerSpec, alone: bool
) -> bool:
    structure, compiled = kept
    return structure == _structure(model, optimizer, alone) and compiled.takes(model.input_shape[:2])


def _forget() -> None:
    """Free dropped models: Keras's registries hold on to them, and clearing those forgets the precision."""
    policy = keras.config.dtype_policy()
    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy(policy)
    gc.collect()
