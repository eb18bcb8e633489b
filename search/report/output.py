"""The folder of a report: written beside its place, then put there whole.

Beside it lies, while a report is written, a hidden folder that holds the draft, a lock of the process that
writes, and for a moment the earlier report. What a killed process leaves there, the next report mends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from data_prep.files import make_folders, naming, sync_file, sync_folder
from data_prep.problems import InputError
from search.report.blocks import Picture, Section, Table

PAGE, INDEX = "report.html", "report.json"
DRAFT, OLD, LOCK = "report", "old", "lock"  # in the hidden folder
LONGEST = 150  # bytes of a name that the hidden folder's keeps: names end at 255
KEY_FIGURES = ("estimate", "roc", "grid")  # also as PNG: the dashboard and MLflow show them


@contextmanager
def report_folder(out: Path, study: str, study_id: str) -> Iterator[Path]:
    """Yield a folder to write to, which takes the place of `out` when the block ends well.

    An earlier report of the study is replaced. After an error or Ctrl-C nothing is left, and `out` is as it
    was; after a kill the next call sees to that.

    Args:
        out: Where the report goes; folders above it are made.
        study: The study's name.
        study_id: Tells it from another of that name.

    Raises:
        InputError: `out` holds anything but an earlier report of this study, as it was written.
    """
    place = Path(os.path.realpath(out))
    with naming(place):
        _sweep(place)
    _check_free(place, study, study_id)
    make_folders(place.parent)
    with naming(place), _hidden_folder(place) as hidden:
        draft = hidden / DRAFT
        draft.mkdir()
        yield draft
        _finish(draft, study, study_id)
        _put(draft, place, hidden / OLD)


def write_report(page: str, sections: list[Section], folder: Path) -> dict[str, Path]:
    """Write the page, its figures and its tables.

    Returns:
        What is handed on, by name: the page, the key figures, and each table as "tables/NAME".
    """
    (folder / PAGE).write_text(page, encoding="utf-8")
    for name in ("figures", "tables"):
        (folder / name).mkdir()
    kept = {"page": folder / PAGE}
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Table):
            table = folder / "tables" / f"{block.name}.tsv"
            table.write_text("\n".join(block.lines()) + "\n", encoding="utf-8")
            kept[f"tables/{block.name}"] = table
        elif isinstance(block, Picture):
            kept |= _write_picture(block, folder / "figures")
    return kept


def _write_picture(picture: Picture, folder: Path) -> Mapping[str, Path]:
    vector, pixels = folder / f"{picture.name}.svg", folder / f"{picture.name}.png"
    if picture.is_vector:
        vector.write_text(picture.markup, encoding="utf-8")
    if picture.name in KEY_FIGURES or not picture.is_vector:
        pixels.write_bytes(picture.png)
    return {picture.name: pixels} if picture.name in KEY_FIGURES else {}


def _check_free(place: Path, study: str, study_id: str) -> None:
    """Refuse a place where anything is that writing would destroy."""
    if not place.exists():
        return
    if not place.is_dir():
        raise InputError(f"--out: a folder is needed, but {place} is none")
    held = {
        str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    if not held:
        return
    written = _index(place, study, study_id)
    if written is None:
        raise InputError(
            f"--out: an empty folder, or an earlier report of study {study!r}, is needed, but {place} holds "
            "other files"
        )
    added = sorted(held - written)
    if added:
        more = f" and {len(added) - 1} more" if len(added) > 1 else ""
        raise InputError(f"--out: {place} holds {added[0]}{more}, which no report wrote: take it out first")


def _index(place: Path, study: str, study_id: str) -> set[str] | None:
    """The files of an earlier report of the study; None where there is none."""
    try:
        told = json.loads((place / INDEX).read_text(encoding="utf-8"))
        return {*told["files"], INDEX} if (told["study"], told["id"]) == (study, study_id) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _finish(draft: Path, study: str, study_id: str) -> None:
    """Write which files are the report's, and wait until all are on the disk."""
    files = sorted(str(path.relative_to(draft)) for path in draft.rglob("*") if path.is_file())
    index = {"study": study, "id": study_id, "files": files}
    (draft / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for path in draft.rglob("*"):
        if path.is_file():
            sync_file(path)
        else:
            sync_folder(path)


def _put(draft: Path, place: Path, old: Path) -> None:
    """Give the draft its name; what had it waits in `old`, and comes back where this does not end well."""
    if place.exists():
        place.rename(old)
    draft.rename(place)
    sync_folder(place.parent)


@contextmanager
def _hidden_folder(place: Path) -> Iterator[Path]:
    """A folder beside the place, locked while this process writes there."""
    hidden, lock = _locked_folder(place)
    try:
        yield hidden
    finally:
        _clear(hidden, place)
        os.close(lock)


def _locked_folder(place: Path) -> tuple[Path, int]:
    while True:
        hidden = place.with_name(_prefix(place) + uuid.uuid4().hex)
        hidden.mkdir()
        with suppress(FileNotFoundError):  # swept away before it was locked
            lock = os.open(hidden / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (hidden / LOCK).exists():
                return hidden, lock
            os.close(lock)


def _prefix(place: Path) -> str:
    """How the hidden folders of a place begin, and those of no other place."""
    name = place.name
    if len(os.fsencode(name)) > LONGEST:
        name = f"{name[:30]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return f".{name}.new-"


def _sweep(place: Path) -> None:
    """Mend what killed processes left beside a place; what a living one writes there is its own."""
    pattern = re.compile(re.escape(_prefix(place)) + "[0-9a-f]{32}")
    left = [path for path in place.parent.glob(".*") if pattern.fullmatch(path.name)]
    for hidden in left:
        try:
            lock = os.open(hidden / LOCK, os.O_RDWR)
        except FileNotFoundError:
            _clear(hidden, place)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(hidden, place)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _clear(hidden: Path, place: Path) -> None:
    """Remove a hidden folder; an earlier report in it comes back where none has taken its place."""
    if (hidden / OLD).exists() and not place.exists():
        (hidden / OLD).rename(place)
        sync_folder(place.parent)
    shutil.rmtree(hidden, ignore_errors=True)
