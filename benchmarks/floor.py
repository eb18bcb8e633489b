"""The floor of a training step on this machine: its arithmetic, the bytes it must move, and what we take.

Arithmetic: two operations a weight and output position it reaches, once forward, and backward once for the
weights and once for the inputs (which the first layer does not need). Kernel taps that see padding alone are
left out, and their weights too. Bytes: weights are read forward and backward, their gradients written, then
come the optimizer's reads and writes, 4 bytes each; activations, which may fit the caches, are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any

from models.device import child_environment, thread_counts
from search.placement import cores

THREADS = cores()
BATCH, CHANNELS, SAMPLES = 9, 9, 120
# Reads and writes of each weight: forward, backward and its gradient; then the update reads gradient, weight
# and slots (SGD's with momentum), and writes weight and slots.
PASSES = {"adam": 3 + 4 + 3, "amsgrad": 3 + 5 + 4, "sgd": 3 + 3 + 2}
SIDE, MEBIBYTES, REPEATS, EPOCHS = 2048, 256, 7, 6


@dataclass(frozen=True)
class Work:
    """What one training step of a batch needs at least."""

    operations: float
    bytes: float


def main() -> None:
    options = parse()
    # Before numpy and TensorFlow start their threads; TensorFlow's as in a slot that has all cores.
    within, beside = thread_counts(THREADS, 1)
    os.environ |= child_environment(within, None, beside) | {"OPENBLAS_NUM_THREADS": str(THREADS)}
    shape = (2 * options.radius + 1, 2 * options.radius + 1, CHANNELS)
    flops, bandwidth = matmul_rate(), copy_rate()
    work = needed(options.architecture, options.optimizer, shape)
    step = measured_step(options.architecture, options.optimizer, shape)
    compute, move = work.operations / flops, work.bytes / bandwidth
    together, apart = max(compute, move), compute + move
    print(f"floor: {options.architecture} {shape}, {options.optimizer}, batch {BATCH}, {THREADS} threads")
    print(f"  machine: float32 matrix product {flops / 1e9:.0f} GFLOP/s, copy {bandwidth / 1e9:.1f} GB/s")
    print(f"  arithmetic {work.operations / 1e9:.2f} GFLOP: {compute * 1e3:.1f} ms")
    print(f"  weights and slots {work.bytes / 1e6:.0f} MB: {move * 1e3:.1f} ms")
    print(f"  floor: {together * 1e3:.1f} ms if the two overlap, {apart * 1e3:.1f} ms one after the other")
    print(f"  our step: {step * 1e3:.1f} ms, {step / together:.1f} and {step / apart:.1f} times the floor")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", nargs="?", default="resnet50")
    parser.add_argument("optimizer", nargs="?", choices=sorted(PASSES), default="adam")
    parser.add_argument("--radius", type=int, default=8)
    return parser.parse_args()


def matmul_rate() -> float:
    """Float operations a second of numpy's product of two square float32 matrices, the best of several."""
    import numpy as np

    a, b = np.ones((2, SIDE, SIDE), np.float32)
    return 2 * SIDE**3 / best(lambda: a @ b)


def copy_rate() -> float:
    """Bytes a second, read and written, of large copies in all threads, the best of several."""
    import numpy as np

    count = MEBIBYTES * 2**20 // 4
    source, target = np.ones(count, np.float32), np.zeros(count, np.float32)
    parts = np.array_split(np.arange(count), THREADS)
    slices = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
    with ThreadPoolExecutor(THREADS) as pool:
        return (
            2
            * source.nbytes
            / best(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), slices)))
        )


def best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def needed(architecture: str, optimizer: str, shape: tuple[int, int, int]) -> Work:
    """The arithmetic and the bytes of one step, layer by layer of the Keras model."""
    from rivals.keras_networks import network

    operations, weights, first = 0.0, 0.0, True
    for layer in network(architecture, shape).layers:
        products, reached = layer_work(layer)
        operations += 2 * BATCH * products * (2 if first and products else 3)
        first = first and not products
        weights += reached
    return Work(operations, 4 * PASSES[optimizer] * weights)


def layer_work(layer: Any) -> tuple[float, float]:
    """Products of weight and input for one sample, and how many trainable weights a gradient reaches."""
    weights = sum(prod(variable.shape) for variable in layer.trainable_variables)
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0.0, weights
    if len(kernel.shape) == 2:
        return prod(kernel.shape), weights
    pairs, seen = zip(*(taps(layer, axis) for axis in (0, 1)), strict=True)
    channels = kernel.shape[2] * kernel.shape[3]
    unseen = (prod(kernel.shape[:2]) - prod(seen)) * channels
    return prod(pairs) * channels, weights - unseen


def taps(layer: Any, axis: int) -> tuple[int, int]:
    """Along one axis: pairs of output position and tap that meet the map, and taps that ever do."""
    size, out = layer.input.shape[1 + axis], layer.output.shape[1 + axis]
    width, stride = layer.kernel.shape[axis], layer.strides[axis]
    before = max((out - 1) * stride + width - size, 0) // 2 if layer.padding == "same" else 0
    met = [[0 <= o * stride - before + tap < size for tap in range(width)] for o in range(out)]
    return sum(map(sum, met)), sum(map(any, zip(*met, strict=True)))


def measured_step(architecture: str, optimizer: str, shape: tuple[int, int, int]) -> float:
    """Seconds of one of our steps, warm: from epoch to epoch, the median."""
    import numpy as np

    from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
    from models.training import Samples, Trainer

    random = np.random.default_rng(0)
    count = SAMPLES // BATCH * BATCH
    samples = Samples(
        random.normal(size=(count, *shape)).astype(np.float32),
        random.integers(0, 2, count).astype(np.float32),
    )
    ends: list[float] = []
    spec = OptimizerSpec(optimizer, 1e-3, 0.9 if optimizer == "sgd" else 0.0)
    Trainer().fit(
        ModelSpec(architecture, shape),
        spec,
        TrainingSpec(EPOCHS, BATCH, 0),
        samples,
        None,
        on_epoch=lambda _: ends.append(time.perf_counter()),
    )
    return statistics.median(np.diff(ends)) / (count // BATCH)


if __name__ == "__main__":
    main()
