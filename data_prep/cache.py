"""Patches on disk, so that a second start reads no volume."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.patches import PatchRequest, PatchSet, extract_patches
from data_prep.problems import InputError
from data_prep.records import MASKS, Cohort
from data_prep.survey import Progress

# Raise it whenever the same files and request would give other patches.
_FORMAT = 2

_INDEX = "patches.json"


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
        InputError: As `extract_patches`; nothing is written then.
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
    paths: set[Path] = set()
    for biopsy in cohort.biopsies:
        paths |= {cohort.image_path(biopsy, sequence) for sequence in cohort.sequences}
        masks = (cohort.mask_path(biopsy, mask) for mask in MASKS)
        paths |= {path for path in masks if path is not None}
    content = {
        "format": _FORMAT,
        "request": asdict(request),
        "coordinates": cohort.coordinates.model_dump(),
        "sites": [[b.biopsy_id, b.participant_id, *b.position] for b in cohort.biopsies],
        "images": [
            [os.path.relpath(cohort.image_path(b, s), cohort.root) for s in request.sequences]
            for b in cohort.biopsies
        ],
        "files": {os.path.relpath(path, cohort.root): _stamp(path) for path in sorted(paths)},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        new = entry.with_name(f".new-{uuid.uuid4().hex}")
        new.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"{entry.parent}: the cache must be writable, but got '{error.strerror}'."
        ) from error
    try:
        for name, array in patches.arrays().items():
            np.save(new / f"{name}.npy", array, allow_pickle=False)
        index = {"hash": patches.hash, "arrays": list(patches.arrays())}
        (new / _INDEX).write_text(json.dumps(index), encoding="utf-8")
        _put(new, entry)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _put(new: Path, entry: Path) -> None:
    """Swap folders; a folder can only be replaced by way of moving the old one aside."""
    old = entry.with_name(f".old-{uuid.uuid4().hex}")
    try:
        if entry.exists():
            entry.replace(old)
        new.replace(entry)
    except OSError:
        # Another process put the same entry there in between; what it wrote is as good as ours.
        if not (entry / _INDEX).exists():
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
