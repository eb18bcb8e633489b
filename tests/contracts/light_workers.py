"""Nodes whose workers train nothing: what they start is `light_child.py`."""

from __future__ import annotations

from pathlib import Path

from tests.contracts.faults.victims import HERE, Victim

# Python runs it at its start wherever it finds it.
CUSTOM = """
import os, sys
if "search.cli" in sys.orig_argv:
    import search.child_process
    search.child_process.child_command = lambda end: [
        sys.executable, "-I", "-S", {script!r}, str(end), str(os.getpid()), {trace!r}, {splits!r}, {seconds!r}
    ]
"""


def light_node(victim: Victim, seconds: float) -> Path:
    """Make a folder that, on the PYTHONPATH of a worker, has it start the light child of a victim.

    Args:
        victim: Whose splits and trace the light child gets.
        seconds: The longest that it takes for a fold.
    """
    folder = victim.folder / "node"
    folder.mkdir()
    paths = {"script": str(HERE / "light_child.py"), "trace": str(victim.trace)}
    custom = CUSTOM.format(**paths, splits=str(victim.splits), seconds=str(seconds))
    (folder / "sitecustomize.py").write_text(custom)
    return folder
