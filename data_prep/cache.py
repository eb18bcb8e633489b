"""Patches on disk, so that a second start reads no volume."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np

from data_prep.files import FULL, make_folders, naming, sync_folder
from data_prep.patches import PatchRequest, PatchSet, extract_patches
from data_prep.problems import InputError
from data_prep.records import MASKS, Biopsy, Cohort
from data_prep.survey import Progress

# Raise it whenever the same files and request would give other patches.
FORMAT = 4

_INDEX, _NEW, _OLD = "patches.json", ".new-", ".old-"


def load_patches(
    cohort: Cohort, request: PatchRequest, folder: Path, progress: Progress | None = None
) -> PatchSet:
    """The patches of a cohort: from `folder` where they lie there, else extracted and put there.

    An entry is named by all it depends on: request, sites, coordinates, and path, size and time of change of
    each file. One that is damaged (its content hash differs) is extracted anew.

    Args:
        cohort: The cohort.
        request: What to cut out.
        folder: Where entries are kept; created if need be.
        progress: As in `extract_patches`; not called where the entry exists.

    Returns:
        Arrays are mapped from disk, read-only.

    Raises:
        InputError: As `extract_patches`, or the folder cannot be written; nothing is written then.
        OSError: The disk is full; nothing is left behind.
    """
    entry = folder / cache_key(cohort, request)
    cached = _load(entry, cohort, request)
    if cached is not None:
        return cached
    patches = extract_patches(cohort, request, progress)
    _write(patches, entry)
    written = _load(entry, cohort, request)
    return patches if written is None else written


def cache_key(cohort: Cohort, request: PatchRequest) -> str:
    """Name of the entry: sha256 over everything that the patches depend on."""
    files = [_files(cohort, biopsy) for biopsy in cohort.biopsies]
    labels = {path: os.path.relpath(path, cohort.root) for roles in files for path in roles.values()}
    content = {
        "format": FORMAT,
        "request": asdict(request),
        "coordinates": cohort.coordinates.model_dump(),
        "sites": [[b.biopsy_id, b.participant_id, *b.position] for b in cohort.biopsies],
        "roles": [[[role, labels[path]] for role, path in roles.items()] for roles in files],
        "files": {label: _stamp(path) for path, label in labels.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _files(cohort: Cohort, biopsy: Biopsy) -> dict[str, Path]:
    """Where the files of a biopsy should lie, by what they are: "T1" or "masks/brain"; images in order."""
    images = {sequence: cohort.image_path(biopsy, sequence) for sequence in cohort.sequences}
    masks = {f"masks/{mask}": cohort.mask_path(biopsy, mask) for mask in MASKS}
    return images | {role: path for role, path in masks.items() if path is not None}


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _load(entry: Path, cohort: Cohort, request: PatchRequest) -> PatchSet | None:
    """The entry if it is whole, else None."""
    try:
        index: dict[str, Any] = json.loads((entry / _INDEX).read_text(encoding="utf-8"))
        arrays = {
            name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in index["arrays"]
        }
        patches = PatchSet(
            **arrays,
            biopsy_id=tuple(biopsy.biopsy_id for biopsy in cohort.biopsies),
            participant_id=tuple(biopsy.participant_id for biopsy in cohort.biopsies),
            request=request,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return patches if patches.hash == index["hash"] else None


def _write(patches: PatchSet, entry: Path) -> None:
    """Write the entry under a temporary name, then put it in its place."""
    try:
        make_folders(entry.parent)
        with _new_folder(entry.parent) as new:
            for name, array in patches.arrays().items():
                _save(new / f"{name}.npy", array)
            index = {"hash": patches.hash, "arrays": list(patches.arrays())}
            with _durable(new / _INDEX) as file:
                file.write(json.dumps(index).encode())
            sync_folder(new)
            _put(new, entry)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(
            f"{entry.parent}: the cache must be writable, but got '{error.strerror}'."
        ) from error


@contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """A folder under a temporary name, locked while its writer lives, and gone at the end unless renamed.

    What killed writers left, at temporary names that nobody holds, is removed on the way.
    """
    new = parent / f"{_NEW}{uuid.uuid4().hex}"
    with _lock(parent, wait=True):  # nobody takes the new one for a dead writer's before it is locked
        for left in (*parent.glob(f"{_NEW}*"), *parent.glob(f"{_OLD}*")):
            with _lock(left) as is_free:
                if is_free:
                    shutil.rmtree(left, ignore_errors=True)
        new.mkdir()
        held = ExitStack()
        held.enter_context(_lock(new))
    with held:
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _lock(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a folder; yields False where another does, where it is gone, or where the file system cannot."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        is_held = True
    except OSError:
        is_held = False
    try:
        yield is_held
    finally:
        os.close(descriptor)


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    """As `numpy.save`, which tells a full disk by neither its number nor its name when it has a real file."""
    with _durable(path) as file:
        np.lib.format.write_array(SimpleNamespace(write=file.write), array, allow_pickle=False)


@contextmanager
def _durable(path: Path) -> Iterator[IO[bytes]]:
    with naming(path), path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _put(new: Path, entry: Path) -> None:
    """Swap folders; a folder can only be replaced by way of moving the old one aside."""
    old = entry.with_name(f"{_OLD}{uuid.uuid4().hex}")
    try:
        if entry.exists():
            entry.replace(old)
        new.replace(entry)
        sync_folder(entry.parent)
    except OSError:
        # Another process put the same entry there in between; what it wrote is as good as ours.
        if not (entry / _INDEX).exists():
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
