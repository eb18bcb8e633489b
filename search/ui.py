"""`radsearch ui`: the read-only dashboard and the MLflow UI side by side, on this machine's loopback."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from mlflow_server.config import ServerConfig
from mlflow_server.launch import free_port, start
from search.dashboard import FindRun, make_app
from search.home import Home
from search.links import home_url, is_server, public_address, run_url, trial_runs_url
from search.publishing import trial_key
from search.run_ids import EXPERIMENT, RunIds

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from optuna.storages import BaseStorage

__all__ = ["LOOPBACK", "DashboardServer", "recorded_runs", "run_url", "serve", "trial_runs_url"]

LOOPBACK = "127.0.0.1"


class QuietHandler(WSGIRequestHandler):
    """Writes requests and errors to the server's log, where the standard one writes them to the terminal."""

    server: DashboardServer

    def get_stderr(self) -> TextIO:
        """Where the application reports its errors."""
        return self.server.log

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """One line a request."""
        self.server.note(f"{self.log_date_time_string()} {format % args}\n")


class DashboardServer(ThreadingMixIn, WSGIServer):
    """Serves one WSGI application on loopback from threads of its own.

    Args:
        app: The application.
        port: The port wanted; where it is taken, a free one is used.
        log: Open text stream, kept open by the caller until `stop` returned.
    """

    daemon_threads = True

    def __init__(self, app: WSGIApplication, port: int, log: TextIO) -> None:
        self.log = log
        try:
            super().__init__((LOOPBACK, port), QuietHandler)
        except OSError:
            super().__init__((LOOPBACK, 0), QuietHandler)
        self.set_app(app)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="dashboard", daemon=True)

    def server_bind(self) -> None:
        """Bind as the base class does, but look up no host name: that can take long without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is a line in the log."""
        self.note(traceback.format_exc())

    def note(self, text: str) -> None:
        """Write to the log; a connection that outlives the server finds it closed and writes nothing."""
        if not self.log.closed:
            self.log.write(text)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more and free the port."""
        self.shutdown()
        self.server_close()
        self._thread.join()


@contextmanager
def tracking_ui(uri: str, artifacts: Path, log_folder: Path, port: int) -> Iterator[str]:
    """The MLflow UI's address, and within the block a server behind it.

    Args:
        uri: MLflow's tracking URI. A server (http, https) runs elsewhere and is only named.
        artifacts: Where a local MLflow keeps its artifacts.
        log_folder: Gets mlflow.log.
        port: The port wanted for a local server; where it is taken, a free one is used.
    """
    if is_server(uri):
        yield public_address(uri)
        return
    config = ServerConfig(backend_uri=uri, artifacts=artifacts, host=LOOPBACK, port=free_port(port))
    server = start(config, log_folder / "mlflow.log")
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def dashboard_ui(app: WSGIApplication, log_folder: Path, port: int) -> Iterator[str]:
    """The dashboard's address, answering within the block; its log is dashboard.log."""
    with (log_folder / "dashboard.log").open("a", buffering=1, encoding="utf-8") as log:
        server = DashboardServer(app, port, log)
        server.start()
        try:
            yield server.url
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
        log_folder: Gets dashboard.log and mlflow.log.
        dashboard_port: The port wanted; where it is taken, a free one is used.
        mlflow_port: The same for MLflow.
        find_run: Where the links of the trials' notes lead, such as `recorded_runs`.
        announce: Gets one line an address, once both answer.
        stop: Ends it from another thread or a signal handler.

    Raises:
        KeyboardInterrupt: Ctrl-C, after both were stopped.
    """
    log_folder.mkdir(parents=True, exist_ok=True)
    ended = stop or threading.Event()
    with tracking_ui(mlflow_uri, mlflow_artifacts, log_folder, mlflow_port) as mlflow_url:
        app = make_app(storage, artifact_folder, mlflow_url, find_run)
        with dashboard_ui(app, log_folder, dashboard_port) as dashboard_url:
            announce(f"optuna-dashboard: {dashboard_url}/dashboard (read-only)")
            announce(f"MLflow UI: {home_url(mlflow_url)}")
            announce("Ctrl-C stops both." if not is_server(mlflow_uri) else "Ctrl-C stops the dashboard.")
            # A wait without a timeout would hold back Ctrl-C on some systems.
            while not ended.wait(0.5):
                pass
