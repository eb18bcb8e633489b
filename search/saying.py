"""How commands speak, for those that load nothing heavy too."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """One line on stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
