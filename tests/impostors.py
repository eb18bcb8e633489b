"""Servers that are not what a study hopes for: they answer otherwise, or not at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ELSE = "*"  # any other path
LISTED = (200, '{"experiments": []}')


@contextmanager
def web_server(answers: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """A web server that answers each path, its query aside, with a status and a text; yields its address.

    The text of a redirect is where it leads.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            status, text = answers.get(path) or answers.get(ELSE, (404, "nothing here"))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", text)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def mlflow_of(version: str) -> Mapping[str, tuple[int, str]]:
    """What an MLflow server of a version answers."""
    return {"/version": (200, version), ELSE: LISTED}


@contextmanager
def silent_server() -> Iterator[str]:
    """An address where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
