"""`radsearch ui`: the read-only dashboard and the MLflow UI, on loopback unless told otherwise."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from mlflow_server.access import LOOPBACK_ONLY, PASSWORD, UNENCRYPTED, USERNAME, Access, is_loopback
from mlflow_server.config import ServerConfig
from mlflow_server.launch import RunningServer, free_port, start
from search.dashboard import FindRun, make_app
from search.home import Home
from search.links import home_url, is_server, public_address, run_url, trial_runs_url
from search.publishing import trial_key
from search.run_ids import EXPERIMENT, RunIds

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from optuna.storages import BaseStorage

__all__ = ["DashboardServer", "recorded_runs", "run_url", "serve", "trial_runs_url"]


class QuietHandler(WSGIRequestHandler):
    """Writes requests and errors to the server's log, where the standard one writes them to the terminal."""

    server: DashboardServer
    timeout = 60  # seconds; a connection that says nothing holds its thread no longer

    def get_stderr(self) -> TextIO:
        """Where the application reports its errors."""
        return self.server.log

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """One line a request."""
        self.server.note(f"{self.log_date_time_string()} {format % args}\n")


class DashboardServer(ThreadingMixIn, WSGIServer):
    """Serves one WSGI application from threads of its own.

    Args:
        app: The application.
        port: The port wanted; where it is taken, a free one is used.
        log: Open text stream, kept open by the caller until `stop` returned.
        host: IP address to listen on.
    """

    daemon_threads = True
    request_queue_size = 128  # connections that wait while a thread starts for the one before

    def __init__(self, app: WSGIApplication, port: int, log: TextIO, host: str = LOOPBACK_ONLY.host) -> None:
        self.log = log
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), QuietHandler)
        except OSError:
            super().__init__((host, 0), QuietHandler)
        self.set_app(app)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="dashboard", daemon=True)

    def server_bind(self) -> None:
        """Bind as the base class does, but look up no host name: that can take long without a network."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is a line in the log."""
        self.note(traceback.format_exc())

    def note(self, text: str) -> None:
        """Write to the log; a connection that outlives the server finds it closed and writes nothing."""
        if not self.log.closed:
            self.log.write(text)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more and free the port."""
        self.shutdown()
        self.server_close()
        self._thread.join()


@contextmanager
def tracking_server(
    uri: str, artifacts: Path, log_folder: Path, port: int, access: Access
) -> Iterator[RunningServer | None]:
    """Within the block a server with the MLflow UI; None where `uri` names one, which runs elsewhere.

    Args:
        uri: MLflow's tracking URI.
        artifacts: Where a local MLflow keeps its artifacts.
        log_folder: Gets mlflow.log; the accounts lie beside it.
        port: The port wanted for a local server; where it is taken, a free one is used.
        access: Where it listens and for whom.
    """
    if is_server(uri):
        yield None
        return
    chosen = free_port(port, access.host)
    accounts = log_folder.parent / "accounts"
    server = start(ServerConfig(uri, artifacts, access, chosen, accounts), log_folder / "mlflow.log")
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def dashboard_ui(app: WSGIApplication, log_folder: Path, port: int, access: Access) -> Iterator[str]:
    """The dashboard's address, answering within the block; its log is dashboard.log."""
    with (log_folder / "dashboard.log").open("a", buffering=1, encoding="utf-8") as log:
        server = DashboardServer(app, port, log, access.host)
        server.start()
        try:
            yield access.url(server.server_port)
        finally:
            server.stop()


def recorded_runs(home: Home, uri: str) -> FindRun:
    """Looks runs up among those that this home's studies noted when MLflow at `uri` took them."""

    def find(study: str, key: int) -> tuple[str, str] | None:
        ids = RunIds(home.study(study).spool, uri, study)
        experiment, run = ids.get(EXPERIMENT), ids.get(trial_key(key))
        return (experiment, run) if experiment and run else None

    return find


def serve(
    storage: BaseStorage,
    artifact_folder: Path,
    mlflow_uri: str,
    mlflow_artifacts: Path,
    log_folder: Path,
    dashboard_port: int = 8080,
    mlflow_port: int = 5000,
    *,
    access: Access = LOOPBACK_ONLY,
    find_run: FindRun,
    announce: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Show the studies in the browser until Ctrl-C, or until `stop` is set; then both servers are gone.

    Args:
        storage: Optuna's storage; only read.
        artifact_folder: The dashboard's pictures.
        mlflow_uri: MLflow's tracking URI; where it is a server, no MLflow is started here.
        mlflow_artifacts: Where a local MLflow keeps its artifacts.
        log_folder: Gets dashboard.log and mlflow.log; MLflow's accounts lie beside it, where there are any.
        dashboard_port: The port wanted; where it is taken, a free one is used.
        mlflow_port: The same for MLflow.
        access: Where both listen and for whom; by default on loopback, without password.
        find_run: Where the links of the trials' notes lead, such as `recorded_runs`.
        announce: Gets one line an address, once both answer.
        stop: Ends it from another thread or a signal handler.

    Raises:
        KeyboardInterrupt: Ctrl-C, after both were stopped.
        mlflow_server.launch.ServerError: MLflow's server did not start or is gone; so is the dashboard then.
    """
    log_folder.mkdir(parents=True, exist_ok=True)
    ended = stop or threading.Event()
    with tracking_server(mlflow_uri, mlflow_artifacts, log_folder, mlflow_port, access) as server:
        mlflow_url = public_address(mlflow_uri) if server is None else server.url
        app = make_app(storage, artifact_folder, mlflow_url, find_run, access)
        with dashboard_ui(app, log_folder, dashboard_port, access) as dashboard_url:
            announce(f"optuna-dashboard: {dashboard_url}/dashboard (read-only)")
            announce(f"MLflow UI: {home_url(mlflow_url)}")
            if access.credentials is not None:
                announce(f"Log in as {USERNAME} with the password of {PASSWORD}.")
            if not is_loopback(access.host):
                announce(UNENCRYPTED)
            announce("Ctrl-C stops both." if server is not None else "Ctrl-C stops the dashboard.")
            # A wait without a timeout would hold back Ctrl-C on some systems.
            while not ended.wait(0.5):
                if server is not None:
                    server.check()
