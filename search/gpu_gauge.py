"""How busy a slot's own GPU is while folds run: read now and then, and never a reason to fail a trial.

MLflow's own monitor logs every GPU of the machine (mlflow#13398); a slot reads the one that it was given.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import fmean

from models.nvidia_smi import GpuReading, read_gpu
from search.records import FoldResult

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0  # as often as MLflow's own monitor

Tell = Callable[[GpuReading], None]


class Watch:
    """What a GPU told while one fold ran.

    Args:
        tell: Called with each reading, from the gauge's thread.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._readings: list[GpuReading] = []

    def take(self, reading: GpuReading) -> None:
        """Keep a reading and pass it on."""
        self._readings.append(reading)
        self._tell(reading)

    def noted(self, fold: FoldResult) -> FoldResult:
        """The fold with what was read of its GPU: the mean utilisation, the largest use of memory."""
        busy = [reading.utilization for reading in self._readings if reading.utilization is not None]
        used = [reading.memory_mb for reading in self._readings if reading.memory_mb is not None]
        told = {"gpu_utilization_mean": fmean(busy)} if busy else {}
        return replace(fold, gpu={**told, "gpu_memory_peak_mb": max(used)} if used else told)


class Gauge:
    """The gauge of a slot without a GPU: it reads nothing.

    Attributes:
        gpu: The GPU that is read; None for none.
    """

    gpu: str | None = None

    @contextmanager
    def during(self, tell: Tell) -> Iterator[Watch]:
        """Read while the block runs.

        Args:
            tell: Called with each reading, from another thread; what it raises is logged and no more.
        """
        yield Watch(tell)

    def close(self) -> None:
        """Read no more."""


NO_GAUGE = Gauge()


class GpuGauge(Gauge):
    """Reads one GPU in a thread of its own.

    The clock runs on between folds, so that short ones are not always read at their start. Each reading is an
    `nvidia-smi` of its own, which ends by itself: one that is left to loop would outlive a killed owner, and
    one that hangs, as after a fault of the GPU, would be noticed by nobody.

    Args:
        gpu: Its UUID.
        read: Asks the driver.
        interval: Seconds between two readings; None for `INTERVAL_SECONDS`.
    """

    def __init__(
        self,
        gpu: str,
        read: Callable[[str], GpuReading | None] = read_gpu,
        interval: float | None = None,
    ) -> None:
        self.gpu: str = gpu
        self._read, self._interval = read, INTERVAL_SECONDS if interval is None else interval
        self._watch: Watch | None = None
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def during(self, tell: Tell) -> Iterator[Watch]:
        """See `Gauge`."""
        watch = Watch(tell)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gpu gauge", daemon=True)
            self._thread.start()
        with self._lock:
            self._watch = watch
        try:
            yield watch
        finally:
            with self._lock:
                self._watch = None

    def close(self) -> None:
        """See `Gauge`; a reading that hangs is not waited for."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            watch = self._watch
            if watch is None:
                continue
            try:
                self._take(watch)
            except Exception:
                logger.debug("GPU %s was not read", self.gpu, exc_info=True)

    def _take(self, watch: Watch) -> None:
        """Read; what comes when the fold has ended meanwhile is dropped."""
        reading = self._read(self.gpu)
        with self._lock:
            if reading is not None and watch is self._watch:
                watch.take(reading)


def gauge_of(gpu: str | None) -> Gauge:
    """The gauge of a slot on this GPU, or on none."""
    return NO_GAUGE if gpu is None else GpuGauge(gpu)
