"""The web page's place: static files at the root, open to anybody, beside routes that are not."""

import re

from starlette.testclient import TestClient

from mnemon.agent.server import Door, create_app
from mnemon.agent.server.app import PAGE
from mnemon.testing import ScriptedChatModel


def test_the_page_needs_no_token_and_loads_nothing_from_elsewhere(memory, tokens, tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<!doctype html><title>mnemon</title>", encoding="utf-8")
    (page / "app.js").write_text("export {};", encoding="utf-8")
    app = create_app(memory, ScriptedChatModel([]), door=Door(tokens=tokens, required=True), page=page)
    with TestClient(app, base_url="http://box.lan") as client:
        shown = client.get("/")
        assert "<title>mnemon</title>" in shown.text
        assert shown.headers["content-security-policy"].startswith("default-src 'self'")
        assert "javascript" in client.get("/app.js").headers["content-type"]
        assert client.get("/api/timeline").status_code == 401
        missing = client.get("/nothing.js")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        assert client.get("/../people.db").status_code == 404


def test_the_page_that_ships_names_only_files_that_ship(client):
    """No build step and nothing from elsewhere: every import, link and script is a file beside the page."""
    for file in sorted(PAGE.iterdir()):
        text = file.read_text(encoding="utf-8")
        named = (
            re.findall(r"""(?:from|src=|href=|url\()\s*["']?([^"'\s>)]+)""", text)
            if file.suffix != ".svg"
            else []
        )
        for name in named:
            if re.fullmatch(r"[./\w-]+\.(?:js|css|svg)", name):
                assert client.get(f"/{name}").status_code == 200, f"{file.name} names {name}"
        assert "https://" not in text
        if file.suffix != ".svg":  # whose namespace is an address that nobody calls
            assert "http://" not in text
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|style=", text)
        assert len(text.splitlines()) <= 300


def test_the_browser_is_told_to_refuse_markup_and_what_is_from_elsewhere(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_two_replies_to_choose_from_come_without_a_model(client):
    asked = client.get("/api/feedback/question", params={"user": "ana"}).json()
    assert asked["question"]
    assert asked["first"] != asked["second"]
    chosen = {"prompt": asked["question"], "chosen": asked["first"], "rejected": asked["second"]}
    assert client.post("/api/feedback/pair", params={"user": "ana"}, json=chosen).status_code == 200
    again = client.get("/api/feedback/question", params={"user": "ana"}).json()
    assert (again["first"], again["second"]) != (asked["first"], asked["second"])
