"""Why a folder or a file cannot be written, in words for its user."""

from __future__ import annotations

import errno
import os
import pwd
import tempfile
from pathlib import Path

from data_prep.files import FULL
from search.errors import StudyStoppedError

ROOM = 1 << 20  # of which MLflow's empty database takes 0.91 MiB


def folder_problem(folder: Path) -> str | None:
    """Why nothing can be made in a folder, None where it can.

    A folder that is missing is as good as the one it would be made in. What is tried there is a file without
    a name.
    """
    law = "a folder must be there or be made"
    try:
        folder.stat()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            return f"{law}, but got '{error.strerror}'"
    place = folder
    while not os.path.exists(place):  # noqa: PTH110 - Path.exists raises where it may not look
        if os.path.islink(place):  # noqa: PTH114
            return f"{law}, but {place} is a link to {place.readlink()}, which is not there"
        place = place.parent
    if not place.is_dir():
        return f"{law}, but {place} is a file"
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return (
            None if error.errno in FULL else _refusal(place, error, "it" if place == folder else str(place))
        )


def file_problem(path: Path) -> str | None:
    """Why a file cannot be changed, None where it can or where there is none."""
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        return "a file must be there or be made, but something else is"
    try:
        with path.open("r+b"):
            return None
    except OSError as error:
        return _refusal(path, error)


def check_space(folder: Path) -> None:
    """Refuse to start where there is no room.

    Raises:
        StudyStoppedError: The disk is full, or the quota used up.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.exists(place))  # noqa: PTH110
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return  # it is not for want of room; `folder_problem` has words for the rest
        raise StudyStoppedError(
            f"{folder}: {error.strerror}: {ROOM >> 20} MiB are needed to start. What is finished is kept"
        ) from error


def _refusal(path: Path, error: OSError, what: str = "it") -> str:
    law = f"{what} must be writable"
    if error.errno == errno.EROFS:
        return f"{law}, but the file system is read-only"
    if error.errno not in (errno.EACCES, errno.EPERM):
        return f"{law}, but got '{error.strerror}'"
    owner, user = path.stat().st_uid, os.geteuid()
    if owner == user:
        return f"{law}, but its permissions forbid it to {_name(user)}, its owner"
    return f"{law}, but it belongs to {_name(owner)}, and you are {_name(user)}"


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
