"""The layer around optuna-dashboard, which itself has no accounts and lets whoever reaches it delete studies.

It lets through what merely reads, asked for by the dashboard's own pages under a name of ours, and where a
password is set only after it was given.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mlflow_server.access import USERNAME, Access, Credentials
from mlflow_server.gate import HEADERS, refusal

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BAD, FORBIDDEN, UNAUTHORIZED = "400 Bad Request", "403 Forbidden", "401 Unauthorized"
READING = ("GET", "HEAD", "OPTIONS")
LOGIN = ("WWW-Authenticate", 'Basic realm="radsearch", charset="UTF-8"')

_NO_FRAMES = "frame-ancestors 'none'"
# A study that came from elsewhere brings its files along, and a file may be a page with a script.
_LIFELESS = f"sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; {_NO_FRAMES}"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# With these a request could choose the address that the dashboard's redirects lead to.
_FORWARDED = ("HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO")


class ReadOnly:
    """Lets reading requests through to `app` and answers any other with 401 or 403 and one line.

    Args:
        app: The application behind it.
        access: The names it answers to and the account that it asks for.
    """

    def __init__(self, app: WSGIApplication, access: Access) -> None:
        self._app = app
        self._access = access

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = routed_path(environ.get("PATH_INFO", ""))
        start = _with_headers(start_response, path)
        method, account = environ["REQUEST_METHOD"], self._access.credentials
        line = refusal(_given(environ, "HTTP_HOST"), _given(environ, "HTTP_ORIGIN"), self._access.hosts)
        if line is not None:
            return answer(start, FORBIDDEN, line)
        if account is not None and not logged_in(environ.get("HTTP_AUTHORIZATION", ""), account):
            return answer(start, UNAUTHORIZED, "A user name and a password are needed.", LOGIN)
        if method not in READING:
            return answer(start, FORBIDDEN, f"This dashboard is read-only: {method} is refused.")
        if path is None:
            return answer(start, BAD, "A path in UTF-8 without control characters is needed.")
        own = {name: value for name, value in environ.items() if name not in _FORWARDED}
        return self._app(own, start)


def routed_path(path_info: str) -> str | None:
    """The path by which Bottle chooses what to serve; None where no browser needs it.

    Bottle drops bytes that are no UTF-8, and lets a path end in a newline that its route does not have.

    Args:
        path_info: As a WSGI server gives it, each character one byte.
    """
    try:
        path = path_info.encode("latin-1").decode()
    except UnicodeError:
        return None
    return None if _CONTROL.search(path) else path


def logged_in(authorization: str, account: Credentials) -> bool:
    """Whether an Authorization header carries this account; takes as long wherever they differ.

    References:
        RFC 7617: the Basic scheme.
    """
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = b64decode(encoded.strip(), validate=True)
    except ValueError:
        return False
    wanted = f"{USERNAME}:{account.password}".encode()
    return scheme.lower() == "basic" and hmac.compare_digest(given, wanted)


def answer(start_response: StartResponse, status: str, line: str, *headers: tuple[str, str]) -> list[bytes]:
    """Answer with one line of plain text."""
    body = f"{line}\n".encode()
    own = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*own, *headers])
    return [body]


def _given(environ: WSGIEnvironment, name: str) -> list[str]:
    return [environ[name]] if name in environ else []


def _with_headers(start_response: StartResponse, path: str | None) -> StartResponse:
    foreign = path is None or path.lstrip("/").startswith("artifacts/")
    policy = _LIFELESS if foreign else _NO_FRAMES
    ours = [*(HEADERS | {"Content-Security-Policy": policy}).items()]

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        return start_response(status, [*headers, *ours], *error)

    return start
