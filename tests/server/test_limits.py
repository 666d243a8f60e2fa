"""Oversized, malformed, slow and foreign requests to a real server: each is refused, and it lives on."""

import socket
import threading
import time

import httpx
import pytest

from mnemon.agent.server import Door, Limits, TokenFile, create_app, serving
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel
from tests.server.raw import connect, everything, head

SMALL = Limits(body_bytes=2_000, import_bytes=4_000, header_seconds=0.3, body_seconds=0.4)
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    with Memory.open(tmp_path_factory.mktemp("db") / "people.db", embedder=None) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(memory, tmp_path_factory):
    tokens = TokenFile(tmp_path_factory.mktemp("tokens") / "tokens.json")
    app = create_app(memory, ScriptedChatModel([]), door=Door(tokens=tokens), limits=SMALL)
    with serving(app, limits=SMALL) as address:
        yield address


@pytest.fixture
def url(served, memory):
    yield served
    assert httpx.get(f"{served}/health").json()["status"] == "ok", "it lives on"
    assert memory.users() == [], "nothing was written"


def test_an_oversized_body_is_refused_by_what_it_says_it_is(url):
    with connect(url) as sock:
        sock.sendall(head("/api/remember", JSON, "Content-Length: 999999999"))
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in answer


def test_an_oversized_body_is_refused_by_what_it_is(url):
    def parts():
        yield b'{"said": "'
        for _ in range(100):
            yield b"x" * 100
        yield b'"}'

    answer = httpx.post(f"{url}/api/remember", content=parts(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_an_import_has_a_limit_of_its_own(url):
    assert httpx.post(f"{url}/api/import", content=b"x" * 3_000).status_code == 422
    assert httpx.post(f"{url}/api/import", content=b"x" * 5_000).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b'{"query": "\xff"}',
        b"{",
        b"null",
        b"[" * 1_900,
        b'{"query": 1e999}',
        b'{"query": "x", "k": NaN}',
        b'{"query": "\\ud800"}',
        b"",
    ],
    ids=["no utf-8", "no utf-8 inside", "cut off", "null", "deep", "infinite", "nan", "surrogate", "empty"],
)
def test_what_is_no_request_is_a_bad_one(url, body):
    answer = httpx.post(f"{url}/api/recall", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"POST /api/recall HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["tls", "no address", "two hosts"],
)
def test_what_is_no_http_is_answered_and_closed(url, sent):
    with connect(url) as sock:
        sock.sendall(sent + b"\r\n\r\n")
        assert everything(sock).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))


def test_headers_that_never_end_are_given_up(url):
    with connect(url) as sock:
        sock.sendall(b"POST /api/recall HTTP/1.1\r\n")
        began = time.monotonic()
        closed = False
        for _ in range(50):
            time.sleep(0.05)
            try:
                sock.sendall(b"X: y\r\n")
                sock.settimeout(0.001)
                closed = sock.recv(10) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
            if closed:
                break
    assert closed
    assert time.monotonic() - began < 2


def test_a_connection_that_says_nothing_is_given_up(url):
    with connect(url) as sock:
        sock.settimeout(3)
        assert sock.recv(10) == b""


def test_a_slow_loris_s_second_request_is_given_up_too(url):
    with connect(url) as sock:
        sock.sendall(head("/health", method="GET"))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        sock.sendall(b"GET /health HT")
        sock.settimeout(3)
        assert sock.recv(65_536) == b""


def test_a_body_that_never_ends_is_given_up(url):
    with connect(url) as sock:
        sock.sendall(head("/api/recall", JSON, "Content-Length: 100") + b'{"query"')
        sock.settimeout(5)
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too_slow"' in answer


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(url):
    with connect(url) as sock:
        sock.sendall(head("/api/remember", JSON, "Content-Length: 100") + b'{"said": "half')
        sock.shutdown(socket.SHUT_RDWR)
    assert httpx.get(f"{url}/api/timeline").json() == []


# --- who may call, from where


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::2]"])
def test_a_name_that_is_not_ours_is_not_answered(client, host):
    answer = client.get("/api/timeline", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:6636", "127.0.0.1:1", "[::1]:6636", "[::1]"])
def test_this_machine_s_names_are_answered(client, host):
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "http://localhost.evil"]
)
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_a_foreign_page_may_not_even_ask(client, origin, method):
    headers = {"Origin": origin, "Content-Type": "text/plain", "Access-Control-Request-Method": "POST"}
    answer = client.request(method, "/api/remember", headers=headers, content=b'{"said": "x"}')
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_our_own_page_may(client):
    answer = client.post("/api/remember", headers={"Origin": "http://localhost"}, json={"said": "Hello."})
    assert answer.status_code == 200


def test_a_page_that_was_let_in_may(make_app):
    from starlette.testclient import TestClient

    app = make_app(origins=["https://mine.example"], hosts=["box.lan"])
    with TestClient(app, base_url="http://box.lan") as client:
        origin = {"Origin": "https://mine.example"}
        asked = client.options("/api/recall", headers={**origin, "Access-Control-Request-Method": "POST"})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "https://mine.example"
        assert "authorization" in asked.headers["access-control-allow-headers"].lower()
        answer = client.post("/api/recall", headers=origin, json={"query": "x"})
        assert answer.headers["access-control-allow-origin"] == "https://mine.example"
        assert answer.headers["vary"] == "Origin"


def test_every_answer_says_how_it_is_to_be_treated(client):
    for path in ("/health", "/nothing", "/api/timeline"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_too_many_at_once_are_told_to_come_back(make_app):
    none = Limits(requests=0)
    from starlette.testclient import TestClient

    with TestClient(make_app(limits=none), base_url="http://localhost") as client:
        answer = client.get("/api/timeline")
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0


class Dozing(HashEmbedder):
    """Waits for `go` before it embeds a question."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def embed_queries(self, texts):
        assert self.go.wait(20), "the test has forgotten to let it go"
        return super().embed_queries(texts)


def test_a_memory_that_takes_too_long_is_said_and_the_others_are_answered(tmp_path):
    embedder, limits = Dozing(), Limits(memory_seconds=0.3)
    with Memory.open(tmp_path / "people.db", embedder=embedder) as memory:
        memory.for_user("ana").remember("My beagle is called Biscuit.")
        door = Door(tokens=TokenFile(tmp_path / "tokens.json"))
        app = create_app(memory, ScriptedChatModel([]), door=door, limits=limits)
        with serving(app) as url:
            asked = {"params": {"user": "ana"}, "json": {"query": "beagle"}}
            late = httpx.post(f"{url}/api/recall", **asked)
            assert late.status_code == 504
            assert late.json()["error"]["code"] == "took_too_long"
            assert httpx.get(f"{url}/api/stats", params={"user": "ben"}).status_code == 200
            embedder.go.set()
            assert "Biscuit" in httpx.post(f"{url}/api/recall", **asked).text
