import asyncio

import pytest

from mlflow_server.gate import HEADERS, LARGEST_BODY, Gate, refusal

ALLOWED = ("localhost", "127.0.0.1", "[::1]", "lab.example")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]", "[::1]:65535", "lab.example", "LAB.example:80"],
)
def test_each_name_passes_in_any_case_at_any_port(host):
    assert refusal([host], [], ALLOWED) is None
    assert refusal([host], [f"http://{host}"], ALLOWED) is None
    assert refusal([host], [f"https://{host.lower()}"], ALLOWED) is None


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["localhost.evil.example"],
        ["127.0.0.1.evil.example"],
        ["localhost."],
        ["localhost@evil.example"],
        ["evil.example@localhost"],
        ["localhost:80@evil.example"],
        ["localhost:"],
        ["localhost:port"],
        ["localhost:123456"],
        ["localhost, evil.example"],
        ["localhost/"],
        ["localhost#"],
        [" localhost"],
        ["localhost\n"],
        ["127.1"],
        ["2130706433"],
        ["[::ffff:127.0.0.1]"],
        ["::1"],
        ["0.0.0.0"],  # noqa: S104 - a header
        ["localhost", "localhost"],
        ["localhost", "evil.example"],
    ],
)
def test_any_other_host_header_is_refused(hosts):
    assert (
        refusal(hosts, [], ALLOWED) == "This server answers to localhost, 127.0.0.1, [::1], lab.example only."
    )


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://localhost:9999",
        "http://localhost",
        "http://127.0.0.1:8080",
        "http://localhost:8080.evil.example",
        "http://localhost:8080@evil.example",
        "http://evil.example://localhost:8080",
        "localhost:8080",
        "file://",
    ],
)
def test_another_origin_is_refused_even_of_the_same_machine(origin):
    assert refusal(["localhost:8080"], [origin], ALLOWED) == "This server answers to its own pages only."


def test_one_good_origin_does_not_cover_for_another():
    both = ["http://localhost:8080", "http://evil.example"]
    assert refusal(["localhost:8080"], both, ALLOWED) is not None
    assert refusal(["localhost:8080"], both[::-1], ALLOWED) is not None


@pytest.fixture
def ask():
    """Sends a request through the gate; gives status, headers, body, and the scopes that reached the app."""

    def send(method="GET", path="/", kind="http", **headers):
        reached, sent = [], []

        async def app(scope, receive, send):
            reached.append(scope)
            given = [(b"X-Content-Type-Options", b"nosniff"), (b"content-type", b"text/html")]
            await send({"type": "http.response.start", "status": 200, "headers": given})
            await send({"type": "http.response.body", "body": b"page"})

        async def collect(message):
            sent.append(message)

        pairs = [(name.encode(), value.encode()) for name, value in ({"host": "localhost"} | headers).items()]
        scope = {"type": kind, "method": method, "path": path, "headers": pairs}
        asyncio.run(Gate(app, ALLOWED)(scope, None, collect))
        return sent, reached

    return send


def test_what_passes_gets_the_security_headers_once(ask):
    (start, body), (scope,) = ask()
    names = [name.decode().lower() for name, _ in start["headers"]]
    assert sorted(names) == sorted({"content-type", *(name.lower() for name in HEADERS)})
    assert (start["status"], body["body"], scope["path"]) == (200, b"page", "/")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(ask, method):
    (start, body), reached = ask(method)
    assert (start["status"], reached) == (403, [])
    assert body["body"] == f"{method} is refused.\n".encode()
    assert (b"x-content-type-options", b"nosniff") in start["headers"]


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/3.0/mlflow/assistant/message",
        "/ajax-api/3.0/mlflow/assistant",
        "/ajax-api/3.0/jobs/",
        "/ajax-api/3.0/mlflow/jobs/cancel/1",
        "/gateway/mlflow/v1/models",
        "/ajax-api/3.0/mlflow/gateway/secrets/create",
        "/api/3.0/mlflow/mcp-servers/a/versions",
        "/api/2.0/mlflow/webhooks/1/test",
        "/ajax-api/3.0/mlflow/scorer/invoke",
        "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
        "/ajax-api/3.0/mlflow/prompt-optimization/jobs",
    ],
)
def test_what_starts_programs_or_sends_requests_elsewhere_is_not_served(ask, path):
    (start, _), reached = ask("POST", path)
    assert (start["status"], reached) == (403, [])


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/2.0/mlflow/runs/search",
        "/ajax-api/2.0/mlflow/gateway-proxy",
        "/graphql",
        "/get-artifact",
        "/api/2.0/mlflow/runs/create",
    ],
)
def test_what_the_pages_of_runs_need_passes(ask, path):
    assert len(ask("POST", path, origin="http://localhost")[1]) == 1


def test_no_websocket_is_opened(ask):
    (message,), reached = ask(kind="websocket")
    assert (message["type"], reached) == ("websocket.close", [])


def test_the_start_of_the_server_reaches_the_application(ask):
    assert [scope["type"] for scope in ask(kind="lifespan")[1]] == ["lifespan"]


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/api/2.0/mlflow/runs/create", LARGEST_BODY),
        ("/api/2.0/mlflow-artifacts/artifacts/a", 3 * LARGEST_BODY),
    ],
)
def test_a_body_without_end_is_cut_off_but_for_artifacts_which_are_not_kept_in_memory(path, read):
    half = LARGEST_BODY // 2
    left = [{"type": "http.request", "body": bytes(half), "more_body": left > 0} for left in range(5, -1, -1)]
    taken = []

    async def receive():
        return left.pop(0)

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            taken.append(len(message["body"]))
            if not message["more_body"]:
                break

    scope = {"type": "http", "method": "PUT", "path": path, "headers": [(b"host", b"localhost")]}
    asyncio.run(Gate(app, ALLOWED)(scope, receive, None))
    assert sum(taken) == read
