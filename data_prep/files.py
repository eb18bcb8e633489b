"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota used up, a limit on a file's size
NO_FOLDER_SYNC = (
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.EACCES,
)  # some network file systems cannot; unreadable

_SHOWN = 40  # characters of the name that a temporary one keeps: names end at 255 bytes


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it takes its place when the block ends well.

    The content is on the disk before the name, so that a power cut leaves the earlier file or the new one.
    Missing folders are made. After an error nothing is left and an earlier file stays as it was. The
    temporary name keeps the suffix, which some writers go by.

    Raises:
        OSError: It cannot be written; the error names the file.
    """
    temporary = path.with_name(f".{path.stem[:_SHOWN]}.{uuid.uuid4().hex}{path.suffix}")
    with naming(path):
        make_folders(path.parent)
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):  # the error that led here says more
                temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have errors of the block name the file: those of reads and writes know only its descriptor."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, as far as they are missing, durably."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync_folder(place.parent)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can."""
    try:
        sync_file(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise


def write_at_end(descriptor: int, content: bytes, end: int) -> None:
    """Append to an open file of `end` bytes, wholly and durably, or not at all.

    The file must not be open for appending. What lies behind `end`, as a refused write may leave it where not
    even shortening the file works, is cut off first.

    Raises:
        OSError: The disk refused it; the file has `end` bytes, or the next call sees to it.
    """
    if os.fstat(descriptor).st_size != end:
        os.ftruncate(descriptor, end)
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], end + written)
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def whole_lines(path: Path) -> bytes:
    """What a file that grows line by line holds, without half a line at its end.

    Whoever was killed, or lost power, may have left that; nobody was ever shown it.

    Raises:
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]
