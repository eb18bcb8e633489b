"""Where the models of a home lie: NAME/1, NAME/2 and so on."""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.problems import InputError
from search.home import Home
from search.study_file import NAME

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def check_name(name: str) -> None:
    """Refuse a name that is none of a model: it names folders and a model of MLflow too.

    Raises:
        InputError: It is none.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"--name: 100 letters, digits, '.', '_' and '-' make a name, but got {name!r}")


def versions_of(home: Home, name: str) -> tuple[int, ...]:
    """The versions of a model, ascending; none of a name that no model has."""
    if not NAME.fullmatch(name):
        return ()
    try:
        found = [path.name for path in (home.models / name).iterdir() if path.is_dir()]
    except OSError:
        return ()
    return tuple(sorted(int(number) for number in found if _NUMBER.fullmatch(number)))


def names_of_models(home: Home) -> tuple[str, ...]:
    """The names of the models in a home, sorted."""
    try:
        found = sorted(path.name for path in home.models.iterdir())
    except OSError:
        return ()
    return tuple(name for name in found if versions_of(home, name))


def version_folder(home: Home, name: str, version: int) -> Path:
    """Where a version lies, or would lie."""
    return home.models / name / str(version)


def latest_folder(home: Home, name: str) -> Path | None:
    """The newest version of a model; None of a name that no model has."""
    versions = versions_of(home, name)
    return version_folder(home, name, versions[-1]) if versions else None
