from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from data_prep.problems import InputError, Problems
from search.cluster_parser import LAUNCHERS as CHOICES
from search.home import Home
from search.launchers.opening import (
    LAUNCHERS,
    check_reach,
    environment_of,
    launcher_of,
    only_here,
    write_environment,
)
from tests.search.launchers.conftest import STORAGE, MakeRequest

SERVER = "http://mlflow.lab:5000"


def check(launcher: str, several: bool, storage: str | None, tracking: str | None) -> None:
    problems = Problems()
    check_reach(launcher, several, storage, tracking, problems)
    problems.raise_any()


def test_the_command_line_offers_the_launchers_that_there_are() -> None:
    assert set(CHOICES) == set(LAUNCHERS)


@pytest.mark.parametrize("name", sorted(LAUNCHERS))
def test_every_launcher_can_do_what_is_asked_of_launchers(name: str) -> None:
    launcher = launcher_of(name)
    assert all(callable(getattr(launcher, part)) for part in ("check", "plan", "ready", "launch"))


@pytest.mark.parametrize(
    ("launcher", "several", "storage", "tracking"),
    [
        ("slurm", True, STORAGE, SERVER),
        ("ray", True, STORAGE, "https://jo:pw@mlflow.lab"),
        ("ray", False, STORAGE, None),
        ("local", False, None, None),
        ("local", False, STORAGE, "sqlite:////home/me/mlflow.db"),
    ],
)
def test_what_the_workers_can_share_is_taken(
    launcher: str, several: bool, storage: str | None, tracking: str | None
) -> None:
    check(launcher, several, storage, tracking)


@pytest.mark.parametrize(
    ("launcher", "storage", "got"),
    [
        ("slurm", None, "slurm needs postgresql://.* got none: the journal in the home is for one machine"),
        ("ray", None, "ray needs postgresql://.* got none"),
        ("slurm", "sqlite:////x.db", "slurm needs postgresql://.* got sqlite:////x.db"),
        ("local", "sqlite:////x.db", "local needs postgresql://.* got sqlite"),
        ("slurm", "mysql://jo:sesame@db/x", "--storage: postgresql://.* is needed, .* but got mysql"),
        ("slurm", "no url", "--storage: a database URL is needed"),
    ],
)
def test_a_storage_that_many_workers_cannot_share_is_refused(
    launcher: str, storage: str | None, got: str
) -> None:
    with pytest.raises(InputError, match=got) as told:
        check(launcher, False, storage, SERVER)
    assert "sesame" not in str(told.value)


@pytest.mark.parametrize(
    ("tracking", "got"),
    [
        (
            None,
            "need an MLflow server.*none: the database in the home is for one machine. `radsearch server`",
        ),
        ("sqlite:////shared/mlflow.db", "need an MLflow server, http://HOST:PORT, but got sqlite:////shared"),
        ("postgresql://jo:sesame@db/mlflow", r"need an MLflow server, .* but got postgresql://jo:\*\*\*@db"),
        ("http//typo", "tracking URI: the scheme must be one of"),
        ("http://jo:sesame@[bad", r"http://HOST:PORT is needed, but got 'http://jo:\*\*\*@\[bad'"),
    ],
)
def test_several_machines_need_a_tracking_server(tracking: str | None, got: str) -> None:
    with pytest.raises(InputError, match=got) as told:
        check("slurm", True, STORAGE, tracking)
    assert "sesame" not in str(told.value)


def test_both_are_complained_of_at_once() -> None:
    with pytest.raises(InputError) as told:
        check("slurm", True, None, None)
    assert [line.partition(":")[0] for line in told.value.problems] == ["--storage", "--tracking-uri"]


@pytest.mark.parametrize(
    ("storage", "tracking", "flags"),
    [
        (STORAGE, SERVER, []),
        ("postgresql://jo@localhost/x", SERVER, ["--storage"]),
        ("postgresql:///x", SERVER, ["--storage"]),
        (STORAGE, "http://127.0.0.1:5000", ["--tracking-uri"]),
        ("postgresql://jo@[::1]/x", None, ["--storage"]),
    ],
)
def test_addresses_that_mean_another_machine_on_each_are_pointed_out(
    storage: str, tracking: str | None, flags: list[str]
) -> None:
    assert [line.partition(":")[0] for line in only_here(storage, tracking)] == flags


def test_workers_get_where_everything_is_and_what_libpq_and_mlflow_go_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", "/home/jo/.pgpass")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "sesame")
    monkeypatch.setenv("UNRELATED", "x")
    environment = environment_of(Home(tmp_path), STORAGE, SERVER)
    named = {"RADSEARCH_HOME": str(tmp_path), "RADSEARCH_STORAGE": STORAGE, "RADSEARCH_TRACKING_URI": SERVER}
    assert named.items() <= environment.items()
    assert {
        "PGPASSFILE": "/home/jo/.pgpass",
        "MLFLOW_TRACKING_PASSWORD": "sesame",
    }.items() <= environment.items()
    assert "UNRELATED" not in environment


def test_workers_in_other_folders_find_certificates_and_proxies_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "PGSSLROOTCERT": "certs/root.crt",
        "PGPASSFILE": "pgpass",
        "PGSSLCERT": "/etc/jo.crt",
        "PGSSLKEY": "pkcs11:jo",
        "REQUESTS_CA_BUNDLE": "ca.pem",
        "SSL_CERT_FILE": "",
        "https_proxy": "proxy.lab:3128",
        "NO_PROXY": ".lab",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGKRBSRVNAME": "pg",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    here = {
        "PGSSLROOTCERT": f"{tmp_path}/certs/root.crt",
        "PGPASSFILE": f"{tmp_path}/pgpass",
        "REQUESTS_CA_BUNDLE": f"{tmp_path}/ca.pem",
    }
    assert (given | here).items() <= environment_of(Home(tmp_path), STORAGE, SERVER).items()
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    assert environment_of(Home(tmp_path), STORAGE, SERVER)["PGSSLROOTCERT"] == "system"


def test_a_home_of_its_own_needs_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADSEARCH_STORAGE", "postgresql://elsewhere/x")  # which a flag may have overruled
    assert "RADSEARCH_STORAGE" not in environment_of(Home(tmp_path), None, None)


def test_the_file_is_for_its_owner_alone_and_a_shell_reads_out_of_it_what_was_put_in(
    make_request: MakeRequest,
) -> None:
    hostile = "pg://a'b\"c$HOME`id`\\ d;e\nf"
    request = make_request(environment={"RADSEARCH_STORAGE": hostile, "PGPASSWORD": "x y"})
    request.env_file.chmod(0o644)  # one that was there before
    write_environment(request)
    assert request.env_file.stat().st_mode & 0o777 == 0o600
    command = ["bash", "-c", 'source "$1"; env -0', "bash", request.env_file]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    assert f"RADSEARCH_STORAGE={hostile}" in read
    assert "PGPASSWORD=x y" in read
