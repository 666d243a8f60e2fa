"""Export and import: exact round trips, importing twice is importing once, and nothing wrong gets in."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mnemon.errors import DataError, UsageError
from mnemon.memory import Memory, Person, ProfileVersion
from mnemon.memory.seams import Put
from mnemon.testing import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2024-05-01T10:00:00+00:00")


@pytest.fixture
def memory(clock: FrozenClock) -> Iterator[Memory]:
    with Memory.open(":memory:", embedder=None, clock=clock) as memory:
        yield memory


@pytest.fixture
def ana(memory: Memory, clock: FrozenClock) -> Person:
    ana = memory.for_user("ana")
    ana.remember("I live in Paris. \ud800 \x00 \u200b 🦜", time="2024-01-01T10:00:00+05:30", session="s1")
    ana.remember([{"role": "assistant", "content": "Nice", "meta": {"tokens": 3}}], session="s1")
    ana.remember("I moved to Berlin.", time="2024-03-01", session="s2", speaker="Ana")
    ana.remember(["yes", "yes"], time="2024-03-02", session="s2")
    clock.advance(days=1)
    ana.consolidate()
    (home,) = [fact for fact in ana.facts() if fact.value == "Berlin"]
    ana.keep_feedback("reply", "where?", good=[home.id], rating=0.5)
    version = ProfileVersion(id="p-1", body='{"a": 1}', recorded_at=clock(), sources=(home.id,))
    memory.store.apply("ana", [Put(version)], action="profile", at=clock())
    return ana


@pytest.fixture
def exported(ana: Person, tmp_path: Path) -> Path:
    return ana.export(tmp_path / "ana.zip")


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def everything(person: Person) -> list[object]:
    known = person.facts(closed=True)
    return [
        person.timeline(),
        known,
        [person.history(fact.id) for fact in known],
        person.sessions(),
        person.profiles(),
        person.feedback_log(),
    ]


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], *, hashes: bool = True) -> Path:
    """The export with its files changed, and the manifest made to fit."""
    files = members(path)
    change(files)
    if hashes and "manifest.json" in files:
        manifest = json.loads(files["manifest.json"])
        for name, entry in manifest["files"].items():
            if name in files:
                entry["sha256"] = hashlib.sha256(files[name]).hexdigest()
                entry["records"] = files[name].count(b"\n")
        files["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def with_line(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        lines = [json.loads(line) for line in files[name].splitlines()]
        change(lines[0])
        files[name] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return apply


class TestRoundTrip:
    def test_exactly(self, memory: Memory, ana: Person, exported: Path, tmp_path: Path) -> None:
        copy = memory.for_user("copy")
        diff = copy.import_(exported)
        assert diff.action == "import"
        assert everything(copy) == everything(ana)
        assert copy.verify()
        again = members(copy.export(tmp_path / "copy.zip"))
        assert {name: body for name, body in again.items() if name != "manifest.json"} == {
            name: body for name, body in members(exported).items() if name != "manifest.json"
        }
        assert copy.recall("Berlin")[0].text == "I moved to Berlin."

    def test_twice_is_once(self, memory: Memory, exported: Path) -> None:
        copy = memory.for_user("copy")
        copy.import_(exported)
        before = (everything(copy), copy.stats().events)
        assert not copy.import_(exported)
        assert (everything(copy), copy.stats().events) == before

    def test_into_what_is_there(self, memory: Memory, ana: Person, exported: Path) -> None:
        copy = memory.for_user("copy")
        copy.remember("I moved to Berlin.", time="2024-03-01", session="s2", speaker="Ana")
        copy.remember("I live in Rome.", time="2024-04-01", session="s2")
        copy.import_(exported)
        texts = [turn.text for turn in copy.timeline()]
        assert len(texts) == len(ana.timeline()) + 1
        assert sorted(turn.position for turn in copy.timeline(session="s2")) == [0, 1, 2, 3]
        assert copy.verify()

    def test_an_import_can_be_taken_back(self, memory: Memory, exported: Path) -> None:
        copy = memory.for_user("copy")
        copy.import_(exported)
        copy.undo()
        assert everything(copy) == [[], [], [], [], [], []]

    def test_a_forgotten_fact_does_not_come_back(self, ana: Person, exported: Path) -> None:
        (home,) = [fact for fact in ana.facts() if fact.value == "Berlin"]
        ana.forget(home.id)
        ana.import_(exported)
        assert all(fact.value != "Berlin" for fact in ana.facts(closed=True))

    def test_of_nobody(self, memory: Memory, tmp_path: Path) -> None:
        path = memory.for_user("nobody").export(tmp_path / "empty.zip")
        assert not memory.for_user("copy").import_(path)

    def test_the_manifest_says_what_it_is(self, exported: Path) -> None:
        manifest = json.loads(members(exported)["manifest.json"])
        assert (manifest["format"], manifest["version"], manifest["user"]) == ("mnemon-export", 1, "ana")
        for name, entry in manifest["files"].items():
            body = members(exported)[name]
            assert entry["sha256"] == hashlib.sha256(body).hexdigest()
            assert (entry["bytes"], entry["records"]) == (len(body), body.count(b"\n"))


class TestExportPlaces:
    def test_nothing_is_overwritten_and_nothing_half_written(self, ana: Person, tmp_path: Path) -> None:
        path = tmp_path / "there.zip"
        path.write_text("mine")
        with pytest.raises(UsageError, match="there already"):
            ana.export(path)
        with pytest.raises(UsageError, match="no folder"):
            ana.export(tmp_path / "none" / "ana.zip")
        assert path.read_text() == "mine"
        assert [found.name for found in tmp_path.iterdir()] == ["there.zip"]


class TestRefused:
    def refused(self, memory: Memory, path: Path, words: str = "") -> None:
        copy = memory.for_user("copy")
        copy.remember("here before", time="2024-01-01")
        before = everything(copy)
        with pytest.raises(DataError, match=words or None):
            copy.import_(path)
        assert everything(copy) == before

    @pytest.mark.parametrize(
        "name", ["../../evil", "/etc/passwd", "episodes.jsonl/../x", "C:\\x", "extra.jsonl"]
    )
    def test_names_that_are_none_of_ours(self, memory: Memory, exported: Path, name: str) -> None:
        self.refused(memory, rewrite(exported, lambda files: files.update({name: b"x"})), "it holds")

    def test_a_bomb(self, memory: Memory, exported: Path) -> None:
        line = b'{"id": "' + b"0" * 30_000_000 + b'"}\n'
        self.refused(
            memory, rewrite(exported, lambda files: files.update({"feedback.jsonl": line * 10})), "unpacks"
        )

    def test_a_line_without_end(self, memory: Memory, exported: Path) -> None:
        endless = b'{"id": "' + b"0" * 40_000_000 + b'"}\n'
        self.refused(
            memory, rewrite(exported, lambda files: files.update({"facts.jsonl": endless})), "does not end"
        )

    def test_somebody_who_repeats_himself(self, memory: Memory, tmp_path: Path) -> None:
        person = memory.for_user("parrot")
        person.remember("ha" * 1_000_000)
        copy = memory.for_user("copy")
        copy.import_(person.export(tmp_path / "parrot.zip"))
        assert copy.timeline() == person.timeline()

    def test_no_zip_and_half_a_zip(self, memory: Memory, exported: Path, tmp_path: Path) -> None:
        whole = exported.read_bytes()
        for body in (b"", b"PK\x03\x04", b"hello" * 100, whole[: len(whole) // 2], whole[:-30]):
            (tmp_path / "bad.zip").write_bytes(body)
            self.refused(memory, tmp_path / "bad.zip")
        self.refused(memory, tmp_path / "none.zip", "no file")
        self.refused(memory, tmp_path)

    def test_every_flipped_byte_is_noticed_or_harmless(
        self, memory: Memory, ana: Person, exported: Path
    ) -> None:
        whole = bytearray(exported.read_bytes())
        noticed = 0
        for place in range(0, len(whole), 97):
            flipped = bytearray(whole)
            flipped[place] ^= 0x55
            exported.write_bytes(flipped)
            copy = memory.for_user(f"copy {place}")
            try:
                copy.import_(exported)
            except DataError:
                noticed += 1
                assert copy.timeline() == []
            else:
                assert everything(copy) == everything(ana)
        assert noticed

    def test_a_hash_that_does_not_fit(self, memory: Memory, exported: Path) -> None:
        def change(files: dict[str, bytes]) -> None:
            files["episodes.jsonl"] = files["episodes.jsonl"].replace(b"Nice", b"Ugly")

        self.refused(memory, rewrite(exported, change, hashes=False), "not what the manifest says")

    def test_words_that_were_changed_and_hashed_again(self, memory: Memory, exported: Path) -> None:
        changed = with_line("episodes.jsonl", lambda line: line.update(text="I live in Hell."))
        self.refused(memory, rewrite(exported, changed), "its words are not those")

    def test_a_fact_nobody_said(self, memory: Memory, exported: Path) -> None:
        def invent(line: dict[str, Any]) -> None:
            line["quotes"] = [[line["quotes"][0][0], "I am rich.", 0]]

        self.refused(memory, rewrite(exported, with_line("facts.jsonl", invent)), "does not stand in")

    @pytest.mark.parametrize(
        "change",
        [
            {"time": "yesterday"},
            {"time": "2024-01-01T00:00:00"},
            {"time": None},
            {"text": 7},
            {"role": "king"},
            {"position": 1.5},
            {"position": 2**70},
            {"meta": {"a": [1]}},
            {"extra": 1},
            {"id": None},
        ],
        ids=str,
    )
    def test_fields_that_cannot_be(self, memory: Memory, exported: Path, change: dict[str, object]) -> None:
        self.refused(memory, rewrite(exported, with_line("episodes.jsonl", lambda line: line.update(change))))

    @pytest.mark.parametrize(
        "body", [b"{", b"[]\n", b"null\n", b"\xff\xfe\n", b"{}\n", b"[" * 100_000 + b"\n"]
    )
    def test_lines_that_are_no_records(self, memory: Memory, exported: Path, body: bytes) -> None:
        self.refused(memory, rewrite(exported, lambda files: files.update({"facts.jsonl": body})))

    def test_the_same_record_twice(self, memory: Memory, exported: Path) -> None:
        def double(files: dict[str, bytes]) -> None:
            files["feedback.jsonl"] *= 2

        self.refused(memory, rewrite(exported, double), "there twice")

    @pytest.mark.parametrize("manifest", [b"[]", b"{}", b"{", b'{"format": "mnemon-export", "version": 2}'])
    def test_another_manifest(self, memory: Memory, exported: Path, manifest: bytes) -> None:
        changed = rewrite(exported, lambda files: files.update({"manifest.json": manifest}), hashes=False)
        self.refused(memory, changed)

    def test_a_file_twice(self, memory: Memory, exported: Path) -> None:
        body = io.BytesIO(exported.read_bytes())
        with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(body, "a") as archive:
            archive.writestr("facts.jsonl", b"")
        exported.write_bytes(body.getvalue())
        self.refused(memory, exported, "twice")
