from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.live import Board, LiveTable, PlainLines, Row, clock, render

SETTINGS = {
    "architecture": "resnet50",
    "optimizer": "amsgrad",
    "learning_rate": 0.00123,
    "batch_size": 9,
    "patch_radius": 8,
}


def screen(board: Board, now: float) -> str:
    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(render(board, now))
    return capture.get()


def test_the_table_shows_a_running_trial() -> None:
    board = Board(name="quick", asked=5, done=1, best=0.71, folds_here=3, started=0.0)
    board.rows = {3: Row(3, SETTINGS, splits=5, fold=2, epoch="4/50", value=0.612)}
    text = screen(board, now=60.0)
    for shown in ("resnet50", "amsgrad", "1.2e-03", "2/5", "4/50", "0.612", "best 0.710", "1 of 5 trials"):
        assert shown in text


def test_the_time_left_follows_the_pace_of_this_runs_folds() -> None:
    board = Board(name="s", asked=3, done=1, folds_here=4, started=0.0)
    board.rows = {1: Row(1, SETTINGS, splits=5, fold=2)}
    assert board.seconds_left(now=40.0) == pytest.approx(10.0 * (3 + 5))


def test_nothing_is_promised_before_the_first_fold() -> None:
    assert Board(name="s", asked=3).seconds_left(1.0) is None


@pytest.mark.parametrize(("minimize", "best"), [(False, 0.8), (True, 0.6)])
def test_the_best_value_follows_the_metrics_direction(minimize: bool, best: float) -> None:
    board = Board(minimize=minimize)
    for value in (0.7, 0.8, None, 0.6):
        board.improve(value)
    assert board.best == best


def drive(listener: LiveTable | PlainLines) -> None:
    listener.preparing(1, 2)
    listener.study_opened("quick", 2, 0, None)
    listener.trial_started(0, SETTINGS, 3, 1)
    listener.fold_started(0, 1)
    listener.epoch(0, 2, 4, 0.69)
    listener.fold_done(0, 1, 0.55)
    listener.trial_ended(0, "complete", 0.6, "")
    listener.trial_started(1, SETTINGS, 3, 0)
    listener.trial_ended(1, "failed", None, "the loss is not finite")
    listener.note("the time limit is reached")


def test_the_live_table_ends_with_how_trials_ended() -> None:
    console = Console(width=110, file=io.StringIO(), force_terminal=True)
    with LiveTable(console) as listener:
        drive(listener)
    text = screen(listener.board, listener.board.started)
    for shown in (
        "complete",
        "failed",
        "trial 1: failed: the loss is not finite",
        "the time limit is reached",
    ):
        assert shown in text
    assert (listener.board.done, listener.board.best) == (2, 0.6)


def test_of_many_trials_those_are_kept_that_are_shown_the_last_finished_and_all_that_run() -> None:
    with LiveTable(Console(file=io.StringIO())) as listener:
        listener.study_opened("s", 99, 0, None)
        for number in range(30):
            listener.trial_started(number, SETTINGS, 3, 0)
            if number not in (2, 17):
                listener.trial_ended(number, "complete", 0.5, "")
    shown = [line.split()[0] for line in screen(listener.board, 0.0).splitlines() if "resnet50" in line]
    assert shown == [*map(str, range(22, 30)), "2", "17"]
    assert len(listener.board.rows) == 10
    assert listener.board.done == 28


def test_an_interrupted_trial_is_not_counted_as_done() -> None:
    with LiveTable(Console(file=io.StringIO())) as listener:
        listener.study_opened("s", 2, 0, None)
        listener.trial_started(0, SETTINGS, 3, 0)
        listener.trial_ended(0, "interrupted", None, "the study was stopped")
    assert listener.board.done == 0


def test_plain_lines_tell_the_same_story_without_control_characters() -> None:
    stream = io.StringIO()
    with PlainLines(stream) as listener:
        drive(listener)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "trial 0 starts: architecture=resnet50 optimizer=amsgrad learning_rate=0.00123" in text
    assert "(1 of 3 folds done before)" in text
    assert "trial 0 ends: complete, value 0.6\n" in text
    assert "trial 1 ends: failed, value None: the loss is not finite" in text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (3600, "1:00:00")])
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
