"""`radsearch server` on a real PostgreSQL, as its clients and its administrator meet it.

One test, as a start takes long and pytest-xdist would give each of several tests a server of its own.
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from mlflow_server.access import PASSWORD, SECRET_KEY
from mlflow_server.launch import free_port
from tests.postgresql import PASSWORD as DATABASE_PASSWORD
from tests.postgresql import cluster

ADMIN = ("admin", "correct horse battery")
LAB = ("lab", "staple of the laboratory")
KEY = "0123456789abcdef0123"
API, ARTIFACTS = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
AT_ONCE = 48  # requests; MLflow serves 40 of them, and SQLAlchemy's own pool would give 15 a connection


class Site:
    """A lab's server, its PostgreSQL and its folder."""

    def __init__(self, folder, database):
        self.folder, self.database, self.port, self.process = folder, database, free_port(), None
        self.backend = database.new_database()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(120)

    def start(self):
        """Start the server; the lines that it prints until it serves, and the first that systemd hears."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "RADSEARCH_"))
        }
        own = {PASSWORD: ADMIN[1], SECRET_KEY: KEY, "RADSEARCH_SERVER_BACKEND": self.backend}
        command = [sys.executable, "-P", "-m", "search.cli", "server", "--port", str(self.port)]
        command += ["--home", str(self.folder / "home"), "--artifacts", str(self.folder / "artifacts")]
        command += ["--allowed-hosts", "mlflow.lab"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=kept | own | {"NOTIFY_SOCKET": str(self.folder / "notify")},
                cwd=self.folder,
            )
        lines = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            line = self.process.stdout.readline()
            assert line, (self.folder / "log").read_text()[-2000:]
            lines.append(line.rstrip("\n"))
        return lines, {self.notify.recv(100) for _ in range(2)}

    def ask(self, path, body=None, account=ADMIN, host="mlflow.lab", method=None):
        """Status and answer of one request."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Host", host)
        if account is not None:
            pair = base64.b64encode(":".join(account).encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get(self, path, body=None, account=ADMIN):
        status, answer = self.ask(API + path, body, account)
        assert status == 200, answer
        return json.loads(answer)


def processes(pid):
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = [int(child) for child in children.read_text().split()] if children.exists() else []
    return [pid, *(one for child in below for one in processes(child))]


@pytest.fixture
def site(tmp_path):
    with cluster(max_connections="200") as database:
        if database is None:
            pytest.skip("PostgreSQL is not installed")
        site = Site(tmp_path, database)
        yield site
        if site.process is not None:
            site.process.kill()
            site.process.wait()
            site.process.stdout.close()
        site.notify.close()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_server_from_its_first_start_to_its_end(site, is_gone):
    it_says_where_it_is_and_tells_systemd_when_it_answers(site)
    run = an_account_logs_a_run_and_an_artifact(site)
    both_go_through_the_server_alone(site, run)
    without_the_right_password_or_under_a_foreign_name_nothing_is_answered(site, run)
    another_account_sees_what_it_was_given_only_and_is_out_once_deleted(site, run)
    no_process_shows_a_secret_and_none_has_loaded_tensorflow(site)
    while_the_database_is_away_requests_may_be_sent_again_and_then_all_goes_on(site, run)
    after_a_kill_nothing_of_it_runs_on_and_the_next_start_has_everything(site, run, is_gone)
    sigterm_ends_it_with_all_its_processes(site, is_gone)


def it_says_where_it_is_and_tells_systemd_when_it_answers(site):
    lines, heard = site.start()
    assert lines[0] == f"MLflow: http://127.0.0.1:{site.port}, for a proxy that answers as mlflow.lab"
    assert lines[1].startswith("Clients: --tracking-uri https://mlflow.lab, ")
    assert heard == {b"READY=1", b"WATCHDOG=1"}
    log = (site.folder / "log").read_text()
    assert re.search(r"MLflow makes its tables, step 1 of \d+", log)
    assert "Warning" not in log  # of nothing that who reads it could mend


def an_account_logs_a_run_and_an_artifact(site):
    site.get("/users/create", dict(zip(("username", "password"), LAB, strict=True)))
    experiment = site.get("/experiments/create", {"name": "study"}, LAB)["experiment_id"]
    run = site.get("/runs/create", {"experiment_id": experiment, "start_time": 1}, LAB)["run"]["info"]
    log(site, run, "roc_auc", 0.75)
    path = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/curves/roc.bin"
    status, answer = site.ask(f"{ARTIFACTS}/{path}", b"\0curve", LAB, method="PUT")
    assert status == 200, answer
    return run | {"experiment": experiment, "path": path}


def log(site, run, key, value):
    metrics = [{"key": key, "value": value, "timestamp": 1, "step": 0}]
    return site.ask(f"{API}/runs/log-batch", {"run_id": run["run_id"], "metrics": metrics}, LAB)[0]


def logged(site, run, account=LAB):
    """The first metric and the artifact, read back through the server alone."""
    metrics = site.get(f"/runs/get?run_id={run['run_id']}", account=account)["run"]["data"]["metrics"]
    status, content = site.ask(f"{ARTIFACTS}/{run['path']}", account=account)
    assert status == 200
    return {metric["key"]: metric["value"] for metric in metrics}["roc_auc"], content


def both_go_through_the_server_alone(site, run):
    assert run["artifact_uri"].startswith("mlflow-artifacts:/")
    assert logged(site, run) == (0.75, b"\0curve")
    (file,) = (site.folder / "artifacts").glob("[0-9]*/**/*.bin")
    assert file.read_bytes() == b"\0curve"


def without_the_right_password_or_under_a_foreign_name_nothing_is_answered(site, run):
    path = f"{API}/runs/get?run_id={run['run_id']}"
    assert site.ask(path, account=None)[0] == 401
    assert site.ask(path, account=("admin", "correct horse batter"))[0] == 401
    assert site.ask(path, account=("admin", "password1234"))[0] == 401
    assert site.ask(path, host="evil.example")[0] == 403
    assert site.ask(f"{ARTIFACTS}/{run['path']}", account=None)[0] == 401
    assert site.ask("/health", account=None)[0] == 200


def another_account_sees_what_it_was_given_only_and_is_out_once_deleted(site, run):
    guest = ("guest", "who came for a visit")
    site.get("/users/create", dict(zip(("username", "password"), guest, strict=True)))
    assert site.ask(f"{API}/runs/get?run_id={run['run_id']}", account=guest)[0] == 403
    grant = {"resource_type": "experiment", "resource_id": run["experiment"], "permission": "READ"}
    status, answer = site.ask("/api/3.0/mlflow/users/permissions/grant", grant | {"username": "guest"})
    assert status == 200, answer
    assert logged(site, run, guest) == (0.75, b"\0curve")
    assert site.ask(f"{API}/users/create", {"username": "x", "password": LAB[1]}, guest)[0] == 403
    assert site.ask(f"{API}/users/delete", {"username": "guest"}, method="DELETE")[0] == 200
    assert site.ask(f"{API}/runs/get?run_id={run['run_id']}", account=guest)[0] == 401


def no_process_shows_a_secret_and_none_has_loaded_tensorflow(site):
    everyone = processes(site.process.pid)
    assert len(everyone) >= 3
    shown = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in everyone).decode()
    files = (site.folder / "log", site.folder / "home" / "accounts" / "basic_auth.ini")
    told = shown + "".join(path.read_text() for path in files)
    assert "mlflow.lab" in shown
    assert not any(secret in told for secret in (ADMIN[1], KEY, DATABASE_PASSWORD, LAB[1]))
    assert not any("tensorflow" in Path(f"/proc/{pid}/maps").read_text() for pid in everyone)


def while_the_database_is_away_requests_may_be_sent_again_and_then_all_goes_on(site, run):
    """No answer says that the request is at fault (4xx): who logs would not send it again."""
    statuses, ended = Counter(), threading.Event()

    def client():
        while not ended.is_set():
            statuses[log(site, run, "loss", 0.5)] += 1

    clients = [threading.Thread(target=client) for _ in range(AT_ONCE)]
    for thread in clients:
        thread.start()
    try:
        wait_for(lambda: statuses[200] >= AT_ONCE)
        site.database.kill()
        wait_for(lambda: statuses[503] >= AT_ONCE)
        site.database.start()
        before = statuses[200]
        wait_for(lambda: statuses[200] >= before + AT_ONCE)
    finally:
        ended.set()
        for thread in clients:
            thread.join(120)
    assert all(status == 200 or status >= 500 for status in statuses), statuses
    assert logged(site, run) == (0.75, b"\0curve")
    assert site.process.poll() is None


def wait_for(what, seconds=120):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_of(site):
    """Of MLflow's processes, which are not in that of the command."""
    (group,) = {os.getpgid(pid) for pid in processes(site.process.pid)[1:]}
    return group


def after_a_kill_nothing_of_it_runs_on_and_the_next_start_has_everything(site, run, is_gone):
    group = group_of(site)
    site.process.kill()
    site.process.wait()
    site.process.stdout.close()
    assert is_gone(group)
    lines, _ = site.start()
    assert lines[0].startswith("MLflow: ")
    assert logged(site, run) == (0.75, b"\0curve")


def sigterm_ends_it_with_all_its_processes(site, is_gone):
    group = group_of(site)
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(60) == 0
    assert is_gone(group)
    assert free_port(site.port) == site.port
