import asyncio
import re
from urllib.parse import urlsplit

import pytest
from starlette.routing import compile_path
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from mlflow_server.gate import HEADERS, LARGEST_BODY, Gate, path_refusal, refusal

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
        "/ajax-api/3.0/mlflow/assistant/config\n",
        "//ajax-api/3.0/mlflow/gateway/secrets/create",
        "/ajax-api/3.0//mlflow/jobs",
    ],
)
def test_what_starts_programs_or_sends_requests_elsewhere_is_not_served(ask, path):
    (start, _), reached = ask("POST", path)
    assert (start["status"], reached) == (403, [])


def native_routes():
    """Path and method of everything that MLflow serves beside Flask and that is not for runs and models."""
    from mlflow.server.assistant.api import assistant_router
    from mlflow.server.gateway_api import gateway_router
    from mlflow.server.job_api import job_api_router
    from mlflow.server.mcp_server_api import get_mcp_server_api_route_prefixes, mcp_server_router

    mounted = [("", router) for router in (assistant_router, gateway_router, job_api_router)]
    mounted += [(prefix, mcp_server_router) for prefix in get_mcp_server_api_route_prefixes()]
    return [
        (prefix + route.path, method)
        for prefix, router in mounted
        for route in router.routes
        for method in route.methods
    ]


def flask_routes():
    from mlflow.server import app

    return app.url_map, [(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods]


def example(template):
    return re.sub("<.*?>|{.*?}", "1", template)


def disguises(path):
    """The path with something that a server may skip, join, or take for its end."""
    front, _, last = path.rpartition("/")
    for text in "\n\r\t\0\x0b\x1f\x7f\x85\u2028 ;.\\|?#\ufffd":
        yield from (path + text, f"{front}{text}/{last}", f"{front}/{text}{last}", f"/{text}{path[1:]}")
    for text in ("//", "/./", "/x/../", "/%2e/", ";a/", "%2F", "\n/"):
        yield from (path.replace("/", text), f"{front}{text}{last}", path + text)
    yield from (f"/{path}", f"//{path}", path[1:], f"http://localhost{path}", path.upper(), path.title())


def test_no_disguise_of_a_path_leads_to_what_is_not_served():
    """Led by the routers of Starlette and Flask over MLflow's own routes."""
    native = native_routes()
    url_map, served_by_flask = flask_routes()
    patterns = [compile_path(template)[0] for template in sorted({template for template, _ in native})]
    closed = [(example(path), method) for path, method in served_by_flask if path_refusal(example(path))]
    assert len(closed) > 100
    flask = url_map.bind("localhost")
    for path, method in [*((example(path), method) for path, method in native), *closed]:
        for text in disguises(path):
            if path_refusal(text) is None:
                assert not any(pattern.match(text) for pattern in patterns), text
                assert not path_refusal(led_by_flask(flask, text, method)), text


def led_by_flask(flask, path, method):
    try:
        rule, _ = flask.match(path, method, return_rule=True)
    except RequestRedirect as redirect:
        return urlsplit(redirect.new_url).path
    except HTTPException:
        return "/nowhere"
    return example(rule.rule)


@pytest.mark.parametrize("path", ["/\n", "/health\r", "/a\0b", "health", "", "*", "http://localhost/health"])
def test_a_path_with_control_characters_or_without_a_root_is_refused(ask, path):
    (start, body), reached = ask(path=path)
    assert (start["status"], reached) == (403, [])
    assert body["body"] == b"A path that begins with / and holds no control characters is needed.\n"


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/2.0/mlflow/runs/search",
        "/ajax-api/2.0/mlflow/gateway-proxy",
        "/graphql",
        "/get-artifact",
        "/api/2.0/mlflow-artifacts/artifacts/a//\u00e9 b.png",
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
    ("method", "path", "read"),
    [
        ("PUT", "/api/2.0/mlflow/runs/create", LARGEST_BODY),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", 3 * LARGEST_BODY),
        ("PUT", "//api/2.0/mlflow-artifacts/artifacts/a", LARGEST_BODY),
        ("POST", "/api/2.0/mlflow-artifacts/artifacts/a", LARGEST_BODY),  # which Flask would read whole
    ],
)
def test_a_body_without_end_is_cut_off_but_for_artifacts_which_are_not_kept_in_memory(method, path, read):
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

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"localhost")]}
    asyncio.run(Gate(app, ALLOWED)(scope, receive, None))
    assert sum(taken) == read
