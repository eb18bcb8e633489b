from __future__ import annotations

import subprocess
import sys

from search.saying import say


def test_a_line_is_out_at_once(capfd) -> None:
    say("MLflow: http://127.0.0.1:5000")
    assert capfd.readouterr().out == "MLflow: http://127.0.0.1:5000\n"


def test_a_reader_gets_it_while_the_program_goes_on() -> None:
    program = "import sys; from search.saying import say; say('ready'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.communicate()
