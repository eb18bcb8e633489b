"""Our own source files as they are on the disk now, in one hash: whether two processes run the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

FOLDERS = ("data_prep", "models", "search")


def source_hash(files: Mapping[str, Path]) -> str:
    """One sha256 over files: their names, and what is in them.

    How lines end makes no difference: a checkout may have changed that.

    Args:
        files: By name, as it is on every machine.
    """
    found = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{name}\n{len(content)}\n".encode() + content)
    return found.hexdigest()


def source_files() -> dict[str, Path]:
    """Every Python file of our packages that this process imports, by its name below the folder of them all.

    What editors and notebooks keep for themselves, in hidden files and folders, is none of ours.
    """
    found: dict[str, Path] = {}
    for package in FOLDERS:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            root = Path(folder)
            found |= {
                path.relative_to(root.parent).as_posix(): path
                for path in root.rglob("*.py")
                if not any(part.startswith(".") for part in path.relative_to(root).parts)
            }
    return found
