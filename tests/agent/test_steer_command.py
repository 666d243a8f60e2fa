"""`mnemon steer` from the outside."""

import json
from pathlib import Path

import pytest

from mnemon.cli.app import run
from tests.agent import tiny_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_llama.write_folder(tmp_path_factory.mktemp("steer") / "tiny"))


def test_it_answers_and_shows_what_steering_did(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "trace.html"
    asked = ["steer", "Hello", "-t", "Be formal.", "-a", "Be casual.", "--max-tokens", "8", "--model", folder]
    assert run([*asked, "--json", "--html", str(page)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert 0 < len(data["tokens"]) <= 8
    assert data["shares"] == {"Be formal.": 1.0}
    assert data["kl"] <= 0.2 * 8 + 1e-6
    assert page.read_text().startswith("<!doctype html>")
    assert run([*asked, "--table"]) == 0
    shown = capsys.readouterr().out
    assert "tokens changed, divergence" in shown
    assert "\x1b[" not in shown  # this is no terminal


def test_two_traits_one_opposite(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["steer", "Hello", "-t", "Be formal.", "-t", "Be brief.", "-a", "Be casual.", "--epsilon", "0.5"]
    assert run([*asked, "--max-tokens", "6", "--model", folder, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["shares"]) == {"Be formal.", "Be brief."}
    assert data["rows"] == 4 * data["forwards"]  # base, two traits, one opposite


def test_traits_that_are_rules(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["steer", "Hello", "--trait", "asks", "--max-tokens", "6", "--model", folder, "--json"]
    assert run(asked) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["tokens"][0]["contributions"]) == {"asks: openings", "asks: question marks", "on topic"}
    assert data["rows"] == 2 * data["forwards"]  # the base and the row that knows no question


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--trait", "brief", "--html", "/nowhere/page.html"],
        ["--trait", "brief", "--html", "/"],
        ["--trait", "witty"],
        ["-t", "Be brief.", "-a", "x", "-a", "y"],
        ["-t", "x", "--epsilon", "-1"],
    ],
)
def test_what_cannot_be_is_told_before_a_model_is_loaded(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["steer", "Hello", "--model", "nowhere", *wrong]) == 2
    assert "Traceback" not in capsys.readouterr().err
