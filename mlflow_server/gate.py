"""What every request must satisfy before a server looks at it, and the layer that enforces it before MLflow.

A foreign web page in a browser on this machine can send requests here, but it cannot choose their Host and
Origin headers. One whose own name points here (DNS rebinding) shows by the former, any other by the latter.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

Scope: TypeAlias = Mapping[str, Any]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?", re.IGNORECASE)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

# Of MLflow's server what is for language models: it starts programs, spends API keys, or sends requests
# elsewhere, on behalf of whoever asks. None of it serves runs and models.
NOT_SERVED = re.compile(
    r"/gateway/.*|/(ajax-)?api/\d\.\d/(mlflow/)?(runs/create-promptlab-run|issues/invoke"
    r"|(assistant|gateway|genai|jobs|mcp-servers|prompt-optimization|scorers?|webhooks)(/.*)?)",
    re.DOTALL,
)

# MLflow's limit for one call is 1 MB; it reads a body whole before it asks for a password. Artifacts are
# written as they come, and after the password; any other method at such a path is Flask's again.
LARGEST_BODY = 2**24
_STREAMED = re.compile(r"/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*", re.DOTALL)

# Starlette lets a path end in a newline that its route does not have.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'self'",
}


def refusal(hosts: Sequence[str], origins: Sequence[str], allowed: Collection[str]) -> str | None:
    """Why a request is refused, as a line for whoever sent it; None if it is not.

    Args:
        hosts: Every Host header of the request.
        origins: Every Origin header of it.
        allowed: The host names that are answered to, in lower case; any port passes, as tunnels change it.
    """
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if match is None or match[1].lower() not in allowed:
        return f"This server answers to {', '.join(allowed)} only."
    if any(origin.partition("://")[2].lower() != hosts[0].lower() for origin in origins):
        return "This server answers to its own pages only."
    return None


def path_refusal(path: str) -> str | None:
    """Why nothing is served under a path, as a line for whoever asked for it; None if something may be.

    Args:
        path: As an ASGI server decoded it.
    """
    if not path.startswith("/") or _CONTROL.search(path):
        return "A path that begins with / and holds no control characters is needed."
    # Flask serves //a as /a, and leads from /a//b to /a/b.
    if NOT_SERVED.fullmatch(re.sub("/+", "/", path)):
        return "This server keeps runs and models; what MLflow has for language models is not served."
    return None


class Gate:
    """Lets requests of this server's own pages through to MLflow and answers any other with 403 and one line.

    Args:
        app: MLflow's ASGI application.
        allowed: The host names that are answered to.
    """

    def __init__(self, app: AsgiApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = tuple(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no WebSocket is opened."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        line = self._refusal(scope)
        if line is not None:
            await _refuse(_with_headers(send), line)
        elif scope["method"] == "PUT" and _STREAMED.fullmatch(scope["path"]):
            await self._app(scope, receive, _with_headers(send))
        else:
            await self._app(scope, _bounded(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> str | None:
        hosts, origins = (_values(scope, name) for name in (b"host", b"origin"))
        line = refusal(hosts, origins, self._allowed)
        if line is None and scope["method"] not in METHODS:
            line = f"{scope['method']} is refused."
        return line or path_refusal(scope["path"])


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _bounded(receive: Receive) -> Receive:
    """The body, cut off where it is longer than any that MLflow takes, as if the sender had gone."""
    left = LARGEST_BODY

    async def receiving() -> dict[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return receiving


def _with_headers(send: Send) -> Send:
    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            message = message | {"headers": given + [pair for pair in ours if pair[0] not in names]}
        await send(message)

    return sending


async def _refuse(send: Send, line: str) -> None:
    body = f"{line}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
