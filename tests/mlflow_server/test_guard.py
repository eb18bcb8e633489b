import os
import signal
import subprocess
import sys

import pytest

GUARD = [sys.executable, "-P", "-m", "mlflow_server.guard"]

# A command with a child of its own that ignores the polite signal; both print their process id.
STUBBORN = """
import os, signal, subprocess, sys, time
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, "-c", open(__file__).read(), "child"])
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""

STARTER = """
import subprocess, sys, time
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    return [*GUARD, sys.executable, str(script)]


def groups(stream):
    """Wait for both processes to print who they are; their process groups."""
    return {os.getpgid(int(stream.readline())) for _ in range(2)}


def test_closing_its_input_ends_the_command_and_its_children(command, is_gone):
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as guard:
        assert groups(guard.stdout) == {guard.pid}
        assert not is_gone(guard.pid, seconds=0)
        guard.stdin.close()
        assert guard.wait(20) == -signal.SIGKILL
    assert is_gone(guard.pid)


def test_the_death_of_the_starter_ends_the_command_and_its_children(command, is_gone):
    with subprocess.Popen([sys.executable, "-c", STARTER, *command], stdout=subprocess.PIPE) as starter:
        (group,) = groups(starter.stdout)
        starter.kill()
    assert is_gone(group)


def test_a_command_that_ends_by_itself_takes_its_children_along(is_gone):
    script = "import subprocess, sys; subprocess.Popen(['sleep', '60'])"
    with subprocess.Popen(
        [*GUARD, sys.executable, "-c", script], stdin=subprocess.PIPE, start_new_session=True
    ) as guard:
        assert guard.wait(20) == -signal.SIGKILL
    assert is_gone(guard.pid)
