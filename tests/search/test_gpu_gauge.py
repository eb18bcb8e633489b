from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from models.nvidia_smi import GpuReading
from search.gpu_gauge import GpuGauge, gauge_of
from search.records import FoldResult

GPU = "GPU-5d5ba0d6"
SECONDS = 30  # more than anything here takes


class Driver:
    """Answers with one reading after the other, the last for good; an error is raised."""

    def __init__(self, *answers: GpuReading | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, gpu: str) -> GpuReading | None:
        self.asked.append(gpu)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Heard:
    """Notes readings; `wait` returns when there are so many."""

    def __init__(self) -> None:
        self.readings: list[GpuReading] = []
        self._changed = threading.Condition()

    def __call__(self, reading: GpuReading) -> None:
        with self._changed:
            self.readings.append(reading)
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.readings) >= count, SECONDS)


@pytest.fixture
def gauge_on() -> Iterator[Callable[[Callable[[str], GpuReading | None]], GpuGauge]]:
    gauges: list[GpuGauge] = []

    def make(driver: Callable[[str], GpuReading | None]) -> GpuGauge:
        gauges.append(GpuGauge(GPU, driver, interval=0.001))
        return gauges[-1]

    yield make
    for gauge in gauges:
        gauge.close()


def test_a_fold_is_noted_with_the_mean_utilisation_and_the_most_memory(
    gauge_on: Callable[..., GpuGauge], make_fold: Callable[..., FoldResult]
) -> None:
    told = [GpuReading(20.0, 500.0, 900.0), GpuReading(None, 700.0, 900.0), GpuReading(60.0, 600.0, 900.0)]
    driver, heard = Driver(*told, None), Heard()
    with gauge_on(driver).during(heard) as watch:
        heard.wait(3)
    assert heard.readings == told
    assert set(driver.asked) == {GPU}
    assert watch.noted(make_fold()).gpu == {"gpu_utilization_mean": 40.0, "gpu_memory_peak_mb": 700.0}


@pytest.mark.parametrize(
    ("reading", "noted"),
    [
        (GpuReading(None, 5.0, 9.0), {"gpu_memory_peak_mb": 5.0}),  # a MIG slice
        (GpuReading(7.0, None, None), {"gpu_utilization_mean": 7.0}),
        (GpuReading(None, None, None), {}),
    ],
)
def test_what_a_gpu_does_not_tell_is_not_noted(
    gauge_on: Callable[..., GpuGauge],
    make_fold: Callable[..., FoldResult],
    reading: GpuReading,
    noted: dict[str, float],
) -> None:
    heard = Heard()
    with gauge_on(Driver(reading)).during(heard) as watch:
        heard.wait(1)
    assert watch.noted(make_fold()).gpu == noted


def test_readings_that_fail_or_cannot_be_passed_on_disturb_nobody(gauge_on: Callable[..., GpuGauge]) -> None:
    good, heard = GpuReading(1.0, 2.0, 3.0), Heard()
    driver = Driver(OSError("no nvidia-smi"), None, ValueError("what?"), good)

    def refuse_the_first(reading: GpuReading) -> None:
        heard(reading)
        if len(heard.readings) == 1:
            raise ValueError("an event must come before the end")

    with gauge_on(driver).during(refuse_the_first):
        heard.wait(3)
    assert set(heard.readings) == {good}


def test_a_fold_keeps_what_was_read_while_it_ran_and_no_more(
    gauge_on: Callable[..., GpuGauge], make_fold: Callable[..., FoldResult]
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(_: str) -> GpuReading:
        asked.set()
        assert answer.wait(SECONDS)
        return GpuReading(99.0, 99.0, 99.0)

    gauge, heard = gauge_on(slow), Heard()
    with gauge.during(heard) as first:
        assert asked.wait(SECONDS)
    later = Heard()
    with gauge.during(later) as second:
        answer.set()  # what was asked for in the first fold comes in the second
        later.wait(1)
    assert heard.readings == []
    assert first.noted(make_fold()).gpu == {}
    assert second.noted(make_fold()).gpu["gpu_utilization_mean"] == 99.0


def test_a_fold_that_fails_ends_the_reading_too(gauge_on: Callable[..., GpuGauge]) -> None:
    gauge, heard, other = gauge_on(Driver(GpuReading(1.0, 2.0, 3.0))), Heard(), Heard()

    def fail() -> None:
        with gauge.during(heard):
            heard.wait(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    before = len(heard.readings)
    with gauge.during(other):
        other.wait(2)
    assert len(heard.readings) == before


def test_a_closed_gauge_ends_its_thread(gauge_on: Callable[..., GpuGauge]) -> None:
    gauge, heard = gauge_on(Driver(GpuReading(1.0, 2.0, 3.0))), Heard()
    with gauge.during(heard):
        heard.wait(1)
    thread = gauge._thread
    gauge.close()
    assert thread is not None
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert thread.daemon  # a driver that hangs keeps nobody from ending


def test_a_slot_without_a_gpu_starts_no_thread_and_notes_nothing(
    make_fold: Callable[..., FoldResult],
) -> None:
    gauge, threads = gauge_of(None), threading.active_count()
    with gauge.during(lambda reading: None) as watch:
        assert threading.active_count() == threads
    gauge.close()
    assert (gauge.gpu, watch.noted(make_fold()).gpu) == (None, {})


def test_a_slot_with_a_gpu_reads_that_one() -> None:
    assert gauge_of(GPU).gpu == GPU
