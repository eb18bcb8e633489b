"""`radsearch replay STUDY TRIAL`."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.cli import EXIT_INPUT
from search.home import Home
from search.replay import Recording, Replay, find_recording, recorded_material, run_again
from search.storage import storage_told
from search.terminal import counting, say


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Run a trial again; 0 if every fold is equal to what was recorded, else 1 and a line a fold."""
    home = Home.at(args.home)
    recording = find_recording(home, args.storage, args.study, args.trial, args.cohort)
    with counting("reading volumes: participant") as progress:
        material = recorded_material(recording, home, progress)
    folds = []
    with closing(run_again(recording, material, home, args.gpus)) as again:
        for fold in again:
            folds.append(fold)
            _tell(f"fold {len(folds)} of {len(recording.folds)} took {fold.again.seconds:.1f} s")
    replay = Replay(recording, tuple(folds), args.tolerance)
    if args.json:
        sys.stdout.write(json.dumps(replay.record(), indent=2, allow_nan=False) + "\n")
    else:
        Console().print(_table(replay))
        for line in (*_remarks(replay), verdict(replay)):
            say(line)
    for split, differences in replay.differing.items():
        _tell(f"{_name(recording)}: fold {split} differs: {'; '.join(differences)}")
    return EXIT_INPUT if replay.differing else 0


def verdict(replay: Replay) -> str:
    """The last line: whether the trial came out again."""
    count, name = len(replay.folds), _name(replay.recording)
    folds = f"{count} fold" if count == 1 else f"{count} folds"
    if replay.differing:
        splits = ", ".join(map(str, replay.differing))
        return f"{name} differs from what was recorded, in {len(replay.differing)} of {folds}: {splits}"
    if replay.is_exact:
        return f"{name}: {folds} equal to what was recorded, to the last bit"
    return f"{name}: {folds} equal to what was recorded, within {replay.tolerance:g}"


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _name(recording: Recording) -> str:
    return f"trial {recording.trial} of {recording.study.name}"


def _table(replay: Replay) -> Table:
    """A row a fold and metric."""
    table = Table(title=_name(replay.recording), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("fold", justify="right")
    table.add_column("metric")
    for column in ("recorded", "again", "difference"):
        table.add_column(column, justify="right", no_wrap=True)
    for fold in replay.folds:
        for name, (one, other) in fold.metrics.items():
            style = "" if one == other else "yellow"
            cells = (_value(one), _value(other), _difference(one, other))
            table.add_row(str(fold.recorded.split), name.replace("_", " "), *cells, style=style)
    return table


def _remarks(replay: Replay) -> list[str]:
    largest = "undefined" if replay.largest is None else f"{replay.largest:.3g}"
    lines = [f"largest difference of a held-out probability: {largest}"]
    if replay.recording.retry_of is not None:
        lines.append(
            f"it took up trial {replay.recording.retry_of} again, whose folds other versions may have run"
        )
    for name, (then, now) in replay.other_versions.items():
        lines.append(f"{name}: {then or 'not installed'} when recorded, {now or 'not installed'} now")
    if replay.recording.versions is None:
        lines.append("which versions of the software ran the trial was not recorded")
    devices = {(fold.recorded.device, fold.again.device) for fold in replay.folds}
    lines += [f"recorded on {one}, run again on {other}" for one, other in sorted(devices) if one != other]
    return lines


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _difference(one: float | None, other: float | None) -> str:
    if one is None or other is None:
        return "0" if one is other else "-"
    return "0" if one == other else f"{other - one:+.3g}"
