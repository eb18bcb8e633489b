"""What a hostile page, a stranger on the network and a kill can do to `radsearch ui`, over real HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search import cli
from search.dashboard import artifact_store, attach_pictures
from search.home import Home

SECRETS = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "correct horse battery",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "0123456789abcdef-key",
}
LOGIN = {"Authorization": f"Basic {b64encode(b'admin:correct horse battery').decode()}"}
PORTS = ("--port=0", "--mlflow-port=0")
LISTENING = "0A"
PICTURE = b"\x89PNG picture"


on_linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads /proc")


class Ui:
    """`radsearch ui` in a process of its own over a home with one study."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.home = Home.at(folder)
        folder.mkdir(parents=True)
        (folder.parent / "outside.txt").write_text("outside the home")
        study = optuna.create_study(
            study_name="demo", storage=JournalStorage(JournalFileBackend(str(self.home.journal)))
        )
        trial = study.ask()
        (folder / "roc.png").write_bytes(PICTURE)
        store = artifact_store(self.home.artifacts)
        (self.picture,) = attach_pictures(study, trial, store, {"ROC": folder / "roc.png"}).values()
        study.tell(trial, 0.5)
        clean = {name: value for name, value in os.environ.items() if name not in SECRETS}
        # What a user may have set for other servers.
        clean |= {"MLFLOW_DEPLOYMENTS_TARGET": "http://127.0.0.1:9", "MLFLOW_STATIC_PREFIX": "/elsewhere"}
        clean |= {"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*", "MLFLOW_SERVER_ALLOWED_HOSTS": "*"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "search.cli", "ui", "--home", folder, *PORTS, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean | variables,
        )
        self.lines: list[str] = []
        deadline = threading.Timer(90, self.process.kill)
        deadline.start()
        for line in self.process.stdout or ():
            self.lines.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        else:
            deadline.cancel()
            pytest.fail(f"radsearch ui ended: {self.process.communicate()[1]}")
        deadline.cancel()
        self.dashboard, self.mlflow = (int(re.findall(r":(\d+)/", line)[0]) for line in self.lines[:2])

    def processes(self) -> list[int]:
        """It and all its descendants."""
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents() if parent == pid]
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def parents() -> list[tuple[int, int]]:
    """Every process and its parent."""
    pairs = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pairs.append((int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pairs


def listening(pids: list[int]) -> dict[int, str]:
    """The ports that these processes listen on, and the address of each in hexadecimal."""
    inodes = set()
    for pid in pids:
        links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
        inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    open_ports = [row[1].split(":") for row in rows if row[3] == LISTENING and row[9] in inodes]
    return {int(port, 16): address for address, port in open_ports}


def ask(
    port: int, method: str, path: str, body: str | bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """One request as it is; `Host` is ours unless given, and left out where it is `absent`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    given = {"Host": f"127.0.0.1:{port}", "Accept-Encoding": ""} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    content = body.encode() if isinstance(body, str) else body
    if content is not None:
        given.setdefault("Content-Length", str(len(content)))
    for name, value in given.items():
        if value != "absent":
            connection.putheader(name, value)
    try:
        connection.endheaders(content)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def api(ui: Ui, path: str, **fields: object) -> dict[str, object]:
    """A call of MLflow's own, as its pages and clients make it."""
    status, body = ask(ui.mlflow, "POST", path, json.dumps(fields), Content_Type="application/json")
    assert status == 200, body
    return dict(json.loads(body))


def names(ui: Ui) -> set[str]:
    """The experiments that MLflow holds."""
    found = api(ui, "/ajax-api/2.0/mlflow/experiments/search", max_results=100)["experiments"]
    return {experiment["name"] for experiment in found}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """On loopback, without a password."""
    ui = Ui(tmp_path_factory.mktemp("ui") / "home")
    yield ui
    ui.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """On every address, with a password."""
    ui = Ui(
        tmp_path_factory.mktemp("guarded") / "home",
        "--host=0.0.0.0",
        "--allowed-hosts=lab.example",
        **SECRETS,
    )
    yield ui
    ui.stop()


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Ui]:
    """One to kill."""
    ui = Ui(tmp_path / "home")
    yield ui
    ui.stop()


READS = ["/api/studies", "/dashboard", "/static/bundle.js"]
MLFLOW_READS = ["/", "/health", "/version", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"]
FOREIGN = [
    "absent",
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost.",
    "192.168.0.7",
    "0.0.0.0",  # noqa: S104 - a header
]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_name_reads_and_writes_nothing(ui: Ui, host: str) -> None:
    assert {ask(ui.dashboard, "GET", path, Host=host)[0] for path in READS} == {403}
    # An HTTP/1.1 server may call a request without Host malformed.
    refused = {400, 403} if host == "absent" else {403}
    assert {ask(ui.mlflow, "GET", path, Host=host)[0] for path in MLFLOW_READS} <= refused
    body = json.dumps({"name": f"by {host}"})
    path = "/api/2.0/mlflow/experiments/create"
    assert ask(ui.mlflow, "POST", path, body, Host=host, Content_Type="application/json")[0] in refused
    assert names(ui) == {"Default"}


@pytest.mark.parametrize("host", ["localhost:{}", "LOCALHOST:{}", "127.0.0.1:{}", "127.0.0.1:9", "[::1]:{}"])
def test_every_name_of_this_machine_reads_at_any_port(ui: Ui, host: str) -> None:
    assert ask(ui.dashboard, "GET", "/api/studies", Host=host.format(ui.dashboard))[0] == 200
    if (
        host.islower() or not host[0].isalpha()
    ):  # MLflow compares names to the letter, and browsers lower them
        assert ask(ui.mlflow, "GET", MLFLOW_READS[-1], Host=host.format(ui.mlflow))[0] == 200


@pytest.mark.parametrize("header", ["X_Forwarded_Host", "X_Forwarded_Server", "Forwarded", "X_Original_Host"])
def test_no_forwarding_header_stands_in_for_the_host(ui: Ui, header: str) -> None:
    for port, path in ((ui.dashboard, "/api/studies"), (ui.mlflow, MLFLOW_READS[-1])):
        assert ask(port, "GET", path, **{"Host": "evil.example", header: "localhost"})[0] == 403
        assert ask(port, "GET", path, **{header: "evil.example"})[0] == 200


ORIGINS = [
    "http://evil.example",
    "null",
    "http://localhost:9",
    "http://127.0.0.1",
    "https://127.0.0.1.evil.example",
]
CALLS = [
    ("POST", "/api/2.0/mlflow/experiments/create"),
    ("POST", "/ajax-api/2.0/mlflow/experiments/create"),
    ("POST", "/graphql"),
    ("POST", "/v1/traces"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/evil.txt"),
    ("PATCH", "/api/2.0/mlflow/registered-models/update"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/evil.txt"),
]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_another_page_changes_nothing(ui: Ui, origin: str, kind: str) -> None:
    body = json.dumps({"name": "evil"})
    for method, path in CALLS:
        assert ask(ui.mlflow, method, path, body, Origin=origin, Content_Type=kind)[0] == 403
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert ask(ui.dashboard, method, "/api/studies/0", body, Origin=origin, Content_Type=kind)[0] == 403
    assert names(ui) == {"Default"}
    assert not list(ui.home.tracking_artifacts.rglob("evil*"))
    assert b'"demo"' in ask(ui.dashboard, "GET", "/api/studies")[1]


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_page_reads_nothing(ui: Ui, origin: str) -> None:
    assert ask(ui.dashboard, "GET", ui.picture)[1] == PICTURE
    assert ask(ui.dashboard, "GET", ui.picture, Origin=origin)[0] == 403
    assert ask(ui.mlflow, "GET", MLFLOW_READS[-1], Origin=origin)[0] == 403
    preflight = {"Origin": origin, "Access_Control_Request_Method": "POST"}
    assert ask(ui.mlflow, "OPTIONS", CALLS[0][1], **preflight)[0] == 403


def test_mlflows_own_pages_may_search_and_write(ui: Ui) -> None:
    own = {"Origin": f"http://localhost:{ui.mlflow}", "Host": f"localhost:{ui.mlflow}"}
    body = json.dumps({"experiment_ids": ["0"]})
    path = "/ajax-api/2.0/mlflow/runs/search"
    assert ask(ui.mlflow, "POST", path, body, Content_Type="application/json", **own)[0] == 200
    body = json.dumps({"experiment_id": "0", "key": "mlflow.note.content", "value": "ours"})
    path = "/ajax-api/2.0/mlflow/experiments/set-experiment-tag"
    assert ask(ui.mlflow, "POST", path, body, Content_Type="application/json", **own)[0] == 200


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "DEBUG"])
def test_other_methods_are_refused(ui: Ui, method: str) -> None:
    assert ask(ui.dashboard, method, "/api/studies")[0] == 403
    assert ask(ui.mlflow, method, "/health")[0] in (400, 403)


def test_no_websocket_is_opened(ui: Ui) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert 101 not in {ask(port, "GET", "/ws", **upgrade)[0] for port in (ui.dashboard, ui.mlflow)}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        "assistant/config",
        "assistant/message",
        "gateway/secrets/list",
        "webhooks",
        "assistant/config%0A",
        "assistant/config%0D",
        "assistant/config%0D%0A",
        "assistant/config%00",
        "%61ssistant/config",
        "assistant%2Fconfig",
        "/assistant/config",
        "assistant//config",
        "assistant/./config",
        "assistant/x/../config",
        "assistant/config/",
        "assistant/config;a",
        "gateway/secrets/list%0A",
        "gateway%2Fsecrets/list",
    ],
)
def test_what_runs_programs_or_calls_elsewhere_is_not_served(ui: Ui, path: str, method: str) -> None:
    assert ask(ui.mlflow, method, f"/ajax-api/3.0/mlflow/{path}", "{}")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "//ajax-api/3.0/mlflow/assistant/config",
        "//ajax-api/3.0/mlflow/gateway/secrets/list",
        "/%2Fajax-api/3.0/mlflow/gateway/secrets/list",
        "///api/3.0/mlflow/scorers/list",
        "ajax-api/3.0/mlflow/gateway/secrets/list",
        "http://localhost/ajax-api/3.0/mlflow/assistant/config",
        "/AJAX-API/3.0/mlflow/assistant/config",
        "/ajax-api/3.0/mlflow/Assistant/config",
        "/./ajax-api/3.0/mlflow/assistant/config",
        "/x/../ajax-api/3.0/mlflow/assistant/config",
        "/ajax-api/3.0/mlflow/assistant;a/config",
        "/ajax-api/3.0/mlflow/%2561ssistant/config",
        "/ajax-api%252F3.0/mlflow/assistant/config",
        "/ajax-api/3.0/mlflow/x%2F..%2Fassistant/config",
    ],
)
def test_nor_is_it_by_another_spelling_of_its_path(ui: Ui, path: str) -> None:
    assert ask(ui.mlflow, "GET", path)[0] in (400, 403, 404)


def test_the_gateway_that_the_page_of_runs_asks_after_leads_nowhere(ui: Ui) -> None:
    """Were it refused, every page of runs would show an error."""
    path = "/ajax-api/2.0/mlflow/gateway-proxy?gateway_path=api/2.0/endpoints/"
    status, body = ask(ui.mlflow, "GET", path)
    assert (status, json.loads(body)) == (200, {"endpoints": []})


UP = ["../" * depth + "outside.txt" for depth in (1, 2, 3, 6)]


@pytest.mark.parametrize("path", [*UP, "....//....//outside.txt", "..\\..\\outside.txt", "/etc/hostname"])
def test_no_path_leads_out_of_the_served_folders(ui: Ui, path: str) -> None:
    run = api(ui, "/api/2.0/mlflow/runs/create", experiment_id="0")["run"]["info"]["run_id"]  # type: ignore[index]
    escaped = (path, quote(path, safe=""), quote(quote(path, safe=""), safe=""))
    for text in escaped:
        for place in ("/artifacts/0/0/", "/artifacts/0/", "/static/", "/mlflow/demo/"):
            status, body = ask(ui.dashboard, "GET", place + text)
            assert (status in (403, 404), b"outside the home" in body) == (True, False)
        for place in (
            f"/get-artifact?run_uuid={run}&path=",
            "/api/2.0/mlflow-artifacts/artifacts/",
            "/ajax-api/2.0/mlflow-artifacts/artifacts/",
            "/static-files/",
        ):
            status, body = ask(ui.mlflow, "GET", place + text)
            assert (status != 200, b"outside the home" in body) == (True, False), place + text
        place = f"/api/2.0/mlflow-artifacts/artifacts/{text}"
        ask(ui.mlflow, "DELETE", place)  # of nothing, which may well succeed
    assert (ui.home.root.parent / "outside.txt").read_text() == "outside the home"


def test_what_is_put_lands_inside_or_nowhere(ui: Ui) -> None:
    before = {path for path in ui.home.root.parent.rglob("*") if "put" in path.name}
    for text in (
        "../put.txt",
        "..%2fput.txt",
        "%2e%2e/put.txt",
        "..%252fput.txt",
        "/put.txt",
        "..%5cput.txt",
    ):
        ask(ui.mlflow, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{text}", "put")
    after = {path for path in ui.home.root.parent.rglob("*") if "put" in path.name}
    assert all(path.is_relative_to(ui.home.tracking_artifacts) for path in after - before)


def test_the_dashboard_forbids_frames_and_guessing(ui: Ui) -> None:
    for port in (ui.dashboard, ui.mlflow):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(
            "GET", "/dashboard" if port == ui.dashboard else "/", headers={"Accept-Encoding": ""}
        )
        headers = connection.getresponse().headers
        connection.close()
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert any("frame-ancestors" in policy for policy in headers.get_all("Content-Security-Policy"))


@pytest.mark.parametrize(
    ("front", "end"),
    [
        ("/%FFartifacts/", ""),
        ("/art%FFifacts/", ""),
        ("%C3/artifacts/", ""),
        ("/artifacts/%F0", ""),
        ("/artifacts/", "%E2%82"),
        ("/artifacts/", "%0A"),
        ("/%61rtifacts/", ""),
        ("//artifacts/", ""),
        ("/%2Fartifacts/", ""),
    ],
)
def test_no_spelling_of_its_path_gives_an_artifact_life(ui: Ui, front: str, end: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ui.dashboard, timeout=60)
    connection.request("GET", ui.picture.replace("/artifacts/", front) + end)
    answer = connection.getresponse()
    served = answer.read() == PICTURE
    connection.close()
    assert not served or "sandbox" in answer.headers["Content-Security-Policy"]
    assert served == (front in ("/%61rtifacts/", "//artifacts/"))


UNENDED = (
    b"POST /api/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"a" * 1_000_000
)
FLOODS = (
    b"GET /" + b"a" * 500_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 200_000 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"\x00\xff" * 1000 + b"\r\n\r\n",
    UNENDED,
)


def flood(port: int) -> list[bytes]:
    """More header or body than anybody needs; the first lines of the answers."""
    answers = []
    for content in FLOODS:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            try:
                connection.sendall(content)
                if content is UNENDED:  # a server may wait for the rest, but not for that of one who left
                    connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                answers.append(connection.recv(4096).partition(b"\r\n")[0])
            except TimeoutError:
                raise
            except OSError:  # a server may hang up while it is still being sent to
                continue
    return answers


def test_floods_of_bytes_and_of_connections_kill_neither_server(ui: Ui) -> None:
    for port in (ui.dashboard, ui.mlflow):
        answers = flood(port)
        assert any(answers)
        assert not [line for line in answers if line.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))]
        idle = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(100)]
        path = "/api/studies" if port == ui.dashboard else "/health"
        assert ask(port, "GET", path)[0] == 200
        for connection in idle:
            connection.close()
    assert ui.process.poll() is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--host=0.0.0.0"],
            ["--allowed-hosts: ", "MLFLOW_AUTH_ADMIN_PASSWORD: ", "MLFLOW_FLASK_SERVER_SECRET_KEY: "],
        ),
        (["--host=192.0.2.1"], ["MLFLOW_AUTH_ADMIN_PASSWORD: ", "MLFLOW_FLASK_SERVER_SECRET_KEY: "]),
        (["--allowed-hosts=lab"], ["--allowed-hosts: "]),
        (["--host=lab"], ["--host: "]),
    ],
)
def test_what_would_open_the_servers_unprotected_is_refused_in_lines(
    options: list[str],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["ui", "--home", str(tmp_path / "home"), *options]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said
    assert not (tmp_path / "home").exists()


def test_an_address_of_another_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["ui", "--home", str(tmp_path), "--host=192.0.2.1"]) == 1
    assert capsys.readouterr().err == "--host: 192.0.2.1 is no address of this machine\n"


@on_linux
def test_both_listen_on_loopback_alone(ui: Ui) -> None:
    found = listening(ui.processes())
    assert found == {ui.dashboard: "0100007F", ui.mlflow: "0100007F"}


@on_linux
def test_beyond_loopback_both_ask_for_the_password_and_nothing_shows_it(guarded: Ui) -> None:
    assert listening(guarded.processes()) == {guarded.dashboard: "00000000", guarded.mlflow: "00000000"}
    said = [*guarded.lines, *(path.read_text() for path in guarded.home.logs.iterdir())]
    said += [Path(f"/proc/{pid}/cmdline").read_text() for pid in guarded.processes()]
    said += [path.read_text() for path in (guarded.home.root / "accounts").glob("*.ini")]
    assert not [text for text in said if any(secret in text for secret in SECRETS.values())]
    assert guarded.lines[0].startswith("optuna-dashboard: http://lab.example:")


GUARDED = [
    ("dashboard", "/"),
    ("dashboard", "/api/studies"),
    ("dashboard", "PICTURE"),
    ("mlflow", "/"),
    ("mlflow", MLFLOW_READS[-1]),
    ("mlflow", "/get-artifact?run_uuid=a&path=b"),
    ("mlflow", "/api/2.0/mlflow-artifacts/artifacts/a"),
]


@pytest.mark.parametrize(("server", "path"), GUARDED)
def test_beyond_loopback_nothing_is_read_without_the_password(guarded: Ui, server: str, path: str) -> None:
    port = getattr(guarded, server)
    path = guarded.picture if path == "PICTURE" else path
    host = {"Host": f"lab.example:{port}"}
    wrong = {"Authorization": f"Basic {b64encode(b'admin:password1234').decode()}"}
    assert ask(port, "GET", path, **host)[0] == 401
    assert ask(port, "GET", path, **host, **wrong)[0] == 401
    assert ask(port, "GET", path, **host, **LOGIN)[0] not in (401, 403)
    assert ask(port, "GET", path, Host="evil.example", **LOGIN)[0] == 403
    assert ask(port, "GET", path, **host, **LOGIN, Origin="http://evil.example")[0] == 403


def test_beyond_loopback_the_pages_under_a_given_name_work(guarded: Ui) -> None:
    own = {"Host": f"lab.example:{guarded.mlflow}", "Origin": f"http://lab.example:{guarded.mlflow}"}
    body = json.dumps({"experiment_ids": ["0"]})
    path = "/ajax-api/2.0/mlflow/runs/search"
    assert ask(guarded.mlflow, "POST", path, body, Content_Type="application/json", **own, **LOGIN)[0] == 200
    # As behind a proxy that adds TLS.
    own = {"Host": "lab.example", "Origin": "https://lab.example"}
    assert ask(guarded.mlflow, "POST", path, body, Content_Type="application/json", **own, **LOGIN)[0] == 200
    assert ask(guarded.dashboard, "DELETE", "/api/studies/0", **LOGIN)[0] == 403


@on_linux
def test_killing_radsearch_ui_takes_mlflow_along(doomed: Ui) -> None:
    assert len(doomed.processes()) > 2
    doomed.process.kill()
    doomed.process.wait(20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(connects(port) for port in (doomed.dashboard, doomed.mlflow)):
        time.sleep(0.05)
    assert not connects(doomed.mlflow)
    assert not connects(doomed.dashboard)


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@on_linux
def test_when_mlflow_dies_radsearch_ui_says_so_and_ends(doomed: Ui) -> None:
    (server,) = [pid for pid in doomed.processes() if doomed.mlflow in listening([pid])]
    os.kill(server, signal.SIGKILL)
    timer = threading.Timer(60, doomed.process.kill)
    timer.start()
    _, said = doomed.process.communicate()
    timer.cancel()
    assert doomed.process.returncode == 3
    assert said.startswith("the MLflow server ended (see ")
    assert len(said.splitlines()) == 1
    assert not connects(doomed.dashboard)
