"""The folder of artifacts that `radsearch server` serves: clients get all of it, so it holds nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from data_prep.files import whole_file
from data_prep.problems import InputError

MARK = ".radsearch-artifacts"
_LAW = "--artifacts: clients get every file in it, so a folder for artifacts alone is needed, but"


def check_apart(folder: Path, others: Iterable[Path]) -> None:
    """Refuse a folder with something else of radsearch in it, and one that is part of something else.

    Args:
        folder: Of artifacts; it need not be there.
        others: Files and folders that no client may read.

    Raises:
        InputError: One of them lies in the folder, or the folder in one of them.
    """
    real = folder.resolve()
    for other in others:
        if other.resolve().is_relative_to(real):
            raise InputError(f"{_LAW} {other} is in {folder}")
        if real.is_relative_to(other.resolve()):
            raise InputError(f"{_LAW} {folder} is in {other}")


def check_unused(folder: Path) -> None:
    """Refuse a folder that holds what was not put there by a tracking server.

    MLflow names its folders by experiments' numbers, unless clients ask for other names; then the mark tells
    that the folder was served before.

    Args:
        folder: Of artifacts; one that is not there, or cannot be looked into from here, passes.

    Raises:
        InputError: Something else is in it.
    """
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError:
        return
    found.pop("lost+found", None)  # a new file system's own
    if MARK in found:
        return
    strange = sorted(
        name
        for name, is_dir in found.items()
        if not (is_dir and name.isdecimal()) and not name.startswith(f".{MARK}.")  # a mark that was cut off
    )
    if strange:
        raise InputError(
            f"{_LAW} {strange[0]!r} is in {folder}; name an empty folder, or one with MLflow's artifacts"
        )


def mark(folder: Path) -> None:
    """Leave the mark of a folder that is served.

    Raises:
        OSError: It cannot be written.
    """
    if not (folder / MARK).exists():
        with whole_file(folder / MARK) as draft:
            draft.write_text(
                "MLflow's artifacts: `radsearch server` gives all of this folder to its clients.\n"
            )
