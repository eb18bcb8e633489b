import configparser
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy
import yaml

from mlflow_server.access import read_access, read_place
from mlflow_server.backend import Backend
from mlflow_server.deployment import (
    BUNDLED,
    POSTGRES_IMAGE,
    DeploymentError,
    Service,
    compose_file,
    systemd_unit,
)

ROOT = Path(__file__).parents[2]
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here
POSTGRESQL = Backend("postgresql://mlflow@db.lab/mlflow?sslmode=require", "s3cret-of-mlflow")


def service(host="127.0.0.1", names=(), port=5000, backend=None, artifacts=None, home="/srv/radsearch"):
    return Service(host, names, port, backend, artifacts, Path(home))


def unit(backend=POSTGRESQL, artifacts="/srv/artifacts", **given):
    return systemd_unit(service(**given), backend, Path(artifacts))


@pytest.mark.parametrize(("mode", "warned"), [(0o700, True), (0o750, True), (0o711, False)])
def test_the_unit_warns_where_its_user_may_not_enter_the_folder_of_the_program(
    tmp_path, monkeypatch, mode, warned
):
    folder = tmp_path / "jo"
    monkeypatch.setattr(sys, "executable", str(folder / "venv" / "python"))
    (folder / "venv").mkdir(parents=True)
    folder.chmod(mode)
    assert (f"WARNING: the user radsearch may not enter '{folder}'" in unit()) == warned
    folder.chmod(0o755)


def value(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name}="))
    return line.partition("=")[2]


@pytest.fixture
def verified(tmp_path):
    """What systemd itself says against a unit; nothing where all is well."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")

    def verify(text, *command):
        path = tmp_path / "radsearch-server.service"
        path.write_text(text)
        done = subprocess.run([program, *command, path], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    return verify


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": EVERYWHERE, "names": ("mlflow.lab", "[2001:db8::2]"), "port": 443},
        {"home": '/srv/my data/50% of $HOME; "x"', "artifacts": "/srv/artefacts of %u"},
        {"backend": Backend("sqlite:////srv/my runs/mlflow.db")},
    ],
)
def test_systemd_finds_nothing_wrong_with_the_unit(verified, given):
    assert verified(unit(**given), "verify", "--man=no") == (0, "")


def test_systemd_rates_the_unit_as_well_protected(verified):
    code, said = verified(unit(), "security", "--offline=true", "--threshold=25", "--no-pager")
    assert code == 0, said


def test_systemd_hears_of_a_setting_that_it_does_not_know(verified):
    """So that the tests above mean something."""
    code, said = verified(unit().replace("ProtectSystem=", "ProtectSytem="), "verify", "--man=no")
    assert "ProtectSytem" in f"{code} {said}"


def test_the_unit_starts_this_installation_with_all_that_was_asked_for():
    command = value(unit(host="10.0.0.7", names=("mlflow.lab",), port=5001), "ExecStart").split(" ")
    assert command[:5] == [sys.executable, "-P", "-m", "search.cli", "server"]
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert options == {
        "--backend": "postgresql://mlflow@db.lab/mlflow?sslmode=require",
        "--artifacts": "/srv/artifacts",
        "--home": "/srv/radsearch",
        "--host": "10.0.0.7",
        "--port": "5001",
        "--allowed-hosts": "mlflow.lab",
        "--mlflow-version": version("mlflow"),
    }


def test_nothing_in_a_path_is_a_specifier_or_a_variable_of_systemd():
    text = unit(home="/srv/50%/$HOME", artifacts='/srv/my "a"')
    assert '--artifacts "/srv/my \\"a\\"" --home "/srv/50%%/$$HOME" --host' in value(text, "ExecStart")
    assert value(text, "ReadWritePaths") == '"/srv/50%%/$HOME" "/srv/my \\"a\\""'


def test_the_unit_says_what_it_was_written_for_checks_health_and_writes_where_it_must_only():
    text = unit(backend=Backend("sqlite:////srv/runs/mlflow.db"))
    assert f"for radsearch {version('radsearch')} and MLflow {version('mlflow')}" in text.replace("\n# ", " ")
    assert (value(text, "Type"), int(value(text, "WatchdogSec")) > 0) == ("notify", True)
    assert value(text, "ReadWritePaths").split(" ") == ["/srv/radsearch", "/srv/artifacts", "/srv/runs"]
    assert value(text, "After") == "network-online.target"
    assert value(unit(), "After") == "network-online.target postgresql.service"
    assert (value(text, "CapabilityBoundingSet"), "AmbientCapabilities" in text) == ("", False)
    assert value(unit(port=443), "AmbientCapabilities") == "CAP_NET_BIND_SERVICE"


def test_neither_file_holds_a_secret():
    asked = service("10.0.0.7", backend=POSTGRESQL)
    for text in (systemd_unit(asked, POSTGRESQL, Path("/srv/a")), compose_file(asked, ROOT)):
        assert POSTGRESQL.password not in text
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(unit())
    assert parser["Service"]["EnvironmentFile"] == "/etc/radsearch/server.env"
    assert "Environment" not in parser["Service"]
    assert "install -m 0600 /dev/null /etc/radsearch/server.env" in unit()


@pytest.mark.parametrize("name", ["home", "artifacts"])
def test_a_path_that_would_add_a_line_to_the_file_is_refused(name):
    with pytest.raises(
        DeploymentError, match=r"printable characters is needed, but got '.srv.a\\nExecStartPre"
    ):
        service(**{"home": "/srv/h", "artifacts": Path("/srv/b"), name: Path("/srv/a\nExecStartPre=/bin/x")})


def composed(source=ROOT, **given):
    return yaml.safe_load(compose_file(service(**given), source))


def options(server):
    return dict(zip(server["command"][::2], server["command"][1::2], strict=True))


def test_by_default_compose_brings_postgresql_and_publishes_both_on_loopback_only():
    file = composed()
    database, server = file["services"]["database"], file["services"]["server"]
    assert (database["image"], re.fullmatch(r"postgres:\d+\.\d+-\w+", POSTGRES_IMAGE) is not None) == (
        POSTGRES_IMAGE,
        True,
    )
    assert (database["ports"], server["ports"]) == (["127.0.0.1:5432:5432"], ["127.0.0.1:5000:5000"])
    assert server["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert "pg_isready" in database["healthcheck"]["test"]
    assert options(server)["--backend"] == BUNDLED.uri
    assert set(file["volumes"]) == {volume["source"] for volume in server["volumes"]} | {
        volume.partition(":")[0] for volume in database["volumes"]
    }


def test_200_workers_and_the_server_have_enough_connections():
    (setting,) = (word for word in composed()["services"]["database"]["command"] if "max_connections" in word)
    assert int(setting.partition("=")[2]) >= 2 * 200 + 70  # as many of the server's as were counted


def test_the_container_has_no_more_rights_than_it_needs():
    server = composed()["services"]["server"]
    assert (server["read_only"], server["cap_drop"]) == (True, ["ALL"])
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r"^USER radsearch$", (ROOT / "mlflow_server" / "Dockerfile").read_text(), re.MULTILINE)


def test_every_secret_comes_from_the_env_file_and_compose_stops_where_one_is_missing():
    for given in ({}, {"backend": POSTGRESQL}):
        text = compose_file(service(**given), ROOT)
        used = set(re.findall(r"\$\{(\w+):\?is missing in .env\}", text))
        assert len(re.findall(r"(?<!\$)\$(?!\$)", text)) == text.count(":?is missing in .env}")
        head = text.partition("\nname:")[0]
        assert used == set(re.findall(r"^#   ([A-Z_]+)=", head, re.MULTILINE))


@pytest.mark.parametrize(
    ("host", "names", "port", "published", "answers_to"),
    [
        ("127.0.0.1", (), 5000, "127.0.0.1:5000:5000", ("127.0.0.1",)),
        ("10.0.0.7", ("mlflow.lab",), 80, "10.0.0.7:80:80", ("10.0.0.7", "mlflow.lab")),
        (EVERYWHERE, ("mlflow.lab",), 5000, "0.0.0.0:5000:5000", ("mlflow.lab",)),
        ("::1", (), 5000, "[::1]:5000:5000", ("[::1]",)),
    ],
)
def test_what_the_container_is_told_is_what_radsearch_takes(host, names, port, published, answers_to):
    server = composed(host=host, names=names, port=port)["services"]["server"]
    given = options(server)
    secrets = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": "correct horse",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "0123456789abcdef",
    }
    access = read_access(given["--host"], given["--allowed-hosts"], secrets, proxied=True)
    assert (server["ports"], access.host, access.names) == ([published], EVERYWHERE, answers_to)
    assert (given["--port"], given["--mlflow-version"]) == (str(port), version("mlflow"))
    assert f"http://127.0.0.1:{port}/health" in server["healthcheck"]["test"][-1]
    assert read_place(host, ",".join(names), proxied=True)


def test_a_database_of_ones_own_takes_the_place_of_the_bundled_one(tmp_path):
    artifacts = tmp_path / 'artifacts of $USER: "x"'
    file = composed(backend=POSTGRESQL, artifacts=artifacts)
    assert (set(file["services"]), "volumes" in file, "configs" in file) == ({"server"}, False, False)
    (volume,) = file["services"]["server"]["volumes"]
    assert (volume["type"], volume["source"]) == ("bind", str(artifacts).replace("$", "$$"))
    assert options(file["services"]["server"])["--artifacts"] == volume["target"]
    assert options(file["services"]["server"])["--backend"] == POSTGRESQL.uri


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (Backend("sqlite:////srv/mlflow.db"), "in a container a server needs PostgreSQL"),
        (Backend("postgresql://mlflow@localhost/mlflow"), "has another name than localhost"),
        (Backend("postgresql:///mlflow"), "has another name than its socket"),
    ],
)
def test_a_database_that_a_container_would_not_reach_is_refused(backend, said):
    with pytest.raises(DeploymentError, match=f"--backend: .*{said}"):
        composed(backend=backend)


def test_without_a_checkout_there_is_nothing_to_build_the_image_of(tmp_path):
    with pytest.raises(
        DeploymentError, match=r"the image is built of a checkout of radsearch, but .* is none"
    ):
        composed(source=tmp_path)


def test_the_bundled_databases_are_made_each_closed_to_the_other(postgres, monkeypatch):
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    script = composed()["configs"]["databases"]["content"].replace("$$", "$")
    names = {"mlflow": "radsearch_mlflow", "optuna": "radsearch_optuna"}
    for name, other in names.items():  # the cluster is that of every test
        script = re.sub(rf"(ROLE|DATABASE|OWNER|,) {name}\b", rf"\1 {other}", script)
    script = script.replace(", postgres FROM", " FROM")
    administrator = sqlalchemy.make_url(postgres.url("postgres"))
    environment = {
        "PATH": str(Path(psql).parent),
        "PGPASSWORD": administrator.password,
        "MLFLOW_DATABASE_PASSWORD": "it's for mlflow",
        "OPTUNA_DATABASE_PASSWORD": "it's for optuna",
    }
    place = [
        "-h",
        administrator.host,
        "-p",
        str(administrator.port),
        "-U",
        administrator.username,
        "-d",
        "postgres",
    ]
    command = [psql, *place, "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--no-password"]
    subprocess.run(command, input=script, text=True, env=environment, check=True, capture_output=True)

    def reach(user, password, database):
        url = administrator.set(username=names[user], password=password, database=names[database])
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE a (i int)"))

    for user, other in (("mlflow", "optuna"), ("optuna", "mlflow")):
        reach(user, f"it's for {user}", user)
        with pytest.raises(sqlalchemy.exc.OperationalError, match="permission denied for database"):
            reach(user, f"it's for {user}", other)


def test_the_dockerfile_copies_what_is_there_and_the_rest_of_the_checkout_stays_out():
    folder = ROOT / "mlflow_server"
    copies = re.findall(r"^COPY (.*) \S+$", (folder / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copies for source in line.split(" ")}
    assert all((ROOT / source).exists() for source in sources)
    rules = [
        line for line in (folder / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    assert rules[0] == "**"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources
    (python,) = re.findall(r"^FROM (.*)$", (folder / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", python)


def pins(name):
    return dict(line.split("==") for line in (ROOT / "requirements" / name).read_text().splitlines())


def test_the_image_gets_the_versions_that_everybody_has_and_neither_tensorflow_nor_optuna():
    everybody, server = pins("cpu.txt"), pins("server.txt")
    assert server.items() <= everybody.items()
    assert {"mlflow", "psycopg", "flask-wtf", "uvicorn", "setuptools"} <= set(server)
    assert not {"tensorflow-cpu", "tensorflow", "keras", "optuna", "ray"} & set(server)
    assert server["mlflow"] == version("mlflow")
