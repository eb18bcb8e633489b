"""Which code trains: what must be the same wherever, and whenever, the trials of one study run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import optuna

from data_prep.problems import InputError, named
from search.booking import at_work
from search.errors import StudyStoppedError
from search.owner import Owner
from search.source_files import source_files, source_hash

PACKAGES = ("radsearch", "optuna", "keras", "tensorflow", "numpy", "scikit-learn")
# The build for a machine without GPUs has another name, and is the same software.
ALSO = {"tensorflow": "tensorflow-cpu"}
SOURCE, NONE = "source", "none"
CODE = "code"  # the user attribute of a study


@cache
def code_identity() -> dict[str, str]:
    """Versions of the software that trains, and a hash over our own source files.

    Read from the packages' metadata: nothing is imported. Of Python, the first two numbers: what follows them
    changes no result. A package that is not installed is `NONE`.
    """
    versions = {name: _version(name) for name in PACKAGES}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **versions, SOURCE: source_hash(source_files())}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What differs between two identities, a line each, naming both sides.

    >>> list(differences({"numpy": "2.4.6", "source": "ab"}, {"numpy": "2.4.5", "source": "ab"}))
    ['numpy 2.4.6 there, 2.4.5 here']
    """
    for name in sorted(before.keys() | now.keys()):
        there, here = before.get(name, NONE), now.get(name, NONE)
        if there == here:
            continue
        if name == SOURCE:
            there, here = f"files (sha256 {there[:12]})", f"others (sha256 {here[:12]})"
            name = "radsearch's source"
        yield f"{name} {there} there, {here} here"


def check_code(study: optuna.Study) -> None:
    """Refuse to work on a study that is run by other code than this process has.

    Raises:
        InputError: A line a difference, naming both sides.
    """
    law = f"study {study.study_name!r}: code: a worker's must be the study's"
    before = study.user_attrs.get(CODE)
    if before is None:
        raise InputError(f"{law}, but none is booked; `radsearch run` with this version books it")
    _raise_any(
        f"{law}, but", before, "Install the same here, or continue the study from here by `radsearch run`"
    )


def check_workers(study: optuna.Study) -> None:
    """Refuse to go on with a study by other code than those have who work on it now.

    Raises:
        InputError: A line a difference, naming both sides.
    """
    before, others = study.user_attrs.get(CODE), at_work(study)
    if before is not None and others:
        hosts = sorted({Owner.parse(trial.user_attrs["owner"]).host for trial in others})
        law = f"study {study.study_name!r}: code: must be that of its workers on {named(hosts)}, but"
        gone = "`radsearch doctor --lost-host` gives up a machine that is gone"
        _raise_any(law, before, f"Let them end first, or use the same here; {gone}")


def book_code(study: optuna.Study, tell: Callable[[str], None]) -> None:
    """Book the code of this process with a study that it opens; it hears what that changes."""
    before, now = study.user_attrs.get(CODE), code_identity()
    if before not in (None, now):
        tell(f"other code than before runs the study from now on: {'; '.join(differences(before, now))}")
    if before != now:
        study.set_user_attr(CODE, now)


def stop_if_outdated(name: str, attributes: Mapping[str, Any]) -> None:
    """Take up no trial of a study that goes on by other code, which nobody could book while we ran one.

    Args:
        name: The study's name.
        attributes: Its user attributes.

    Raises:
        StudyStoppedError: That is so.
    """
    lines = list(differences(attributes.get(CODE, code_identity()), code_identity()))
    if lines:
        raise StudyStoppedError(
            f"study {name!r}: code: another start goes on with the study by other code, so this process has "
            f"left it: {'; '.join(lines)}"
        )


def _raise_any(law: str, before: Mapping[str, str], advice: str) -> None:
    lines = [f"{law} {line}. {advice}" for line in differences(before, code_identity())]
    if lines:
        raise InputError(lines)


def _version(name: str) -> str:
    for distribution in filter(None, (name, ALSO.get(name))):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return NONE
