"""The server as a service: a systemd unit, or a compose file with a PostgreSQL of its own."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mlflow_server.access import in_url
from mlflow_server.backend import Backend

POSTGRES_IMAGE = "postgres:17.11-bookworm"
BUNDLED = Backend("postgresql://mlflow@database/mlflow")
EVERYWHERE = "0.0.0.0"  # noqa: S104 - within a container, which publishes no more than it is told
INSIDE = "/var/lib/radsearch/artifacts"  # the Dockerfile's
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./?&\[\]-]+")


class DeploymentError(ValueError):
    """What was asked for cannot be a service of that kind."""


@dataclass(frozen=True)
class Service:
    """What a server that is started by others is to do.

    Attributes:
        host: IP address to listen on.
        names: Host names under which clients reach it.
        port: TCP port.
        backend: Where runs are kept; None leaves it to the kind of service.
        artifacts: Folder of artifacts; None as well.
        home: Folder for everything else.

    Raises:
        DeploymentError: A path has a character that would end a line.
    """

    host: str
    names: tuple[str, ...]
    port: int
    backend: Backend | None
    artifacts: Path | None
    home: Path

    def __post_init__(self) -> None:
        for path in (self.home, self.artifacts):
            if not str(path).isprintable():
                raise DeploymentError(f"a path of printable characters is needed, but got {str(path)!r}")

    @property
    def _reach(self) -> list[str]:
        names = ["--allowed-hosts", ",".join(self.names)] if self.names else []
        return ["--host", self.host, "--port", str(self.port), *names, "--mlflow-version", version("mlflow")]


def systemd_unit(service: Service, backend: Backend, artifacts: Path) -> str:
    """A unit that starts this installation's `radsearch server`.

    Args:
        service: What it is to do.
        backend: Where runs are kept, whatever the service says.
        artifacts: The same for artifacts.
    """
    places = ["--backend", backend.uri, "--artifacts", str(artifacts), "--home", str(service.home)]
    folders = dict.fromkeys((service.home, artifacts, *((backend.file.parent,) if backend.file else ())))
    return _render(
        "systemd.service",
        closed=_closed([Path(sys.executable), Path(sys.executable).resolve(), Path(__file__).resolve()]),
        command=[sys.executable, "-P", "-m", "search.cli", "server", *places, *service._reach],
        folders=[str(folder) for folder in folders],
        port=service.port,
        postgresql=backend.file is None,
    )


def compose_file(service: Service, source: Path) -> str:
    """A compose file with the server, and with a PostgreSQL where the service names no backend.

    Args:
        service: What it is to do; its home stays in the container.
        source: A checkout of radsearch, of which the image is built.

    Raises:
        DeploymentError: The backend would not be reached from a container, or the source is no checkout.
    """
    backend = service.backend or BUNDLED
    if backend.file is not None:
        raise DeploymentError(
            "--backend: in a container a server needs PostgreSQL; without --backend it gets one"
        )
    if backend.is_here:
        raise DeploymentError(
            "--backend: from within a container this machine's PostgreSQL has another name than"
            f" {backend.host or 'its socket'}; without --backend the server gets one of its own"
        )
    if not (source / "mlflow_server" / "Dockerfile").is_file() or not (source / "requirements").is_dir():
        raise DeploymentError(
            f"--print compose: the image is built of a checkout of radsearch, but {source} is none; use the"
            " radsearch of a checkout, as `make install` makes it"
        )
    inner = Service(EVERYWHERE, _names(service), service.port, backend, None, Path("/tmp/radsearch"))  # noqa: S108 - a container's own
    places = ["--backend", backend.uri, "--artifacts", INSIDE, "--home", str(inner.home)]
    return _render(
        "compose.yaml",
        address=in_url(service.host),
        bundled=service.backend is None,
        command=[*places, *inner._reach],
        folder=str(service.artifacts) if service.artifacts else "",
        health=f"import urllib.request as r; r.urlopen('http://127.0.0.1:{service.port}/health', timeout=30)",
        inside=INSIDE,
        port=service.port,
        postgres=POSTGRES_IMAGE,
        source=str(source),
    )


def _closed(files: Iterable[Path]) -> list[str]:
    """The folders above any of these files that only their owner's group may enter, if that."""
    above = dict.fromkeys(folder for file in files for folder in reversed(file.parents))
    return [ascii(str(folder)) for folder in above if not folder.stat().st_mode & stat.S_IXOTH]


def _names(service: Service) -> tuple[str, ...]:
    """Under which names what comes through a container's published port may come."""
    address = ipaddress.ip_address(service.host)
    own = () if address.is_unspecified else (in_url(service.host),)
    return tuple(dict.fromkeys((*own, *service.names)))


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader("mlflow_server"),
        autoescape=False,  # noqa: S701 - no page; each value is quoted for where it stands
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"quoted": _quoted, "word": _word, "path": _path, "shell": shlex.quote}
    versions = {"radsearch": version("radsearch"), "mlflow": version("mlflow")}
    return environment.get_template(template).render(**values, **versions)


def _quoted(text: str) -> str:
    """For YAML in which compose fills variables.

    >>> print(_quoted("/a $b"))
    "/a $$b"
    """
    return json.dumps(text, ensure_ascii=False).replace("$", "$$")


def _word(text: str) -> str:
    """For a command line of systemd: one word, with neither its specifiers nor its variables.

    >>> print(_word("/my data/50%"), _word("a"))
    "/my data/50%%" a
    """
    return _path(text).replace("$", "$$")


def _path(text: str) -> str:
    """For a list of paths in a unit, where a dollar is a dollar."""
    escaped = text.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
