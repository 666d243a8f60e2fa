"""Two people's tokens: by no route does one reach the other's memory. Routes are read from the app."""

import io
import zipfile
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

SECRET = "teal-elephant-42"
PUBLIC = {("GET", "/health")}  # these need no token and say nothing of anybody
ADMINS = {("GET", "/metrics"), ("GET", "/api/users")}
ABOUT_NOBODY = {("GET", "/v1/models"), ("GET", "/v1/models/{name:path}"), ("POST", "/v1/embeddings")}
ABOUT_NOBODY |= {("GET", "/api/whoami"), ("GET", "/api/traits")}

# How each route with a body is called. A route that is not here fails the test: say how to call it.
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {
        "messages": [{"role": "user", "content": "What is my secret word?"}],
        "explain": True,
    },
    "/v1/embeddings": {"input": "x"},
    "/api/remember": {"said": "Written by ana."},
    "/api/recall": {"query": "secret word"},
    "/api/undo": {},
    "/api/consolidate": {},
    "/api/forget": {"target": SECRET},
    "/api/forget/preview": {"target": SECRET},
    "/api/erase": {"confirm": "ben"},
    "/api/import": None,  # its body is a zip
    "/api/profile/refresh": {},
    "/api/profile/restore": {"version": "p-x"},
    "/api/profile/traits/{name}": {"weight": 1},
    "/api/profile/statements": {"section": "preferences", "text": "Written by ana."},
    "/api/feedback/pair": {"prompt": "secret word", "chosen": "a", "rejected": "b"},
    "/api/feedback/rating": {"reply_id": "e-x", "rating": 1},
    "/api/feedback/used": {"query": "secret word", "good": ["e-x"]},
}


@pytest.fixture
def app(make_app):
    return make_app(required=True)


@pytest.fixture
def http(app):
    with TestClient(app, base_url="http://203.0.113.5", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ben(memory):
    person = memory.for_user("ben")
    person.remember(f"My secret word is {SECRET}.", session="diary")
    person.remember({"role": "assistant", "content": f"{SECRET}, noted."}, session="diary")
    return person


def calls(app):
    found = [(method, route.path) for route in routes_of(app) for method in sorted(route.methods)]
    assert len(found) > 25
    return found


def routes_of(app):
    """All routes, also those of included routers, however the framework nests them."""
    waiting, found = list(app.routes), []
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        waiting += getattr(route, "routes", None) or []
        original = getattr(route, "original_router", None)
        waiting += original.routes if original is not None else []
    return found


def call(http, method, path, *, token=None, user=None, ids=("f-x", "scripted")):
    url = path.replace("{fact_id}", ids[0]).replace("{name:path}", ids[1])
    url = url.replace("{name}", "concise").replace("{key}", ids[0])
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = {"user": user} if user else {}
    more: dict[str, Any] = {}
    if method in ("POST", "PUT"):
        assert path in BODIES, f"{path} is new: say in BODIES how it is called"
        body = BODIES[path]
        more = {"content": b"PK"} if body is None else {"json": body}
        if path == "/v1/chat/completions" and user:
            more["json"] = {**body, "user": user}
    return http.request(method, url, params=query, headers=headers, **more)


def held(person):
    """Everything of a person, as their export says it."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        body = person.export(Path(folder) / "x.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def test_no_route_opens_another_s_memory(app, http, tokens, ben):
    _, token = tokens.new("ana")
    before = held(ben)
    fact = ben.facts()[0].id if ben.facts() else "f-x"
    for method, path in calls(app):
        for user in ("ben", None, "ana"):
            answer = call(http, method, path, token=token, user=user, ids=(fact, "scripted"))
            where = f"{method} {path} as ana, naming {user}"
            assert SECRET not in answer.text.replace(f'"{SECRET}"', ""), where
            assert b"teal" not in unzipped(answer), where
            assert answer.status_code < 500, f"{where}: {answer.text}"
            if user == "ben" and (method, path) not in PUBLIC | ABOUT_NOBODY:
                assert answer.status_code == 403, f"{where}: {answer.status_code}"
    assert held(ben) == before


def unzipped(answer):
    if not answer.content.startswith(b"PK"):
        return b""
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize(
    "token", [None, "mn_not-a-token", "none", "mn_\ud800".encode("utf-8", "replace").decode()]
)
def test_without_a_token_nothing_is_open(app, http, ben, token):
    before = held(ben)
    for method, path in calls(app):
        answer = call(http, method, path, token=token, user="ben")
        expected = 200 if (method, path) in PUBLIC else 401
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code}"
        assert SECRET not in answer.text
    assert held(ben) == before


def test_a_revoked_token_is_refused_at_once(http, tokens, ben):
    token, secret = tokens.new("ben")
    headers = {"Authorization": f"Bearer {secret}"}
    assert http.get("/api/timeline", headers=headers).status_code == 200
    tokens.revoke(token.id)
    refused = http.get("/api/timeline", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


def test_a_person_s_token_is_no_admin_s(app, http, tokens):
    _, token = tokens.new("ana")
    for method, path in ADMINS:
        assert call(http, method, path, token=token).status_code == 403


def test_an_admin_names_whom_they_mean(http, tokens, ben):
    _, secret = tokens.new(None)
    headers = {"Authorization": f"Bearer {secret}"}
    unnamed = http.get("/api/timeline", headers=headers)
    assert (unnamed.status_code, unnamed.json()["error"]["code"]) == (400, "user_required")
    named = http.get("/api/timeline", headers=headers, params={"user": "ben"})
    assert SECRET in named.text
    assert http.get("/api/users", headers=headers).json() == ["ben"]
    assert "mnemon_requests_total" in http.get("/metrics", headers=headers).text


def test_on_loopback_a_token_of_ours_is_heeded(make_app, tokens, ben):
    token, secret = tokens.new("ana")
    with TestClient(make_app(), base_url="http://localhost") as http:
        headers = {"Authorization": f"Bearer {secret}"}
        assert http.get("/api/timeline", headers=headers, params={"user": "ben"}).status_code == 403
        assert http.get("/api/timeline", headers=headers).json() == []
        tokens.revoke(token.id)
        assert http.get("/api/timeline", headers=headers).status_code == 401


def test_the_counts_name_nobody(http, tokens, ben):
    _, ana = tokens.new("ana")
    _, admin = tokens.new(None)
    call(http, "GET", "/api/facts/{fact_id}/history", token=ana, ids=(SECRET, ""))
    call(http, "GET", f"/{SECRET}", token=ana)
    page = http.get("/metrics", headers={"Authorization": f"Bearer {admin}"}).text
    assert "ana" not in page
    assert SECRET not in page
