"""The web page's place: static files at the root, open to anybody, beside routes that are not."""

from starlette.testclient import TestClient

from mnemon.agent.server import Door, create_app
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
