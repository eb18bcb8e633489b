from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest

from search.booking import book_fold, book_settings
from search.cli import Terminated
from search.records import FoldResult, TrialConfig
from search.refits import forecast as module
from search.refits.forecast import fits_counted, forecast, pace_of, seconds_of


def test_the_pace_is_the_mean_of_an_architectures_folds(
    empty_study: optuna.Study, make_fold: Callable[..., FoldResult]
) -> None:
    for name, seconds in (("roi_means", 1.0), ("roi_means", 3.0), ("location", 0.5)):
        trial = empty_study.ask()
        book_settings(trial, {"architecture": name})
        book_fold(trial, make_fold(seconds=seconds))
    pace = pace_of(empty_study)
    assert pace == {"roi_means": 2.0, "location": 0.5}
    configs = [TrialConfig({"architecture": name}, 0) for name in ("roi_means", "location", "constant")]
    assert seconds_of(configs, pace) == 1.25  # of those that were timed
    assert seconds_of(configs[2:], pace) is None


@pytest.mark.parametrize(
    ("seconds", "workers", "told"),
    [
        (None, 1, "200 fits, with 1 process"),
        (1.0, 2, "200 fits; training alone takes about 2 min with 2 processes"),
        (0.1, 1, "200 fits; training alone takes about 20 s with 1 process"),
    ],
)
def test_what_is_to_come_is_told(seconds: float | None, workers: int, told: str) -> None:
    assert forecast(200, 0, seconds, workers) == told


def test_without_a_terminal_a_line_from_time_to_time_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock: dict[str, float] = {"now": 0.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: clock["now"])
    with fits_counted("fits:") as progress:
        for done, now in ((100, 0.0), (110, 10.0), (140, 40.0), (150, 50.0)):
            clock["now"] = now
            progress(done, 200)
    assert capsys.readouterr().err == "fits: 140 of 200, about 60 s left\n"


@pytest.mark.parametrize("how", [KeyboardInterrupt, Terminated])
def test_who_stops_it_is_told_that_nothing_finished_is_lost(
    how: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(how), fits_counted("fits:"):
        raise how
    told = "stopped; what is finished is kept, and the same command goes on there\n"
    assert capsys.readouterr().err == told
