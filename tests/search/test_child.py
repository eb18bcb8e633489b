from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

from search import child


def test_a_child_whose_owner_is_already_gone_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "search.child", "0", "1"], capture_output=True, text=True, check=False
    )
    assert "the owner died before its child was up" in done.stderr
    assert done.returncode == 1


def test_an_owner_that_hangs_up_before_the_setup_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=child.serve_until_closed, args=(theirs,))
    thread.start()
    ours.close()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_importing_the_child_loads_no_tensorflow() -> None:
    code = "import sys, search.child; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
