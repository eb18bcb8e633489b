"""What an MLflow server serves and where, as a frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost")

# No telemetry, no helper processes for features of language models, and no module of ours or of the
# standard library shadowed by a file in the working folder.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONSAFEPATH": "1",
}


@dataclass(frozen=True)
class ServerConfig:
    """An MLflow tracking server with its UI, for this machine only.

    Attributes:
        backend_uri: Where runs are kept: an SQLAlchemy URI such as `sqlite:////absolute/path.db`.
        artifacts: Folder of artifacts of experiments that name no place of their own.
        host: Address to listen on; loopback only.
        port: TCP port; 0 leaves the choice to `mlflow_server.launch.start`.

    Raises:
        ValueError: The host is not loopback or the port is none.
    """

    backend_uri: str
    artifacts: Path
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK:
            raise ValueError(
                f"host: the server has no passwords, so it must listen on loopback ({', '.join(LOOPBACK)}),"
                f" but got {self.host!r}. From elsewhere, reach it through an SSH tunnel."
            )
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: 0 <= port <= 65535 must hold, but got {self.port}")

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    def command(self, python: str) -> list[str]:
        """The command line that runs it with one worker under the given interpreter."""
        hosts = [pattern for host in LOOPBACK for pattern in (host, f"{host}:*")]
        return [
            *(python, "-P", "-m", "mlflow", "server"),
            *("--backend-store-uri", self.backend_uri),
            *("--artifacts-destination", self.artifacts.absolute().as_uri()),
            *("--host", self.host, "--port", str(self.port), "--workers", "1"),
            *("--allowed-hosts", ",".join(hosts)),
        ]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Its environment: the inherited one without PYTHONPATH, plus our settings."""
        kept = {name: value for name, value in inherited.items() if name != "PYTHONPATH"}
        return kept | SETTINGS
