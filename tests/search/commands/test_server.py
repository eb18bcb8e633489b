"""`radsearch server` on the command line; its real server is in tests/mlflow_server/test_real_server.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from mlflow_server.launch import free_port
from search import tracking_server
from search.cli import main

ROOT = Path(__file__).parents[3]


def run(*args: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["server", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(("kind", "first"), [("systemd", "[Unit]"), ("compose", "services:")])
def test_printing_writes_the_file_to_stdout_and_nothing_else(
    kind: str, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("--print", kind, "--home", str(tmp_path / "home"), capsys=capsys)
    assert (code, err, first in out.splitlines()) == (0, "", True)
    assert out.endswith("\n")
    assert not out.endswith("\n\n")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("extra", [[], ["--print", "compose"]])
def test_problems_are_lines_on_stderr_and_exit_with_1(
    extra: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--host", "mlflow.lab", "--backend", "mysql://a:s3cret@b/c", "--home", str(tmp_path)]
    code, out, err = run(*asked, *extra, capsys=capsys)
    assert (code, out) == (1, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["--host", "--backend"]
    assert "s3cret" not in err


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_wrong_usage(port: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["server", "--port", port])


class Server:
    """Stands in for MLflow's; ends the command by a signal once it is asked whether all is well."""

    number = signal.SIGTERM

    def __init__(self, *_: Any) -> None:
        self.stopped = False

    def check(self) -> None:
        signal.raise_signal(self.number)

    def answers(self, timeout: float) -> bool:
        return True

    def stop(self) -> None:
        type(self).last_stopped = True

    last_stopped = False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_sigterm_and_ctrl_c_stop_the_server(
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Server, "number", number)
    monkeypatch.setattr(Server, "last_stopped", False)
    monkeypatch.setattr(tracking_server, "start", Server)
    monkeypatch.setattr(tracking_server, "_provide_tables", lambda config: None)
    # A shell starts what it puts in the background with SIGINT ignored, and this process may be such a one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        got, out, _ = run("--home", str(tmp_path), "--port", str(free_port()), capsys=capsys)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (got, Server.last_stopped) == (code, True)
    assert out.splitlines()[-1] == "Ctrl-C stops it."


PROGRAM = """
import json, sys
from search.cli import main
code = main(["server", "--host", "127.0.0.1", "--home", sys.argv[1], "--port", sys.argv[2]])
json.dump([code, sorted({name.partition(".")[0] for name in sys.modules})], sys.stdout)
"""


def test_a_database_that_is_away_exits_with_3_and_nothing_is_loaded_that_the_image_lacks(
    tmp_path: Path,
) -> None:
    environment = os.environ | {"RADSEARCH_SERVER_BACKEND": "postgresql://anna:s3cret@127.0.0.1:1/mlflow"}
    command = [sys.executable, "-P", "-c", PROGRAM, str(tmp_path / "home"), str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    code, modules = json.loads(done.stdout)
    assert (code, len(done.stderr.splitlines())) == (3, 1)
    assert done.stderr.startswith("the database does not answer: ")
    assert "s3cret" not in done.stderr
    pins = (ROOT / "requirements" / "server.txt").read_text().splitlines()
    provided = {pin.partition("==")[0].lower() for pin in pins} | {"radsearch"}
    owners = packages_distributions()
    loaded = {owner.lower().replace("_", "-") for name in modules for owner in owners.get(name, ())}
    assert "sqlalchemy" in loaded
    assert loaded <= provided


def test_a_wrong_password_of_the_database_exits_with_1_in_one_line(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address, _, place = database.rpartition("@")
    wrong = f"{address.rpartition(':')[0]}:not-the-one@{place}"
    monkeypatch.setenv("RADSEARCH_SERVER_BACKEND", wrong)
    code, out, err = run("--home", str(tmp_path / "home"), "--port", str(free_port()), capsys=capsys)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("--backend: the database must let MLflow in, but it says: ")
    assert "not-the-one" not in err
