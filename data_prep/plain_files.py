"""Files that a user wrote, read as text: plain ones of a sane size, and TOML that exhausts no reader."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_TABLE_BYTES = 2**30
"""Of a table: 20,000 genes of 1,000 biopsies take a fifth of it."""

MAX_SETTINGS_BYTES = 2**17
"""Of a cohort.toml or a study file: a hundred times the longest that ships."""

MAX_DEPTH = 16
"""Of tables and lists inside each other: a study file needs 5."""

# A dot between two parts of a key; tomllib needs a minute for a key of 60,000 parts.
_DOT = re.compile(r"[\w\"'-][ \t]*\.[ \t]*(?=[\w\"'-])")
_MOST_DOTS = 64

# Of files whose size the system does not tell.
_PIECE = 2**16

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str:
    """What something that is no plain file is.

    Args:
        mode: As `os.stat` gives it.
    """
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def is_plain(path: Path) -> bool:
    """Whether a plain file can be reached at a path, also where the path is not even legal."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_plain(path: Path, limit: int) -> bytes:
    """The content of a plain file; a pipe, which could keep its reader waiting for ever, is not opened.

    Args:
        path: The file.
        limit: The most bytes that it may have.

    Raises:
        OSError: It cannot be read, is no plain file, or is larger.
    """
    try:
        found = path.stat()
    except ValueError as error:  # a NUL in its name
        raise OSError(errno.EINVAL, "Not a legal file name", str(path)) from error
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"Not a plain file but {kind_of(found.st_mode)}", str(path))
    # It may be another file by now: opening a pipe must not wait for somebody to write.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(min(limit, max(found.st_size, _PIECE)) + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"Larger than {limit} bytes", str(path))
    return content


def read_text(path: Path, limit: int) -> str:
    """The same as text, with any line ends and with or without a byte order mark.

    Raises:
        OSError: As `read_plain`.
        UnicodeDecodeError: It is not UTF-8.
    """
    text = read_plain(path, limit).decode("utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_toml(text: str) -> dict[str, Any]:
    """TOML whose values a program can handle: 64-bit whole numbers, as the format has them, and few levels.

    Raises:
        ValueError: It is not TOML, or such a value is in it.
    """
    table = load_toml(text)
    check_values(table)
    return table


def load_toml(text: str) -> dict[str, Any]:
    """TOML that takes neither much time nor many levels to read; its values are not looked at.

    Raises:
        ValueError: It is not TOML, has such a key, or a whole number of more digits than Python reads.
    """
    if any(len(_DOT.findall(part)) > _MOST_DOTS for part in re.split(r"[=\n,{}\[\]#]", text)):
        raise ValueError(_DEEP)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(_DEEP) from error


def check_values(table: Mapping[str, Any]) -> None:
    """Refuse what is nested too deeply, and whole numbers of more than 64 bits.

    Raises:
        ValueError: Such a value is in it; its key is named.
    """
    level: list[tuple[str, Any]] = [("", table)]
    for _ in range(MAX_DEPTH):
        for place, item in level:
            if isinstance(item, int) and not -(2**63) <= item < 2**63:
                raise ValueError(f"{place}: a whole number has at most 64 bits, but got {item.bit_length()}")
        level = [inner for place, item in level for inner in _inside(place, item)]
        if not level:
            return
    raise ValueError(_DEEP)


_DEEP = f"tables and lists must be at most {MAX_DEPTH} levels deep, but go deeper"


def _inside(place: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
    return [(f"{place}[{number}]", v) for number, v in enumerate(value)] if isinstance(value, list) else []
