"""File names of maps: what participants and labels are called, as far as every file system takes it."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

LONGEST: Final = 80
"""Characters: with what follows, names stay below the 255 bytes that file systems have."""

_OTHER = re.compile(r"[^A-Za-z0-9.+_-]")
_FIRST = re.compile(r"^[.-]+")


def file_name(name: str) -> str:
    """The name where it is fit for a file; else what is fit of it, and a hash that tells it from others.

    >>> file_name("sub-001"), file_name("../a b")
    ('sub-001', '__a_b-2c2c791a')
    """
    fit = _FIRST.sub("_", _OTHER.sub("_", name))[:LONGEST] or "_"
    return fit if fit == name else f"{fit}-{sha256(name.encode()).hexdigest()[:8]}"
