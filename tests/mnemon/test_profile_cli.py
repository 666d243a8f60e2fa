"""The commands about the person: profile, persona, feedback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnemon.cli import main

Capture = pytest.CaptureFixture[str]
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Run:
    """Runs a command on a memory of its own and gives what it printed."""
    monkeypatch.setenv("MNEMON_HOME", str(tmp_path / "home"))
    db = str(tmp_path / "people.db")

    def call(*arguments: str, code: int = 0) -> str:
        ended = main([*arguments, "--db", db])
        printed = capsys.readouterr()
        assert ended == code, printed.err
        return printed.out if code == 0 else printed.err

    call("remember", "My name is Ana. I prefer tea over coffee. Keep your answers short, please.", "-s", "s1")
    return call


def test_show_has_sections_and_bars(run: Run) -> None:
    shown = run("profile", "show")
    assert "Who they are\n  Name is Ana." in shown
    assert "concise  ··········│████████··  +0.80" in shown
    data = json.loads(run("profile", "show", "--json"))
    assert data["sections"]["preferences"][0]["quotes"][0]["words"] == "I prefer tea over coffee."
    assert data["persona"]["leanings"][0]["trait"] == "concise"


def test_why_shows_the_words(run: Run) -> None:
    assert "“I prefer tea over coffee.”" in run("profile", "why", "tea")
    assert "“Keep your answers short, please.”" in run("profile", "why", "concise")
    assert "Nothing in the profile says 'golf'" in run("profile", "why", "golf", code=2)


def test_edit_history_and_back(run: Run) -> None:
    run("profile", "refresh")
    assert run("profile", "edit", "--add", "preferences: window seats") == "+ window seats\n"
    assert run("profile", "edit", "--remove", "tea") == "- The user prefers tea over coffee.\n"
    assert "+ window seats" in run("profile", "history")
    assert run("profile", "back") == "+ The user prefers tea over coffee.\n"
    assert run("profile", "back") == "- window seats\n"
    assert "no version before" in run("profile", "back", code=2)
    assert "nothing to change" in run("profile", "edit", code=2)
    assert "no section 'likes'" in run("profile", "edit", "--add", "likes: x", code=2)


def test_sensitive_things_are_marked_until_allowed(run: Run) -> None:
    run("remember", "I am allergic to peanuts.", "-s", "s2")
    assert "Is allergic to peanuts.  [health]" in run("profile", "show")
    run("profile", "edit", "--allow", "health")
    assert json.loads(run("profile", "show", "--json"))["allowed"] == ["health"]


def test_export(run: Run, tmp_path: Path) -> None:
    run("profile", "export", str(tmp_path / "me.md"))
    assert "- The user's name is Ana." in (tmp_path / "me.md").read_text()
    run("profile", "export", str(tmp_path / "me.json"))
    assert json.loads((tmp_path / "me.json").read_text())["sections"]["who they are"]
    assert ".json or .md" in run("profile", "export", str(tmp_path / "me.txt"), code=2)


def test_setting_and_dropping_traits(run: Run) -> None:
    assert run("persona", "set", "formal", "-0.5", "--when", "code") == "+ formal -0.50 when code\n"
    assert run("persona", "set", "concise", "--drop") == "- concise +0.80\n"
    assert "Did you mean concise" in run("persona", "set", "conscise", "1", code=2)
    assert "Give a weight, or --drop" in run("persona", "set", "concise", code=2)


def test_shared_personas(run: Run) -> None:
    run("persona", "new", "team", "--trait", "emoji=0.4", "--note", "For the team")
    run("persona", "set", "warm", "0.6", "--persona", "team")
    run("profile", "edit", "--under", "team")
    shown = run("persona", "list")
    assert "me (own)  follows team" in shown
    assert "For the team" in shown
    assert "warm" in shown
    assert "already" in run("persona", "new", "team", code=2)
    assert "no shared persona 'taem'" in run("profile", "edit", "--under", "taem", code=2)


def test_a_shared_persona_made_from_ones_own_quotes_nobody(run: Run, tmp_path: Path) -> None:
    run("persona", "new", "brief", "--from-own")
    text = (tmp_path / "home" / "personas" / "brief.toml").read_text()
    assert "concise" in text
    assert "short, please" not in text
    assert "e-" not in text.split("[[leanings]]")[1]


def test_traits_and_schema(run: Run, capsys: Capture) -> None:
    traits: list[dict[str, Any]] = json.loads(run("persona", "list", "--traits", "--json"))
    assert {"name", "says", "opposite", "measure"} == set(traits[0])
    assert main(["persona", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Persona"


def test_feedback(run: Run) -> None:
    run("feedback", "choose", "How are you?", "Fine.", "I am very well indeed, thank you.", "--why", "short")
    reply = json.loads(run("remember", "Hello!", "--role", "assistant", "-s", "s1", "--json"))["ids"][0]
    run("feedback", "rate", reply, "up")
    log = json.loads(run("feedback", "list", "--json"))
    assert [(one["about"], one["rating"], one["note"]) for one in log] == [
        ("pair", None, "chosen: short"),
        ("reply", 1, ""),
    ]
    assert "expected up or down" in run("feedback", "rate", reply, "sideways", code=2)
    assert "How are you?" in run("feedback", "list")
