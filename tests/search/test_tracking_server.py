"""What `radsearch server` takes and refuses, and what it does around a server that stands in for MLflow's."""

from __future__ import annotations

import socket
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from data_prep.problems import InputError
from mlflow_server.access import PASSWORD, SECRET_KEY, UNENCRYPTED
from mlflow_server.config import ServerConfig
from mlflow_server.launch import DatabaseRefusedError, ServerError
from search import tracking_server
from search.errors import StudyStoppedError
from search.tracking_server import CHECKOUT, Request, read_config, service_text, serving

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here
SECRETS = {PASSWORD: "correct horse battery", SECRET_KEY: "0123456789abcdef"}
DATABASE = {"RADSEARCH_SERVER_BACKEND": "postgresql://mlflow:s3cret-of-mlflow@db.lab/mlflow"}


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    """Reads a request, by default of a home of its own, on loopback."""

    def ask(environment: Mapping[str, str] | None = None, **given: Any) -> ServerConfig:
        fields = {"host": "127.0.0.1", "allowed_hosts": "", "port": 5000, "backend": None, "artifacts": None}
        request = Request(**(fields | {"home": str(tmp_path / "home")} | given))
        return read_config(request, environment or {})

    return ask


def lines(ask: Any, *args: Any, **given: Any) -> list[str]:
    with pytest.raises(InputError, match=r"\w") as refused:
        ask(*args, **given)
    return list(refused.value.problems)


def test_by_default_the_home_is_served_to_this_machine_without_a_password(ask: Any, tmp_path: Path) -> None:
    config = ask()
    assert config.backend_uri == f"sqlite:///{tmp_path}/home/mlflow.db"
    assert config.artifacts == tmp_path / "home" / "mlartifacts"
    assert (config.url, config.access.credentials, config.shared) == ("http://127.0.0.1:5000", None, False)
    assert not (tmp_path / "home").exists()


def test_with_postgresql_the_accounts_lie_in_it_and_the_password_is_libpqs(ask: Any) -> None:
    config = ask(SECRETS | DATABASE, host=EVERYWHERE, allowed_hosts="mlflow.lab")
    environment = config.environment({})
    assert environment["PGPASSWORD"] == "s3cret-of-mlflow"
    for uri in (environment["MLFLOW_BACKEND_STORE_URI"], config.accounts_uri):
        assert uri.startswith("postgresql://mlflow@db.lab/mlflow?")
    assert config.url == "http://mlflow.lab:5000"


def test_names_on_loopback_are_those_of_a_proxy_and_need_a_password(ask: Any) -> None:
    asked_for = [line.partition(":")[0] for line in lines(ask, allowed_hosts="mlflow.lab")]
    assert asked_for == [PASSWORD, SECRET_KEY]
    access = ask(SECRETS, allowed_hosts="mlflow.lab").access
    assert (access.host, "mlflow.lab" in access.hosts) == ("127.0.0.1", True)


def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_written(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = lines(
        ask,
        {PASSWORD: "password1234"},
        host=EVERYWHERE,
        backend="mysql://anna:s3cret@db/mlflow",
        artifacts=str(tmp_path / "file"),
        home=str(tmp_path / "file"),
        mlflow_version="1.0",
    )
    beginnings = [
        f"--mlflow-version: MLflow 1.0 is needed, but {version('mlflow')} is installed",
        "--allowed-hosts: --host 0.0.0.0 listens on every address",
        f"{PASSWORD}: a password of your own is needed, but got the one MLflow published",
        f"{SECRET_KEY}: a key of at least 16",
        "--home: a folder is needed",
        f"--artifacts: {tmp_path}/file: a folder must be there or be made, but {tmp_path}/file is a file",
        "--backend: postgresql://USER@HOST/DATABASE or sqlite:////ABSOLUTE/FILE is needed, but got mysql://",
    ]
    assert len(told) == len(beginnings)
    assert all(line.startswith(beginning) for line, beginning in zip(told, beginnings, strict=True))
    assert "s3cret" not in "\n".join(told)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"backend": "postgresql://anna:s3cret@db/mlflow"},
            "--backend: a password on a command line is seen",
        ),
        ({"backend": "sqlite:///mlflow.db"}, "--backend: the path of an SQLite file must be absolute"),
        (
            {"backend": "sqlite:////dev/null/mlflow.db"},
            "--backend: /dev/null/mlflow.db: a folder must be there",
        ),
        ({"backend": ""}, "--backend: postgresql://USER@HOST/DATABASE"),
        ({"host": "192.0.2.1"}, "--host: 192.0.2.1 is no address of this machine"),
        ({"artifacts": "s3://bucket"}, "--artifacts: a folder is needed, but got 's3://bucket'"),
        ({"artifacts": "/proc/radsearch"}, "--artifacts: /proc/radsearch: "),
    ],
)
def test_what_cannot_be_is_refused(ask: Any, given: dict[str, str], said: str) -> None:
    (line,) = lines(ask, SECRETS, **given)
    assert line.startswith(said)
    assert "s3cret" not in line


def test_a_wrong_address_in_the_environment_is_told_under_its_name(ask: Any) -> None:
    (line,) = lines(ask, {"RADSEARCH_SERVER_BACKEND": "mysql://anna:s3cret@db/mlflow"})
    assert line.startswith("RADSEARCH_SERVER_BACKEND: postgresql://USER@HOST/DATABASE")


@pytest.mark.parametrize("place", ["home/studies/cd3d", "home/accounts/new", "home/cache/a", "etc"])
def test_a_folder_that_is_somebody_elses_is_refused_here_and_in_print(
    ask: Any, tmp_path: Path, place: str
) -> None:
    """A study's folder has a database's password and its table of pseudonyms."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("")
    (line,) = lines(ask, artifacts=str(tmp_path / place))
    assert line.startswith("--artifacts: clients get every file in it, so a folder for artifacts alone is")
    request = Request("127.0.0.1", "", 5000, None, str(tmp_path / place), str(tmp_path / "home"))
    for kind in ("systemd", "compose"):
        with pytest.raises(InputError, match="--artifacts: clients get every file in it"):
            service_text(kind, request, {})


def test_a_folder_is_served_again_whatever_names_clients_gave(
    ask: Any, started: list[Server], free: int, tmp_path: Path
) -> None:
    given = {"artifacts": str(tmp_path / "artifacts"), "port": free}
    said(ask(**given))
    (tmp_path / "artifacts" / "by-name").mkdir()
    said(ask(**given))


@pytest.mark.parametrize(
    "place",
    [".", "home", "home/accounts", "home/studies", "home/artifacts", "home/models", "home/cache", "runs"],
)
def test_a_folder_of_artifacts_with_anything_else_in_it_is_refused(
    ask: Any, tmp_path: Path, place: str
) -> None:
    """Clients may ask for every file under it: accounts, runs and studies among them."""
    given = {"backend": f"sqlite:///{tmp_path}/runs/mlflow.db"}
    (line,) = lines(ask, artifacts=str(tmp_path / place), **given)
    assert line.startswith(
        "--artifacts: clients get every file in it, so a folder for artifacts alone is needed"
    )
    (tmp_path / "link").symlink_to(tmp_path / place)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    assert lines(ask, artifacts=str(tmp_path / "link"), **given)


def test_a_folder_beside_all_that_is_taken_for_artifacts(ask: Any, tmp_path: Path) -> None:
    for place in ("home/mlartifacts", "artifacts", "home/of-mlflow"):
        assert ask(artifacts=str(tmp_path / place)).artifacts == tmp_path / place


def test_accounts_that_others_could_have_written_are_refused(ask: Any, tmp_path: Path) -> None:
    database = tmp_path / "home" / "accounts" / "accounts.db"
    database.parent.mkdir(parents=True)
    database.touch()
    for path, mode in ((database, 0o666), (database.parent, 0o770)):
        path.chmod(mode)
        (line,) = lines(ask)
        assert line.startswith(f"{path}: only its owner may be able to write it")
        assert stat.filemode(path.stat().st_mode) in line
        path.chmod(mode & 0o700)
    ask()


class Server:
    """Stands in for MLflow's."""

    def __init__(self, config: ServerConfig, log: Path | None, timeout: float) -> None:
        self.config, self.log, self.ended, self.stopped = config, log, False, False

    def check(self) -> None:
        if self.ended:
            raise ServerError("the MLflow server ended; what it said is above")

    def answers(self, timeout: float) -> bool:
        return True

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Server]]:
    """The servers that were started, none of them MLflow's; databases are made as files with one table."""
    servers: list[Server] = []

    def make(config: ServerConfig) -> None:
        with sqlite3.connect(config.backend_uri.removeprefix("sqlite:///")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS experiments (i)")
        connection.close()

    def start(*args: Any) -> Server:
        servers.append(Server(*args))
        return servers[-1]

    monkeypatch.setattr(tracking_server, "start", start)
    monkeypatch.setattr(tracking_server, "provide_tables", make)
    yield servers
    assert all(server.stopped for server in servers)


def said(config: ServerConfig) -> list[str]:
    announced: list[str] = []
    with serving(config, {}, announced.append) as watch:
        watch.check()
    return announced


def test_clients_are_told_where_the_server_is(ask: Any, started: list[Server], free: int) -> None:
    assert said(ask(port=free)) == [
        f"MLflow: http://127.0.0.1:{free}",
        f"Clients: --tracking-uri http://127.0.0.1:{free}, or RADSEARCH_TRACKING_URI=http://127.0.0.1:{free}",
        "Ctrl-C stops it.",
    ]
    everywhere = said(ask(SECRETS, host=EVERYWHERE, allowed_hosts="mlflow.lab", port=free))
    assert everywhere[0] == f"MLflow: http://mlflow.lab:{free}"
    assert everywhere[2] == (
        f"  MLFLOW_TRACKING_USERNAME=admin and MLFLOW_TRACKING_PASSWORD, that of {PASSWORD}"
    )
    assert UNENCRYPTED in everywhere
    proxied = said(ask(SECRETS, allowed_hosts="mlflow.lab", port=free))
    assert proxied[0] == f"MLflow: http://127.0.0.1:{free}, for a proxy that answers as mlflow.lab"
    assert "--tracking-uri https://mlflow.lab," in proxied[1]
    assert not any(secret in line for line in everywhere + proxied for secret in SECRETS.values())


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_new_file_gets_its_name_when_its_tables_are_made(
    ask: Any, started: list[Server], free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, make = ask(port=free), tracking_server.provide_tables
    file = Path(config.backend_uri.removeprefix("sqlite:///"))
    seen: list[bool] = []
    monkeypatch.setattr(
        tracking_server, "provide_tables", lambda given: (make(given), seen.append(file.exists()))
    )
    said(config)
    said(config)
    assert (seen, file.exists()) == ([False, True], True)
    assert not list(file.parent.glob(".*"))


def test_systemd_hears_when_it_answers_and_when_it_stops(
    ask: Any, started: list[Server], free: int, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        with serving(ask(port=free), {"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda _: None):
            heard = {listener.recv(100), listener.recv(100)}
        assert heard == {b"READY=1", b"WATCHDOG=1"}
        assert listener.recv(100) == b"STOPPING=1"


def test_a_taken_port_is_told_before_the_database_is_touched(
    ask: Any, started: list[Server], free: int, tmp_path: Path
) -> None:
    config = ask(port=free)
    with (
        socket.create_server(("127.0.0.1", free)),
        pytest.raises(StudyStoppedError, match=f"port {free} of 127.0.0.1 is taken by another program"),
    ):
        said(config)
    assert (started, (tmp_path / "home").exists()) == ([], False)


@pytest.mark.parametrize(
    ("error", "kind"), [(DatabaseRefusedError("no"), InputError), (ServerError("no"), StudyStoppedError)]
)
def test_a_database_that_refuses_is_the_users_and_one_that_is_away_is_not(
    ask: Any, started: list[Server], free: int, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type
) -> None:
    def refuse(config: ServerConfig) -> None:
        raise error

    monkeypatch.setattr(tracking_server, "provide_tables", refuse)
    with pytest.raises(kind, match=r"no$"):
        said(ask(port=free))
    assert started == []


def test_a_server_that_ends_by_itself_ends_the_command(ask: Any, started: list[Server], free: int) -> None:
    def serve() -> None:
        with serving(ask(port=free), {}, lambda _: None) as watch:
            started[0].ended = True
            watch.check()

    with pytest.raises(StudyStoppedError, match="the MLflow server ended; what it said is above"):
        serve()


def test_a_printed_service_has_the_address_without_its_password() -> None:
    request = Request("127.0.0.1", "", 5000, None, None, "/srv/radsearch")
    for kind in ("systemd", "compose"):
        text = service_text(kind, request, DATABASE)
        assert "postgresql://mlflow@db.lab/mlflow" in text
        assert "s3cret" not in text
    assert "sqlite:////srv/radsearch/mlflow.db" in service_text("systemd", request, {})
    assert f'context: "{CHECKOUT}"' in service_text("compose", request, {})


def test_a_unit_leaves_the_home_of_whoever_prints_it_alone(tmp_path: Path) -> None:
    def unit(home: str | None, environment: dict[str, str]) -> str:
        return service_text("systemd", Request("127.0.0.1", "", 5000, None, None, home), environment)

    place = "install -d -o radsearch -g radsearch -m 0700 /"
    own = unit(None, {})
    assert {line.split()[-1] for line in own.splitlines() if place in line} == {
        "/var/lib/radsearch",
        "/var/lib/radsearch/mlartifacts",
    }
    assert "radsearch-home" not in own
    assert f"{place}srv/a\n" in unit("/srv/a", {"RADSEARCH_HOME": "/srv/b"})
    assert f"{place}srv/b\n" in unit(None, {"RADSEARCH_HOME": "/srv/b"})


def test_a_service_that_cannot_be_is_refused_with_all_problems() -> None:
    request = Request(EVERYWHERE, "", 5000, "mysql://db", "s3://bucket", "/srv/radsearch")
    for kind in ("systemd", "compose"):
        with pytest.raises(InputError, match=r"--allowed-hosts: .*\n--backend: .*\n--artifacts: "):
            service_text(kind, request, {})
    local = Request("127.0.0.1", "", 5000, "postgresql://a@localhost/b", None, "/srv/radsearch")
    with pytest.raises(InputError, match="another name than localhost"):
        service_text("compose", local, {})
