"""Compiled networks that stay warm from fold to fold and trial to trial, as far as memory allows."""

from __future__ import annotations

import gc
import math

import keras
import tensorflow as tf

from models.compiled import CompiledModel, errors_named
from models.optimizers import structure_of
from models.runtime import resident_mb
from models.spec import ComputeSpec, ModelSpec, OptimizerSpec

KEPT_ON_GPU = 2

Structure = tuple[str, int, tuple[int, ...] | None, tuple[str, bool]]


class WarmNetworks:
    """Keeps the compiled networks of the structures used last.

    A structure is what a compiled step depends on: architecture, channels, head, which convolutions see one
    pixel alone, the optimizer's name, and whether it has momentum. Learning rate, batch size, seed, and
    within these limits the patch radius, compile nothing.

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

    def ready(self, model: ModelSpec, optimizer: OptimizerSpec, seed: int) -> CompiledModel:
        """A network of that structure, its weights and its optimizer as newly built under the seed.

        Raises:
            NotBuildable: The network does not take patches of this size.
            OutOfMemory: The device or machine has too little memory.
        """
        with errors_named():
            compiled = self._found(model, optimizer) or self._made(model, optimizer)
            compiled.reset(optimizer, seed)
        return compiled

    def release(self, model: ModelSpec, optimizer: OptimizerSpec) -> bool:
        """Drop every network; whether others were kept than one for this model and optimizer."""
        had_others = not all(_fits(kept, model, optimizer) for kept in self._kept)
        self._kept.clear()
        _forget()
        return had_others

    def _found(self, model: ModelSpec, optimizer: OptimizerSpec) -> CompiledModel | None:
        for place, kept in enumerate(self._kept):
            if _fits(kept, model, optimizer):
                self._kept.append(self._kept.pop(place))
                return kept[1]
        return None

    def _made(self, model: ModelSpec, optimizer: OptimizerSpec) -> CompiledModel:
        while self._is_full():
            del self._kept[0]
            _forget()
        compiled = CompiledModel(model, optimizer, self._compute.xla)
        self._kept.append((_structure(model, optimizer), compiled))
        return compiled

    def _is_full(self) -> bool:
        """Of a GPU's memory only its own networks are known, not how much other slots want: few are kept."""
        on_gpu = bool(tf.config.list_physical_devices("GPU")) and len(self._kept) >= KEPT_ON_GPU
        return bool(self._kept) and (on_gpu or resident_mb() > self._memory_mb)


def _structure(model: ModelSpec, optimizer: OptimizerSpec) -> Structure:
    return model.architecture, model.input_shape[2], model.head, structure_of(optimizer)


def _fits(kept: tuple[Structure, CompiledModel], model: ModelSpec, optimizer: OptimizerSpec) -> bool:
    structure, compiled = kept
    return structure == _structure(model, optimizer) and compiled.takes(model.input_shape[:2])


def _forget() -> None:
    """Free dropped models: Keras's registries hold on to them, and clearing those forgets the precision."""
    policy = keras.config.dtype_policy()
    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy(policy)
    gc.collect()
