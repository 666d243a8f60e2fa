"""Taking exports in: what is remembered, that twice is once, that a killed run goes on, that memory stays
bounded; and the command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemon.cli.app import run
from mnemon.cli.importing import KINDS
from mnemon.errors import DataError, UsageError
from mnemon.memory import Memory, Person
from mnemon.memory.importers import READERS, Options, Report, import_from
from tests.importers.exports import chat, write_json

LONG = 1_200  # conversations of a long export; more than one transaction


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(":memory:", embedder=None) as memory:
        yield memory


@pytest.fixture
def ana(memory: Memory) -> Person:
    return memory.for_user("ana")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    chats = [
        chat("pets", "My beagle is called Biscuit.", "Lovely!"),
        chat("home", "I live in Lisbon.", "Nice."),
    ]
    return write_json(tmp_path / "conversations.json", chats)


def long_export(path: Path) -> Path:
    with path.open("w") as file:
        for number in range(LONG):
            texts = (f"I visited city number {number}.", f"Tell me more about {number}.")
            file.write("[" if number == 0 else ",")
            json.dump(chat(f"c{number}", *texts, start=1.6e9 + 1000 * number), file)
        file.write("]")
    return path


def test_what_was_said_is_remembered_with_its_facts(ana: Person, export: Path) -> None:
    report = import_from(ana, "chatgpt", export)
    assert (report.conversations, report.messages, report.written, report.known) == (2, 4, 4, 0)
    assert {(turn.session, turn.role) for turn in ana.timeline()} == {
        (f"chatgpt:{name}", role) for name in ("pets", "home") for role in ("user", "assistant")
    }
    assert {fact.value for fact in ana.facts()} >= {"Biscuit", "Lisbon"}
    assert ana.recall("what is my beagle called?", k=1)[0].source == "chatgpt"
    assert report.first == min(turn.time for turn in ana.timeline())
    assert report.last == max(turn.time for turn in ana.timeline())


def test_a_second_run_writes_nothing(ana: Person, export: Path) -> None:
    import_from(ana, "chatgpt", export)
    events = ana.stats().events
    again = import_from(ana, "chatgpt", export)
    assert (again.messages, again.written, again.known) == (4, 0, 4)
    assert ana.stats().events == events


def test_a_longer_export_adds_what_is_new(ana: Person, export: Path) -> None:
    import_from(ana, "chatgpt", export)
    longer = [chat("pets", "My beagle is called Biscuit.", "Lovely!", "He is three."), chat("new", "Hello")]
    report = import_from(ana, "chatgpt", write_json(export, longer))
    assert (report.written, report.known) == (2, 2)
    assert [turn.text for turn in ana.timeline(session="chatgpt:pets")][-1] == "He is three."


def test_a_dry_run_says_the_same_and_writes_nothing(ana: Person, export: Path) -> None:
    dry = import_from(ana, "chatgpt", export, dry_run=True)
    assert ana.timeline() == []
    wet = import_from(ana, "chatgpt", export)
    assert (dry.messages, dry.written, dry.skipped) == (wet.messages, wet.written, wet.skipped)
    assert import_from(ana, "chatgpt", export, dry_run=True).written == 0


def test_equal_words_of_one_conversation_are_kept_apart(ana: Person, tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    line = "13/05/2024, 10:00 - Ana: ok\n"
    path.write_text(line * 3)
    for _ in range(2):
        import_from(ana, "whatsapp", path, options=Options(me="Ana"))
        assert len(ana.timeline()) == 3


def test_another_kind_of_file_is_an_error(ana: Person, export: Path) -> None:
    with pytest.raises(DataError, match="it lacks chat_messages"):
        import_from(ana, "claude", export)
    with pytest.raises(UsageError, match="'telegram'"):
        import_from(ana, "telegram", export)


def test_an_export_that_is_cut_short_keeps_what_came_before(ana: Person, tmp_path: Path) -> None:
    path = long_export(tmp_path / "conversations.json")
    path.write_bytes(path.read_bytes()[:-2_000])
    with pytest.raises(DataError, match="conversation 119"):
        import_from(ana, "chatgpt", path)
    assert len(ana.timeline()) > 1_000


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with(tmp_path: Path) -> None:
    path, db = long_export(tmp_path / "conversations.json"), tmp_path / "people.db"
    code = (
        "import sys; from mnemon.memory import Memory; from mnemon.memory.importers import import_from\n"
        "with Memory.open(sys.argv[2], embedder=None) as memory:\n"
        "    import_from(memory.for_user('ana'), 'chatgpt', sys.argv[1])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path), str(db)])
    try:
        while not db.exists() or _turns(db) < 500:
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with Memory.open(db, embedder=None) as memory:
        ana = memory.for_user("ana")
        before = len(ana.timeline())
        assert 500 <= before < 2 * LONG
        report = import_from(ana, "chatgpt", path)
        assert (report.known, report.written) == (before, 2 * LONG - before)
        assert len(ana.timeline()) == 2 * LONG
        assert ana.verify()


def _turns(db: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM records WHERE kind = 1").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


class TestCommand:
    def read(self, capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
        assert run([*map(str, words)]) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    def test_it_takes_in_and_says_what(
        self, capsys: pytest.CaptureFixture[str], export: Path, tmp_path: Path
    ) -> None:
        place = ("--db", tmp_path / "p.db", "--user", "ana", "--embedder", "none")
        dry = self.read(capsys, "import", "chatgpt", export, "--dry-run", *place)
        assert dry.startswith("Would take in 4 new of 4 messages in 2 conversations, said between 2023-11-14")
        out = json.loads(self.read(capsys, "import", "chatgpt", export, "--json", *place))
        assert (out["written"], out["known"], out["skipped"]) == (4, 0, {})
        assert "Took in 0 new of 4 messages" in self.read(capsys, "import", "chatgpt", export, *place)

    def test_what_was_passed_over_is_listed(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = write_json(tmp_path / "c.json", [chat("a", "Hello", " "), {"odd": 1}])
        out = self.read(capsys, "import", "chatgpt", path, "--db", tmp_path / "p.db", "--embedder", "none")
        assert "message without words\t1" in out
        assert "conversation that cannot be read\t1" in out

    def test_our_own_export_needs_no_kind(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        with Memory.open(tmp_path / "a.db", embedder=None) as memory:
            ana = memory.for_user("ana")
            ana.remember("I have a dog.")
            ana.export(tmp_path / "ana.zip")
        place = ("--db", tmp_path / "b.db", "--user", "ana")
        assert "records" in self.read(capsys, "import", tmp_path / "ana.zip", *place)
        assert "Took in 0 records" in self.read(capsys, "import", "mnemon", tmp_path / "ana.zip", *place)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["chatgpt"], "which file"),
            (["telegram", "x"], "telegram"),
            (["mnemon", "x.zip", "--dry-run"], "whole or not at all"),
            (["jsonl", "x.jsonl", "--zone", "Nowhere/Land"], "no time zone"),
            (["jsonl", "x.jsonl", "--time", "soon"], "--time is 'soon'"),
        ],
    )
    def test_what_makes_no_sense(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], said: str
    ) -> None:
        assert said in self.read(capsys, "import", *words, "--db", tmp_path / "p.db", code=2)

    def test_the_command_knows_every_kind(self) -> None:
        assert set(KINDS) == set(READERS)


def test_a_report_adds_up() -> None:
    assert Report(kind="x", dry_run=False, messages=5, written=2).known == 3
