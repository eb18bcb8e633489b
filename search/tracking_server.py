"""`radsearch server`: what it is asked for, all problems at once, and the server itself.

What the server's image lacks is not loaded here: neither Optuna nor the packages that draw on the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import mlflow_server
from data_prep.files import make_folders
from data_prep.problems import InputError, Problems
from mlflow_server.access import (
    PASSWORD,
    UNENCRYPTED,
    USERNAME,
    AccessError,
    in_url,
    is_loopback,
    read_access,
    read_place,
)
from mlflow_server.auth_file import tampering
from mlflow_server.backend import BACKEND, Backend, BackendError, read_backend
from mlflow_server.config import ServerConfig
from mlflow_server.deployment import DeploymentError, Service, compose_file, systemd_unit
from mlflow_server.launch import (
    DatabaseRefusedError,
    ServerError,
    chosen_port,
    free_port,
    provide_tables,
    start,
)
from mlflow_server.watch import Manager, Watch
from search.artifact_folder import check_apart, check_unused, mark
from search.errors import StudyStoppedError
from search.home import Home
from search.sqlite_files import file_made_once, one_at_a_time
from search.writable import file_problem, folder_problem

START_SECONDS = 300.0  # it may load from a slow network disk
CHECKOUT = Path(mlflow_server.__file__).parents[1]
# What a unit names is given to another user, so it is nothing that a study may already lie in.
_DEFAULT_HOMES = {"systemd": "/var/lib/radsearch", "compose": None}


@dataclass(frozen=True)
class Request:
    """What the command line says, as it stands there; None where it says nothing."""

    host: str
    allowed_hosts: str
    port: int
    backend: str | None
    artifacts: str | None
    home: str | None
    mlflow_version: str | None = None


def service_text(kind: str, request: Request, environment: Mapping[str, str]) -> str:
    """The file with which others start the server.

    Args:
        kind: `systemd` or `compose`.
        request: What the server is to do.
        environment: Of this process; a password in it is left out.

    Raises:
        InputError: All problems at once.
    """
    problems = Problems()
    with _collecting(problems):
        host, names = read_place(request.host, request.allowed_hosts, proxied=True)
    with _collecting(problems):
        backend = _read_backend(request, environment)
    with _collecting(problems):
        artifacts = _read_artifacts(request)
    with _collecting(problems):
        home = Home.at(request.home or environment.get("RADSEARCH_HOME") or _DEFAULT_HOMES[kind])
    problems.raise_any()
    _check_artifacts(artifacts, home, backend)
    try:
        service = Service(host, names, request.port, backend, artifacts, home.root)
        if kind == "compose":
            return compose_file(service, CHECKOUT)
        backend = backend or Backend(home.tracking_uri)
        return systemd_unit(service, backend, artifacts or home.tracking_artifacts)
    except DeploymentError as error:
        raise InputError(str(error)) from error


def read_config(request: Request, environment: Mapping[str, str]) -> ServerConfig:
    """The server to start here and now.

    Raises:
        InputError: All problems at once; none quotes a password.
    """
    problems = Problems()
    with _collecting(problems):
        _check_version(request.mlflow_version)
    with _collecting(problems):
        access = read_access(request.host, request.allowed_hosts, environment, proxied=True)
        free_port(host=access.host)
    with _collecting(problems):
        home = Home.at(request.home)
        accounts = home.root / "accounts"
        _check_folder("--home", accounts)
        _check_folder("--home", home.tracking_artifacts)
        problems.extend(InputError(tampering(accounts)))
    with _collecting(problems):
        given = _read_artifacts(request)
        _check_folder("--artifacts", given)
    with _collecting(problems):
        backend = _read_backend(request, environment)
        _check_file(backend)
    problems.raise_any()
    backend = backend or Backend(home.tracking_uri)
    _check_artifacts(given, home, backend)
    artifacts = given or home.tracking_artifacts
    shared = backend.file is None
    return ServerConfig(backend.whole_uri, artifacts, access, request.port, accounts, shared)


@contextmanager
def serving(
    config: ServerConfig, environment: Mapping[str, str], announce: Callable[[str], None]
) -> Iterator[Watch]:
    """The server, which answers within the block and is gone after it; its log goes to standard error.

    Args:
        config: What to serve.
        environment: Of this process, in which systemd says how it is told.
        announce: Gets the lines that say how to reach the server, once it answers.

    Yields:
        What is to be asked time and again whether all is well.

    Raises:
        InputError: The database needs a change before it can be served.
        StudyStoppedError: The port is taken, the database does not answer, or the server ended or is stuck.
    """
    manager = Manager(environment)
    try:
        chosen_port(config)
        _provide_tables(config)
        mark(config.artifacts)
        server = start(config, None, START_SECONDS)
        try:
            with Watch(server, manager).watching() as watch:
                for line in _lines(config):
                    announce(line)
                manager.tell("READY=1")
                yield watch
        finally:
            manager.tell("STOPPING=1")
            server.stop()
    except DatabaseRefusedError as error:
        raise InputError(f"--backend: {error}") from error
    except ServerError as error:
        raise StudyStoppedError(str(error)) from error


def _lines(config: ServerConfig) -> Iterator[str]:
    """How clients reach the server."""
    access, url = config.access, config.url
    if is_loopback(access.host) and access.names:
        url = f"https://{access.names[0]}"
        own = f"http://{in_url(access.host)}:{config.port}"
        yield f"MLflow: {own}, for a proxy that answers as {', '.join(access.names)}"
    else:
        yield f"MLflow: {url}"
    yield f"Clients: --tracking-uri {url}, or RADSEARCH_TRACKING_URI={url}"
    if access.credentials is not None:
        yield f"  MLFLOW_TRACKING_USERNAME={USERNAME} and MLFLOW_TRACKING_PASSWORD, that of {PASSWORD}"
    if not is_loopback(access.host):
        yield UNENCRYPTED
    yield "Ctrl-C stops it."


def _provide_tables(config: ServerConfig) -> None:
    """MLflow's tables; a new file gets its name when it is whole, as MLflow never opens half of one again."""
    file = read_backend(config.backend_uri).file
    if file is None:
        provide_tables(config)
        return
    make_folders(file.parent)
    with one_at_a_time(config.backend_uri):
        if file.exists():
            provide_tables(config)
            return
        with file_made_once(file) as draft:
            provide_tables(replace(config, backend_uri=f"sqlite:///{draft}"))


@contextmanager
def _collecting(problems: Problems) -> Iterator[None]:
    """Note what is wrong within the block, and go on after it."""
    try:
        yield
    except AccessError as error:
        problems.extend(InputError(error.problems))
    except InputError as error:
        problems.extend(error)
    except ServerError as error:
        problems.add("--host", str(error))


def _read_backend(request: Request, environment: Mapping[str, str]) -> Backend | None:
    text, where = request.backend, "--backend"
    if text is None:
        text, where = environment.get(BACKEND) or None, BACKEND
    try:
        return None if text is None else read_backend(text, visible=request.backend is not None)
    except BackendError as error:
        raise InputError(f"{where}: {error}") from error


def _read_artifacts(request: Request) -> Path | None:
    if request.artifacts is None:
        return None
    if not request.artifacts or "://" in request.artifacts:
        raise InputError(f"--artifacts: a folder is needed, but got {request.artifacts!r}")
    return Path(request.artifacts).absolute()


def _check_version(wanted: str | None) -> None:
    installed = version("mlflow")
    if wanted not in (None, installed):
        raise InputError(
            f"--mlflow-version: MLflow {wanted} is needed, but {installed} is installed; make a backup, renew"
            " the database's tables with `mlflow db upgrade`, and print the file anew that starts this server"
        )


def _check_folder(where: str, folder: Path | None) -> None:
    problem = None if folder is None else folder_problem(folder)
    if problem:
        raise InputError(f"{where}: {folder}: {problem}")


def _check_file(backend: Backend | None) -> None:
    file = None if backend is None else backend.file
    problem = None if file is None else folder_problem(file.parent) or file_problem(file)
    if problem:
        raise InputError(f"--backend: {file}: {problem}")


def _check_artifacts(folder: Path | None, home: Home, backend: Backend | None) -> None:
    """Refuse a folder of artifacts in which, or around which, is something else; None is the home's own."""
    others = [*(home.root / name for name in ("accounts", "studies", "cache")), home.artifacts]
    others += [home.models, home.logs, home.cache]
    if backend is not None and backend.file is not None:
        others.append(backend.file)
    check_apart(folder or home.tracking_artifacts, others)
    if folder is not None:
        check_unused(folder)
