from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_server.access import LOOPBACK_ONLY, Access, Credentials
from search.read_only import ReadOnly, logged_in, routed_path

ACCOUNT = Credentials("correct horse battery", "0123456789abcdef")
BEYOND = Access("0.0.0.0", ("mri-lab.example",), ACCOUNT)  # noqa: S104

Answer = tuple[str, dict[str, str], bytes]
Ask = Callable[..., Answer]


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def asking(access: Access, seen: list[dict[str, Any]]) -> Ask:
    """Requests to an application that notes what reaches it and answers with a page."""

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append(environ)
        start("200 OK", [("Content-Type", "text/html")])
        return [b"page"]

    layer = ReadOnly(app, access)  # type: ignore[arg-type]

    def ask(method: str = "GET", path: str = "/dashboard", **headers: str) -> Answer:
        told: list[Any] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "localhost:8080"} | headers
        body = b"".join(layer(environ, lambda *args: told.append(args)))  # type: ignore[arg-type]
        return told[0][0], dict(told[0][1]), body

    return ask


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_passes(seen: list[dict[str, Any]], method: str) -> None:
    assert asking(LOOPBACK_ONLY, seen)(method)[::2] == ("200 OK", b"page")
    assert len(seen) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "delete", "TRACE", "CONNECT", ""])
def test_nothing_else_reaches_the_application(seen: list[dict[str, Any]], method: str) -> None:
    status, _, body = asking(LOOPBACK_ONLY, seen)(method)
    assert (status, seen) == ("403 Forbidden", [])
    assert body == f"This dashboard is read-only: {method} is refused.\n".encode()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "", " "]
)
def test_a_foreign_host_name_does_not_either(seen: list[dict[str, Any]], host: str) -> None:
    assert asking(LOOPBACK_ONLY, seen)(HTTP_HOST=host)[0] == "403 Forbidden"
    assert seen == []


def test_nor_does_another_pages_request(seen: list[dict[str, Any]]) -> None:
    ask = asking(LOOPBACK_ONLY, seen)
    for origin in ("https://evil.example", "null", "http://localhost:9999"):
        assert ask(HTTP_ORIGIN=origin)[0] == "403 Forbidden"
    assert seen == []
    assert ask(HTTP_ORIGIN="http://localhost:8080")[0] == "200 OK"


def test_beyond_loopback_the_password_is_asked_for_before_anything_else(seen: list[dict[str, Any]]) -> None:
    ask, name = asking(BEYOND, seen), "mri-lab.example"
    for given_ in ("", basic("admin", "wrong"), basic("root", ACCOUNT.password), "Bearer abc", "Basic %%%"):
        for method in ("GET", "DELETE"):
            status, headers, _ = ask(method, HTTP_HOST=name, HTTP_AUTHORIZATION=given_)
            assert status == "401 Unauthorized"
            assert headers["WWW-Authenticate"].startswith("Basic realm=")
    assert seen == []
    right = basic("admin", ACCOUNT.password)
    assert ask(HTTP_HOST=name, HTTP_AUTHORIZATION=right)[0] == "200 OK"
    assert ask("DELETE", HTTP_HOST=name, HTTP_AUTHORIZATION=right)[0] == "403 Forbidden"
    assert ask(HTTP_HOST="evil.example", HTTP_AUTHORIZATION=right)[0] == "403 Forbidden"


@given(st.text(max_size=40))
def test_no_other_header_logs_in(header: str) -> None:
    assert not logged_in(header, ACCOUNT)
    assert logged_in(basic("admin", ACCOUNT.password), ACCOUNT)


def test_what_a_proxy_claims_does_not_choose_where_redirects_lead(seen: list[dict[str, Any]]) -> None:
    asking(LOOPBACK_ONLY, seen)(HTTP_X_FORWARDED_HOST="evil.example", HTTP_X_FORWARDED_PROTO="https")
    assert not any(name.startswith("HTTP_X_FORWARDED") for name in seen[0])


def test_pages_are_not_framed_or_guessed_and_artifacts_run_nothing(seen: list[dict[str, Any]]) -> None:
    ask = asking(LOOPBACK_ONLY, seen)
    for answer in (ask(), ask("DELETE"), ask(HTTP_HOST="evil.example")):
        assert answer[1]["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer[1]["Content-Security-Policy"]
    policy = ask(path="/artifacts/0/0/ab")[1]["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "path", ["/artifacts/0/0/ab", "/artifacts/0/ab", "//artifacts/0/0/ab", "artifacts/0/ab"]
)
def test_however_an_artifact_is_asked_for_it_runs_nothing(seen: list[dict[str, Any]], path: str) -> None:
    assert "sandbox" in asking(LOOPBACK_ONLY, seen)(path=path)[1]["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/\xffartifacts/0/0/ab",
        "/art\xffifacts/0/0/ab",
        "\xc3/artifacts/0/0/ab",
        "/artifacts/0/0/ab\xe2\x82",
        "/artifacts/0/0/ab\n",
        "/dashboard\r",
        "/\x00dashboard",
        "/\u20acartifacts/0/0/ab",
    ],
)
def test_a_path_that_bottle_would_read_as_another_reaches_nothing(
    seen: list[dict[str, Any]], path: str
) -> None:
    status, headers, body = asking(LOOPBACK_ONLY, seen)(path=path)
    assert (status, seen) == ("400 Bad Request", [])
    assert body == b"A path in UTF-8 without control characters is needed.\n"
    assert "sandbox" in headers["Content-Security-Policy"]


@given(st.binary(max_size=30).map(lambda raw: b"/" + raw))
def test_what_passes_is_routed_by_the_path_that_was_judged(raw: bytes) -> None:
    """As Bottle 0.13 decodes it in `Bottle._handle`."""
    path = routed_path(raw.decode("latin-1"))
    assert path in (None, raw.decode("utf-8", "ignore"))


@given(st.text(st.characters(exclude_categories=["C"])))
def test_every_printable_path_passes(path: str) -> None:
    assert routed_path(path.encode().decode("latin-1")) == path
