"""What is held back, and what is told after all: across a process, as its standard error is what counts."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOUD = """
import os
from models.quiet import quiet_loading
os.write(2, b"before;")
try:
    with quiet_loading():
        os.write(2, b"inside;")
        {inside}
except ValueError:
    pass
os.write(2, b"after;")
"""


@pytest.mark.parametrize(
    ("inside", "told"),
    [("pass", "before;after;"), ("raise ValueError", "before;inside;after;")],
)
def test_only_a_failure_tells_what_was_held_back(inside: str, told: str) -> None:
    command = [sys.executable, "-c", LOUD.format(inside=inside)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == told


@pytest.mark.slow
def test_tensorflow_loads_without_a_word() -> None:
    words = "import os\nfrom models.quiet import quiet_loading\nos.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'\n"
    words += "with quiet_loading():\n    import models.saved_network\n"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
