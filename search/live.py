"""A running study on the terminal: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.domains import Value, spelt
from search.progress import Listener

FINISHED_SHOWN = 8


@dataclass
class Row:
    """One trial as the table shows it."""

    number: int
    settings: Mapping[str, Value]
    splits: int
    fold: int
    epoch: str = ""
    value: float | None = None
    ending: str = ""


@dataclass
class Board:
    """What is known of a run so far; written by the slots' threads, read by the screen's.

    `clock` may be replaced in tests.
    """

    minimize: bool = False
    name: str = ""
    asked: int = 0
    done: int = 0
    best: float | None = None
    folds_here: int = 0
    started: float = field(default_factory=time.monotonic)
    preparing: tuple[int, int] | None = None
    rows: dict[int, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def improve(self, value: float | None) -> None:
        """Take over a finished trial's value if it is the best so far."""
        if value is None:
            return
        if self.best is None or ((value < self.best) == self.minimize and value != self.best):
            self.best = value

    def drop_old_rows(self) -> None:
        """Forget the finished trials that are not shown any more."""
        finished = sorted(number for number, row in self.rows.items() if row.ending)
        for number in finished[:-FINISHED_SHOWN]:
            del self.rows[number]

    def seconds_left(self, now: float) -> float | None:
        """Time left at the pace of this run's folds; None before the first fold."""
        running = [row for row in self.rows.values() if not row.ending]
        splits = max((row.splits for row in self.rows.values()), default=0)
        left = (self.asked - self.done - len(running)) * splits + sum(
            row.splits - row.fold for row in running
        )
        if not self.folds_here or self.asked <= self.done:
            return None
        return max(0, left) * (now - self.started) / self.folds_here


class LiveTable(Listener):
    """Shows the board as a table that is redrawn in place; use as a context manager.

    Args:
        console: Where to draw.
        minimize: Whether the study's metric is better when lower.
    """

    def __init__(self, console: Console, minimize: bool = False) -> None:
        self.board = Board(minimize)
        self._lock = threading.Lock()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> LiveTable:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time and leave the table on the screen."""
        self._live.stop()

    def preparing(self, done: int, total: int) -> None:
        """Show how many participants were read."""
        with self._lock:
            self.board.preparing = (done, total)

    def study_opened(self, name: str, asked: int, done: int, best: float | None) -> None:
        """Show the study's name and how far it is."""
        with self._lock:
            board = self.board
            board.preparing, board.started = None, time.monotonic()
            board.name, board.asked, board.done, board.best = name, asked, done, best

    def trial_started(self, number: int, settings: Mapping[str, Value], splits: int, finished: int) -> None:
        """Add a row."""
        with self._lock:
            self.board.rows[number] = Row(number, settings, splits, finished)

    def fold_started(self, number: int, split: int) -> None:
        """Show that the fold is being set up: its first epoch may take a while."""
        with self._lock:
            self.board.rows[number].epoch = "starting"

    def epoch(self, number: int, epoch: int, epochs: int, loss: float) -> None:
        """Show the epoch."""
        with self._lock:
            self.board.rows[number].epoch = f"{epoch}/{epochs}"

    def fold_done(self, number: int, split: int, value: float | None) -> None:
        """Show the running value."""
        with self._lock:
            self.board.folds_here += 1
            row = self.board.rows[number]
            row.fold, row.value = row.fold + 1, value

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        """Keep the row, with how the trial ended."""
        with self._lock:
            row = self.board.rows[number]
            row.ending, row.value, row.epoch = cause, value, ""
            self.board.drop_old_rows()
            if cause not in ("interrupted", "child lost"):
                self.board.done += 1
            if cause == "complete":
                self.board.improve(value)
            elif message and cause != "interrupted":
                self.board.notes.append(f"trial {number}: {cause}: {message}")

    def note(self, text: str) -> None:
        """Show a line below the table."""
        with self._lock:
            self.board.notes.append(text)

    def _render(self) -> RenderableType:
        with self._lock:
            return render(self.board, time.monotonic())


def render(board: Board, now: float) -> RenderableType:
    """The board as a table, with a line of totals above and notes below."""
    if not board.name:
        done, total = board.preparing or (0, 0)
        return Text(f"reading volumes: participant {done} of {total}" if total else "reading the cohort")
    table = Table(title=_headline(board, now), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    for column in ("trial", "architecture", "optimizer"):
        table.add_column(column, no_wrap=True)
    for column in ("rate", "batch", "radius", "fold", "epoch", "value"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in _shown(board):
        table.add_row(*_cells(row), style=_style(row, board))
    bar = Table.grid()  # a bar by itself ends without a line break
    bar.add_row(ProgressBar(total=max(1, board.asked), completed=board.done, width=60))
    return Group(table, bar, *(Text(note, style="yellow") for note in board.notes[-3:]))


def _shown(board: Board) -> list[Row]:
    """The last finished trials, then the running ones."""
    return sorted(board.rows.values(), key=lambda row: (not row.ending, row.number))


def _headline(board: Board, now: float) -> str:
    parts = [f"{board.name}: {board.done} of {board.asked} trials"]
    if board.best is not None:
        parts.append(f"best {board.best:.3f}")
    parts.append(f"running {clock(now - board.started)}")
    left = board.seconds_left(now)
    if left is not None:
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


def _style(row: Row, board: Board) -> str:
    if row.ending == "complete":
        return "green" if row.value is not None and row.value == board.best else ""
    return "dim" if row.ending else "cyan"


def _cells(row: Row) -> list[str]:
    settings = row.settings
    return [
        str(row.number),
        str(settings.get("architecture", "")),
        str(settings.get("optimizer", "")),
        f"{settings['learning_rate']:.1e}" if "learning_rate" in settings else "",
        str(settings.get("batch_size", "")),
        str(settings.get("patch_radius", "")),
        f"{row.fold}/{row.splits}",
        row.epoch,
        "" if row.value is None else f"{row.value:.3f}",
        row.ending,
    ]


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss.

    >>> clock(75), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class PlainLines(Listener):
    """One line an event that matters, for logs and pipes.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __enter__(self) -> PlainLines:
        """Nothing to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""

    def _say(self, text: str) -> None:
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()

    def preparing(self, done: int, total: int) -> None:
        """One line at the start, one at the end and every tenth of the way."""
        if done == total or done % max(1, total // 10) == 0:
            self._say(f"reading volumes: participant {done} of {total}")

    def study_opened(self, name: str, asked: int, done: int, best: float | None) -> None:
        """The study and how far it is."""
        known = "" if best is None else f", best {best:.3f}"
        self._say(f"study {name}: {done} trials done of the {asked} asked for{known}")

    def trial_started(self, number: int, settings: Mapping[str, Value], splits: int, finished: int) -> None:
        """The trial and its settings."""
        listed = " ".join(f"{name}={_short(value)}" for name, value in settings.items())
        kept = f" ({finished} of {splits} folds done before)" if finished else ""
        self._say(f"trial {number} starts: {listed}{kept}")

    def fold_done(self, number: int, split: int, value: float | None) -> None:
        """The running value."""
        self._say(f"trial {number} fold {split}: running value {_short(value)}")

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        """How it ended."""
        self._say(
            f"trial {number} ends: {cause}, value {_short(value)}" + (f": {message}" if message else "")
        )

    def note(self, text: str) -> None:
        """The text."""
        self._say(text)


def _short(value: Value | None) -> str:
    return "None" if value is None else f"{value:.4g}" if isinstance(value, float) else spelt(value)
