"""Moving people between stores: all of it, once, whichever way, and never over something else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemon.cli.app import run
from mnemon.errors import DataError
from mnemon.memory import Memory, Person
from mnemon.memory.moving import digest_of
from mnemon.memory.seams import KeepVectors, Operation, Put, TotalsOf, VectorsOf
from mnemon.testing import HashEmbedder
from tests import postgres

WORDS = ("I live in Paris. \ud800 \x00 \u200b 🦜", "My sister Ines lives in Porto.", "I moved to Berlin.")


@pytest.fixture(params=["sqlite to postgres", "postgres to sqlite"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    file, server = str(tmp_path / "people.db"), postgres.empty()
    return (file, server) if request.param == "sqlite to postgres" else (server, file)


@pytest.fixture
def old(addresses: tuple[str, str]) -> Iterator[Memory]:
    with Memory.open(addresses[0], embedder=HashEmbedder()) as memory:
        for user in ("ana", "bob"):
            person = memory.for_user(user)
            for number, words in enumerate(WORDS):
                person.remember(words, time=f"2024-0{number + 1}-01", session=f"s{number}")
            person.consolidate()
            person.recall("Where do I live?")
        yield memory


@pytest.fixture
def new(addresses: tuple[str, str]) -> Iterator[Memory]:
    with Memory.open(addresses[1], embedder=HashEmbedder()) as memory:
        yield memory


def held(person: Person) -> list[object]:
    known = person.facts(closed=True)
    return [person.timeline(), person.sessions(), known, [person.history(fact.id) for fact in known]]


def test_everything_arrives(old: Memory, new: Memory) -> None:
    moved = old.move_to(new)
    assert [one.user for one in moved] == ["ana", "bob"]
    assert all(one.written == one.records > len(WORDS) and one.vectors > 0 for one in moved)
    for user in ("ana", "bob"):
        assert held(new.for_user(user)) == held(old.for_user(user))
        found = [memory.for_user(user).recall("Where do I live?", time="2024-06-01") for memory in (old, new)]
        assert [hit.id for hit in found[0]] == [hit.id for hit in found[1]] != []
        assert new.for_user(user).verify().problems == ()


def test_a_second_run_writes_nothing(old: Memory, new: Memory) -> None:
    first = old.move_to(new)
    second = old.move_to(new)
    assert [(one.written, one.vectors) for one in second] == [(0, 0), (0, 0)]
    assert [one.digest for one in second] == [one.digest for one in first]


def test_cut_off_it_goes_on(old: Memory, new: Memory) -> None:
    (episode, *_) = old.for_user("ana").timeline()
    new.store.apply("ana", [Put(episode)], action="migrate", at=episode.time)
    ana, bob = old.move_to(new)
    assert (ana.written, bob.written) == (ana.records - 1, bob.records)
    assert held(new.for_user("ana")) == held(old.for_user("ana"))


def test_two_runs_at_once_leave_each_embedding_once(old: Memory, new: Memory) -> None:
    (model,) = old.store.read("ana", TotalsOf()).vectors
    hashes, vectors = old.store.read("ana", VectorsOf(model))
    for _ in range(2):  # what each of two runs writes of what neither found
        some = KeepVectors(model, hashes[:2], vectors[:2])
        new.store.apply("ana", [some], action="embed", at=datetime.now(UTC))
    old.move_to(new)
    assert sorted(new.store.read("ana", VectorsOf(model)).hashes) == sorted(hashes)


def test_only_who_is_named(old: Memory, new: Memory) -> None:
    seen: list[tuple[int, int]] = []
    old.move_to(new, users=["bob"], progress=lambda done, total: seen.append((done, total)))
    assert new.users() == ["bob"]
    assert seen[-1][0] == seen[-1][1] > 0
    with pytest.raises(DataError, match="'eve'"):
        old.move_to(new, users=["eve"])


def test_a_dry_run_writes_nothing(old: Memory, new: Memory) -> None:
    assert all(one.written == one.records for one in old.move_to(new, dry_run=True))
    assert new.users() == []


def test_what_is_there_and_is_something_else_stays(old: Memory, new: Memory) -> None:
    new.for_user("ana").remember("Somebody else's words.")
    before = held(new.for_user("ana"))
    with pytest.raises(DataError, match="that the source does not"):
        old.move_to(new)
    assert held(new.for_user("ana")) == before


def test_what_arrives_changed_is_noticed(old: Memory, new: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = new.store.apply

    def lossy(user: str, operations: list[Operation], **more: object) -> object:
        return apply(user, operations[:-1], **more)  # type: ignore[arg-type]

    monkeypatch.setattr(new.store, "apply", lossy)
    with pytest.raises(DataError, match="not what was sent"):
        old.move_to(new)


def test_the_digest_does_not_depend_on_the_order() -> None:
    assert digest_of({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_command(old: Memory, addresses: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "--from", addresses[0], "--to", addresses[1]]) == 0
    shown = capsys.readouterr()
    assert "ana" in shown.out
    assert "hold the same" in shown.err
    assert run(["migrate", "--from", addresses[0], "--to", addresses[0]]) == 2


def test_a_database_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "--from", str(tmp_path / "none.db"), "--to", str(tmp_path / "new.db")]) == 2
    assert "no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
