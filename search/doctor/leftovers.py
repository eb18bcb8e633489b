"""Unfinished files that killed writers left in a home."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from search.home import Home

# The temporary names of `data_prep.files.whole_file` and of `data_prep.cache`.
DRAFT = re.compile(r"\..*\.[0-9a-f]{32}(\.[^.]*)?|\.(new|old)-[0-9a-f]{32}")
SAFE_SECONDS = 3600  # no writer works on one file for so long without changing it


def leftovers(home: Home, now: float | None = None) -> Iterator[Path]:
    """The unfinished files and folders that nobody changed for an hour; MLflow's files are its own."""
    now = time.time() if now is None else now
    for folder, folders, files in os.walk(home.root):
        place = Path(folder)
        if place == home.root:
            folders[:] = [name for name in folders if place / name != home.tracking_artifacts]
        drafts = [name for name in (*folders, *files) if DRAFT.fullmatch(name)]
        folders[:] = [name for name in folders if name not in drafts]
        yield from (place / name for name in drafts if now - _changed(place / name) > SAFE_SECONDS)


def remove(path: Path) -> None:
    """Remove an unfinished file or folder; somebody else may have done so."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    """When the file, or anything in the folder, was last changed; now where it is gone meanwhile."""
    try:
        return max(item.lstat().st_mtime for item in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()
