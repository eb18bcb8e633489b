"""How often the result of a study was looked at: a table that only grows.

Whoever looks at a result, changes the study and looks again has used the held-out biopsies once more.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import optuna

from data_prep.files import make_folders, naming, whole_lines, write_at_end
from data_prep.problems import InputError
from search.booking import counts
from search.home import Home, StudyFolder
from search.study_lock import exclusive

FILE, LOCK = "looks.tsv", "looks.lock"
COLUMNS = ("time", "command", "trials", "protocol")
PROTOCOL = ("label", "input", "validation", "training", "search", "architectures", "space")


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes:
        time: When, UTC, ISO 8601.
        command: Which command showed the result.
        trials: How many trials the study had.
        protocol: `protocol_hash` at that time.
    """

    time: str
    command: str
    trials: int
    protocol: str


def look(folder: StudyFolder, command: str, trials: int) -> Look:
    """Note that the result of a study is being looked at.

    Args:
        folder: The study's.
        command: Which command shows it.
        trials: How many trials the study has.

    Raises:
        InputError: The study's definition is not there.
        OSError: The table cannot be written.
    """
    new = Look(datetime.now(UTC).isoformat(timespec="seconds"), command, trials, protocol_hash(folder))
    line = "\t".join((new.time, new.command, str(new.trials), new.protocol)) + "\n"
    path = folder.root / FILE
    make_folders(folder.root)
    with naming(path), exclusive(folder.root / LOCK):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            end = len(whole_lines(path))
            header = "" if end else "\t".join(COLUMNS) + "\n"
            write_at_end(descriptor, (header + line).encode(), end)
        finally:
            os.close(descriptor)
    return new


def look_at(study: optuna.Study, home: Home, command: str) -> None:
    """Add a look at what a study has found so far; errors as of `look`."""
    trials = study.get_trials(deepcopy=False)
    look(home.study(study.study_name), command, sum(map(counts, trials)))


def read_looks(folder: StudyFolder) -> tuple[Look, ...]:
    """The looks at a study, the first one first; none where there is no table.

    Raises:
        InputError: The table is not one that `look` wrote.
    """
    path = folder.root / FILE
    text = whole_lines(path).decode(errors="replace") if path.exists() else ""
    if not text:  # whoever made the file was stopped before its first line was whole
        return ()
    header, *rows = [line.split("\t") for line in text.splitlines()]
    if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) or not row[2].isdigit() for row in rows):
        raise InputError(f"{path}: columns {', '.join(COLUMNS)} are needed, as `radsearch` writes them")
    return tuple(Look(time, command, int(trials), protocol) for time, command, trials, protocol in rows)


def protocol_hash(folder: StudyFolder) -> str:
    """sha256 over all that is fixed before the first trial: label, input, folds, training, space, search.

    Raises:
        InputError: The study's definition or its fold table cannot be read.
    """
    try:
        definition = json.loads(folder.definition.read_text(encoding="utf-8"))
        folds = folder.folds.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{folder.root}: the study's definition and folds are needed: {error}") from error
    fixed = {name: definition.get(name) for name in PROTOCOL}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode() + folds).hexdigest()


def changes(looks: Sequence[Look], trials: int, protocol: str) -> list[str]:
    """What became of a study after a look at it, in words.

    Args:
        looks: The looks.
        trials: How many trials the study has now.
        protocol: Its protocol's hash now.
    """
    found = []
    if any(look.trials < trials for look in looks):
        found.append("trials were added")
    if any(look.protocol != protocol for look in looks):
        found.append("its protocol was changed")
    return found
