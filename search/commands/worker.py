"""`radsearch worker STUDY`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from functools import partial

from rich.console import Console

from data_prep.problems import InputError
from search.cli import Terminated
from search.commands.run import trials_link, where_to_look
from search.endings import ENDINGS
from search.home import Home
from search.joining import study_to_join
from search.live import LiveTable, PlainLines
from search.metrics import DIRECTIONS
from search.placement import Placement, note_on, place
from search.preflight import check_tracking
from search.progress import Listener
from search.storage import storage_told
from search.study_file import Study
from search.supervisor import Outcome, RunOptions, run_study
from search.terminal import say
from search.tracked import tracking_of
from search.waiting import tried_again


class Tally(Listener):
    """Counts what a worker gets done; to be mixed into a listener that shows it.

    Attributes:
        folds: How many folds were trained.
        trials: How many trials ended here, others may have begun them.
    """

    folds = trials = 0
    _counting = threading.Lock()

    def fold_done(self, number: int, split: int, value: float | None) -> None:
        """Count a fold."""
        with self._counting:
            self.folds += 1
        super().fold_done(number, split, value)

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        """Count a trial, unless it is taken up again."""
        with self._counting:
            self.trials += not ENDINGS[cause].retry
        super().trial_ended(number, cause, value, message)


class _Table(Tally, LiveTable):
    """On a terminal."""


class _Lines(Tally, PlainLines):
    """In the log of a node."""


def run(args: argparse.Namespace) -> int:
    """Work on a study that another process opened, until no trial is left or somebody asks for the end."""
    try:
        return _work(args)
    except Terminated:  # while the cohort was read, or after the last trial
        say("This worker was asked to leave, and had nothing under way.")
        return 0


def _work(args: argparse.Namespace) -> int:
    home = Home.at(args.home, args.cache)
    study, tracking = tried_again(lambda: _found(args, home), args.wait, _note)
    options = RunOptions(
        storage=args.storage,
        tracking=tracking,
        timeout=args.timeout,
        placements=_placed(args),
        leave_within=args.leave_within,
        joining=True,
    )
    console = Console(stderr=True)
    minimize = DIRECTIONS[study.search.metric] == "minimize"
    tally: _Table | _Lines = _Table(console, minimize) if console.is_terminal else _Lines(sys.stderr)
    with tally as listener:
        for line in note_on(options.placements, args.gpus):
            listener.note(line)
        outcome = run_study(study, home, options, listener)
    _conclude(args, study, home, tracking, outcome, tally)
    # Whoever is asked to leave, by a cluster most likely, and leaves has done what was asked.
    left = outcome.signalled in (None, signal.SIGTERM)
    return 0 if left else 128 + (outcome.signalled or 0)


def _placed(args: argparse.Namespace) -> tuple[Placement, ...]:
    """Where it trains; in an array of SLURM a GPU that is not to be had is looked for again, after `--wait`.

    Else a node with a broken one would take task after task and end each in seconds, until none is left.
    """
    place_it = partial(place, args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    if not args.require_gpu or "SLURM_ARRAY_TASK_ID" not in os.environ:
        return place_it()
    try:
        return place_it()
    except InputError as error:
        _note(f"{error}; this node is tried once more in {args.wait} s, rather than end further tasks")
        time.sleep(args.wait)
    return place_it()


@storage_told()
def _found(args: argparse.Namespace, home: Home) -> tuple[Study, str]:
    """The study and its tracking URI, where MLflow answers too."""
    opened, study = study_to_join(args.study, args.storage, home, args.cohort)
    tracking = tracking_of(opened, args.tracking_uri, home)
    check_tracking(tracking, home, study.name)
    opened._storage.remove_session()  # the worker itself opens another
    return study, tracking


def _note(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _conclude(
    args: argparse.Namespace, study: Study, home: Home, tracking: str, outcome: Outcome, tally: Tally
) -> None:
    why = "no trial was left"
    if outcome.signalled or outcome.timed_out:
        how = signal.Signals(outcome.signalled).name if outcome.signalled else "the time limit"
        why = f"{how}; what was under way is put back"
    say(
        f"This worker ended {_count(tally.trials, 'trial')} and trained {_count(tally.folds, 'fold')}: {why}."
    )
    if outcome.undelivered:
        say(
            f"MLflow has not taken {outcome.undelivered} events yet; they wait in {home.root} and go out "
            "when a worker starts with this home"
        )
    say(f"Look further: radsearch show {study.name}{where_to_look(args)}")
    link = trials_link(tracking, study, home)
    if link:
        say(f"              {link}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
