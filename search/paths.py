"""The files that a study file names: a relative path starts at its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PRETRAINED = ("none", "imagenet")


def resolve_files(table: dict[str, Any], folder: Path) -> None:
    """Make the paths of architectures and weights in a study's table absolute, in place.

    What is not of the expected type stays as it is, for whoever checks it.
    """
    for section in _tables(table.get("architectures")):
        for key in ("function", "hypermodel"):
            if isinstance(section.get(key), str):
                section[key] = _source(section[key], folder)
    for place in (table.get("space"), *_enqueued(table)):
        if isinstance(place, dict) and "weights" in place:
            place["weights"] = _weights(place["weights"], folder)


def _tables(section: Any) -> list[dict[str, Any]]:
    return [t for t in section.values() if isinstance(t, dict)] if isinstance(section, Mapping) else []


def _enqueued(table: Mapping[str, Any]) -> list[Any]:
    search = table.get("search")
    enqueue = search.get("enqueue") if isinstance(search, Mapping) else None
    return enqueue if isinstance(enqueue, list) else []


def _source(source: str, folder: Path) -> str:
    place, colon, name = source.rpartition(":")
    return f"{absolute(place, folder)}{colon}{name}" if place.endswith(".py") else source


def _weights(entry: Any, folder: Path) -> Any:
    """A name or path, a list of them, or a table with choices."""
    if isinstance(entry, str):
        return entry if entry in ("", *PRETRAINED) else absolute(entry, folder)
    if isinstance(entry, list):
        return [_weights(item, folder) for item in entry]
    if isinstance(entry, Mapping) and "choices" in entry:
        return {**entry, "choices": _weights(entry["choices"], folder)}
    return entry


def absolute(path: str, folder: Path) -> str:
    """A path in a study file that lies in `folder`, its links resolved where that is possible."""
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError):  # no such user, no legal name, links that go in a circle
        return str(folder / path)
