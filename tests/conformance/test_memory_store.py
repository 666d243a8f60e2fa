"""What every `MemoryStore` must do. A backend is one factory in `BACKENDS`; it passes all of this."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mnemon.memory import Episode, Fact, Feedback, MemoryStore, ProfileVersion, Quote, Session, SqliteStore
from mnemon.memory.postgres_store import PostgresStore
from mnemon.memory.records import (
    Item,
    Reference,
    Suppression,
    content_id,
    episode_id,
    fact_id,
    item_id,
    reference,
)
from mnemon.memory.seams import (
    BlobNamed,
    ChangedAfter,
    ConflictError,
    DropVectors,
    Erase,
    Forget,
    HeadOf,
    Images,
    KeepBlob,
    KeepVectors,
    Log,
    Put,
    Remove,
    Select,
    TotalsOf,
    VectorsOf,
    close,
    retract,
    revise,
)
from tests import postgres

NOW = datetime(2024, 5, 1, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
QUOTE = Quote("e-x", "words", 0)
Open = Callable[[], MemoryStore]

# Each backend: a function from a folder to a function that opens the same database again, and whether what
# was written is there when it is opened again.
BACKENDS: dict[str, tuple[Callable[[Path], Open], bool]] = {
    "sqlite file": (lambda folder: lambda: SqliteStore(folder / "people.db"), True),
    "sqlite in memory": (lambda folder: lambda: SqliteStore(None), False),
    "postgres": (lambda folder: partial(PostgresStore, postgres.empty()), True),
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_again(backend: str, tmp_path: Path) -> Open:
    return BACKENDS[backend][0](tmp_path)


@pytest.fixture
def store(open_again: Open) -> Iterator[MemoryStore]:
    store = open_again()
    yield store
    store.close()


def turn(text: str, *, session: str = "s", at: datetime = NOW, position: int = -1, **more: object) -> Episode:
    role, speaker = str(more.get("role", "user")), str(more.get("speaker", ""))
    return Episode(
        id=episode_id(text, at, session=session, role=role, speaker=speaker),
        text=text,
        time=at,
        session=session,
        role=role,  # type: ignore[arg-type]
        speaker=speaker,
        position=position,
        recorded_at=NOW,
        meta=more.get("meta", {}),  # type: ignore[arg-type]
    )


def claim(value: str, *, attribute: str = "city", quote: Quote = QUOTE) -> Fact:
    return Fact(
        id=fact_id("Ana", attribute, value, None),
        subject="Ana",
        attribute=attribute,
        value=value,
        text=f"Ana's {attribute} is {value}",
        recorded_at=NOW,
        quotes=(quote,),
    )


def put(store: MemoryStore, *records: object, user: str = "ana", at: datetime = NOW) -> int:
    return store.apply(user, [Put(record) for record in records], action="test", at=at).number  # type: ignore[arg-type]


def hash_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def unit(*values: float) -> list[float]:
    vector = np.asarray(values)
    return list(vector / np.linalg.norm(vector))


class TestRecords:
    def test_each_kind_comes_back_as_it_was(self, store: MemoryStore) -> None:
        records = [
            turn("Hello.", speaker="Ana", meta={"page": 3, "good": True, "nothing": None}),
            Session(id="s", summary="They greet.", sources=("e-1",), made_by="test", recorded_at=NOW),
            replace(claim("Paris"), valid_from=NOW, valid_to=LATER, confidence=0.5, status="closed", count=3),
            ProfileVersion(id="p-1", body="{}", recorded_at=NOW, sources=("e-1",), note="first"),
            Feedback(id="b-1", about="reply", query="why?", recorded_at=NOW, good=("e-1",), rating=0.25),
            Suppression(id="f-1", recorded_at=NOW),
            Item(
                id=item_id(["notes"], "a"),
                namespace=("notes",),
                name="a",
                content={"deep": [1, 2.5, None, {"text": "\ud800"}]},
                words=("a", "b"),
                made=NOW,
                recorded_at=LATER,
                ttl=1.5,
                expires=LATER,
            ),
        ]
        put(store, *records)
        for record in records:
            found = store.read("ana", Select(kind=record.record_kind))  # type: ignore[attr-defined]
            assert found == [replace(record, position=0) if isinstance(record, Episode) else record]

    @pytest.mark.parametrize(
        "text",
        [
            "\ud800 lone",
            "nul \x00 nul",
            "zero\u200bwidth",
            "'); DROP TABLE records; --",
            "🦜" * 1000,
            "a\r\nb\tc",
        ],
    )
    def test_text_is_kept_exactly(self, store: MemoryStore, text: str) -> None:
        episode = turn(text, session=text[:100], speaker=text[:100], meta={text[:100]: text[:100]})
        put(store, episode)
        assert store.read("ana", Select(kind="episode", session=text[:100])) == [replace(episode, position=0)]
        assert store.read("ana", Select(kind="episode", keys=[episode.id])) == [replace(episode, position=0)]

    @pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"])
    def test_times_are_exact_to_the_ends_of_the_calendar(self, store: MemoryStore, time: str) -> None:
        at = datetime.fromisoformat(time)
        put(store, turn("edge", at=at))
        assert store.read("ana", Select(kind="episode"))[0].time == at  # type: ignore[union-attr]

    def test_an_offset_is_kept(self, store: MemoryStore) -> None:
        at = datetime.fromisoformat("2024-05-01T10:00:00+05:30")
        put(store, turn("namaste", at=at))
        found = store.read("ana", Select(kind="episode"))[0]
        assert isinstance(found, Episode)
        assert found.time.isoformat() == "2024-05-01T10:00:00+05:30"


class TestPut:
    def test_an_episode_is_immutable(self, store: MemoryStore) -> None:
        episode = turn("Hello.")
        put(store, episode)
        assert put(store, replace(episode, text="changed", source="elsewhere")) == 1
        assert store.read("ana", Select(kind="episode")) == [replace(episode, position=0)]

    def test_turns_get_the_next_place_of_their_session(self, store: MemoryStore) -> None:
        put(store, turn("one"), turn("two"))
        put(store, turn("three"), turn("other", session="t"))
        found = [(e.session, e.text, e.position) for e in store.read("ana", Select(kind="episode"))]  # type: ignore[union-attr]
        assert found == [("s", "one", 0), ("s", "two", 1), ("s", "three", 2), ("t", "other", 0)]

    def test_a_given_place_is_kept_unless_taken(self, store: MemoryStore) -> None:
        put(store, turn("first", position=4), turn("second", position=4), turn("third", position=2))
        places = {e.text: e.position for e in store.read("ana", Select(kind="episode"))}  # type: ignore[union-attr]
        assert places == {"first": 4, "second": 5, "third": 2}

    def test_other_records_replace_the_one_under_their_key(self, store: MemoryStore) -> None:
        put(store, Session(id="s", summary="old", recorded_at=NOW))
        put(store, Session(id="s", summary="new", recorded_at=NOW))
        assert [s.summary for s in store.read("ana", Select(kind="session"))] == ["new"]  # type: ignore[union-attr]

    def test_a_batch_without_effect_is_no_event(self, store: MemoryStore) -> None:
        put(store, turn("Hello."))
        event = store.apply("ana", [Put(turn("Hello."))], action="again", at=NOW)
        assert (event.number, event.changes) == (1, ())
        assert store.read("ana", HeadOf()).version == 1

    def test_a_batch_is_all_or_nothing(self, store: MemoryStore) -> None:
        class BrokenError(Exception):
            pass

        def records() -> Iterator[object]:
            yield Put(turn("one"))
            raise BrokenError

        with pytest.raises(BrokenError):
            store.apply("ana", records(), action="test", at=NOW)  # type: ignore[arg-type]
        assert store.read("ana", Select(kind="episode")) == []
        assert store.read("ana", HeadOf()).version == 0

    def test_removing_what_is_not_there_changes_nothing(self, store: MemoryStore) -> None:
        event = store.apply("ana", [Remove(Reference("episode", "e-none"))], action="test", at=NOW)
        assert event.changes == ()


class TestVersions:
    def test_a_write_at_another_version_is_a_conflict(self, store: MemoryStore) -> None:
        put(store, turn("one"))
        with pytest.raises(ConflictError):
            store.apply("ana", [Put(turn("two"))], action="test", at=NOW, if_version=0)
        assert len(store.read("ana", Select(kind="episode"))) == 1
        assert store.apply("ana", [Put(turn("two"))], action="test", at=NOW, if_version=1).number == 2

    def test_what_changed_after_a_version(self, store: MemoryStore) -> None:
        put(store, turn("one"))
        two = turn("two")
        put(store, two, turn("three"))
        store.apply("ana", [Remove(reference(two))], action="test", at=NOW)
        caught = store.read("ana", ChangedAfter(version=1))
        assert [e.text for e in caught.present] == ["three"]  # type: ignore[union-attr]
        assert caught.gone == [reference(two)]
        assert caught.head == store.read("ana", HeadOf())
        assert store.read("ana", ChangedAfter(version=3)).present == []

    def test_only_the_kinds_asked_for(self, store: MemoryStore) -> None:
        put(store, turn("one"), claim("Paris"))
        assert store.read("ana", ChangedAfter(version=0, kinds=("fact",))).present == [claim("Paris")]

    def test_forgetting_begins_another_epoch(self, store: MemoryStore) -> None:
        episode = turn("one")
        put(store, episode)
        before = store.read("ana", HeadOf())
        store.apply("ana", [Forget([reference(episode)])], action="forget", at=NOW)
        after = store.read("ana", HeadOf())
        assert (after.version, after.epoch) == (before.version + 1, before.epoch + 1)

    def test_a_person_begun_again_is_not_mistaken_for_the_one_before(self, store: MemoryStore) -> None:
        put(store, turn("one"))
        before = store.read("ana", HeadOf())
        store.apply("ana", [Erase()], action="erase", at=NOW)
        put(store, turn("two"))
        after = store.read("ana", HeadOf())
        assert before.version == after.version
        assert before.epoch != after.epoch


class TestFacts:
    def test_revisions_and_what_was_known_when(self, store: MemoryStore) -> None:
        first = claim("Paris")
        store.apply("ana", revise(None, first, at=NOW), action="test", at=NOW)
        store.apply("ana", close(first, valid_to=LATER, at=LATER, by="e-2"), action="test", at=LATER)
        (now,) = store.read("ana", Select(kind="fact"))
        assert isinstance(now, Fact)
        assert (now.revision, now.valid_to, now.status, now.closed_by) == (2, LATER, "closed", "e-2")
        (then,) = store.read("ana", Select(kind="fact", known_at=NOW))
        assert isinstance(then, Fact)
        assert (then.revision, then.valid_to) == (1, None)
        assert store.read("ana", Select(kind="fact", known_at=NOW - timedelta(seconds=1))) == []
        assert len(store.read("ana", Select(kind="fact", revisions=True, keys=[first.id]))) == 2

    def test_a_retracted_claim_is_not_known_but_was(self, store: MemoryStore) -> None:
        store.apply("ana", revise(None, claim("Paris"), at=NOW), action="test", at=NOW)
        store.apply("ana", retract(claim("Paris"), at=LATER), action="test", at=LATER)
        assert store.read("ana", Select(kind="fact")) == []
        assert len(store.read("ana", Select(kind="fact", known_at=NOW))) == 1


class TestSelect:
    def test_time_order_bounds_limit_and_keys(self, store: MemoryStore) -> None:
        times = [NOW + timedelta(hours=hour) for hour in (3, 1, 2, 0)]
        put(store, *(turn(f"at {time.hour}", at=time) for time in times))

        def texts(query: Select) -> list[str]:
            return [record.text for record in store.read("ana", query)]  # type: ignore[union-attr]

        assert texts(Select(kind="episode")) == ["at 10", "at 11", "at 12", "at 13"]
        assert texts(Select(kind="episode", newest_first=True, limit=2)) == ["at 13", "at 12"]
        assert texts(Select(kind="episode", since=times[1], until=times[0])) == ["at 11", "at 12"]
        assert texts(Select(kind="episode", limit=0)) == []
        assert texts(Select(kind="episode", keys=[])) == []
        assert texts(Select(kind="episode", session="none")) == []

    def test_more_keys_than_one_statement_holds(self, store: MemoryStore) -> None:
        episodes = [turn(f"{n}", at=NOW + timedelta(minutes=n)) for n in range(1200)]
        put(store, *episodes)
        keys = [episode.id for episode in reversed(episodes)]
        found = store.read("ana", Select(kind="episode", keys=[*keys, "e-none", keys[0]]))
        assert [record.id for record in found] == [episode.id for episode in episodes]
        last = store.read("ana", Select(kind="episode", keys=keys, newest_first=True, limit=3))
        assert [record.id for record in last] == keys[:3]


class TestLog:
    def test_an_event_says_what_was_before_and_after(self, store: MemoryStore) -> None:
        old, new = (
            Session(id="s", summary="old", recorded_at=NOW),
            Session(id="s", summary="new", recorded_at=NOW),
        )
        put(store, old)
        event = store.apply("ana", [Put(new)], action="change", at=LATER)
        (found,) = store.read("ana", Log())
        assert found == event
        assert (found.action, found.at, found.number) == ("change", LATER, 2)
        assert found.changes == ((Reference("session", "s"), old, new),)

    def test_an_older_event_shows_what_it_left_not_what_is_now(self, store: MemoryStore) -> None:
        versions = [Session(id="s", summary=f"{n}", recorded_at=NOW) for n in range(4)]
        for version in versions:
            put(store, version)
        for number in range(1, 4):
            (event,) = store.read("ana", Log(number=number + 1))
            assert event.changes == ((Reference("session", "s"), versions[number - 1], versions[number]),)

    def test_several_writes_of_one_key_in_a_batch_are_one_change(self, store: MemoryStore) -> None:
        one, two = (
            Session(id="s", summary="1", recorded_at=NOW),
            Session(id="s", summary="2", recorded_at=NOW),
        )
        event = store.apply("ana", [Put(one), Put(two)], action="test", at=NOW)
        assert event.changes == ((Reference("session", "s"), None, two),)

    def test_newest_first_and_limited(self, store: MemoryStore) -> None:
        for number in range(5):
            put(store, turn(f"{number}"))
        assert [event.number for event in store.read("ana", Log(limit=3))] == [5, 4, 3]
        assert store.read("ana", Log(number=9)) == []

    def test_an_undo_marks_what_it_undoes(self, store: MemoryStore) -> None:
        episode = turn("one")
        put(store, episode)
        store.apply("ana", [Remove(reference(episode))], action="undo", at=NOW, undoes=1)
        newer, older = store.read("ana", Log(limit=2))
        assert (newer.undoes, older.undone_by) == (1, 2)


class TestForget:
    def test_nothing_of_it_is_left_anywhere(self, store: MemoryStore) -> None:
        gone, stays = turn("secret"), turn("public")
        put(store, gone, stays)
        store.apply(
            "ana",
            [
                KeepVectors("m", [hash_of(1), hash_of(2)], np.eye(2, 4, dtype=np.float32)),
                KeepBlob("snapshot", b"secret"),
            ],
            action="derive",
            at=NOW,
        )
        store.apply("ana", [Forget([reference(gone)], (), (), [hash_of(1)])], action="forget", at=NOW)
        assert store.read("ana", Select(kind="episode")) == [replace(stays, position=1)]
        assert store.read("ana", BlobNamed("snapshot")) is None
        assert store.read("ana", VectorsOf("m")).hashes == [hash_of(2)]
        assert store.read("ana", Images()) == []
        forgot, first = store.read("ana", Log(limit=2))
        assert (forgot.whole, first.whole) == (True, False)
        assert forgot.changes == ()
        assert [change.reference for change in first.changes] == [reference(stays)]

    def test_a_rewritten_record_loses_its_images_too(self, store: MemoryStore) -> None:
        full = replace(claim("Paris"), quotes=(Quote("e-1", "secret", 0), Quote("e-2", "public", 0)))
        less = replace(full, quotes=full.quotes[1:])
        put(store, full)
        put(store, replace(full, count=2))
        store.apply("ana", [Forget([], [less])], action="forget", at=NOW)
        assert store.read("ana", Select(kind="fact")) == [less]
        assert all(event.changes == () for event in store.read("ana", Log(limit=9)))

    def test_what_only_the_log_holds_goes_when_named(self, store: MemoryStore) -> None:
        gone, stays = turn("taken back"), Session(id="s", summary="new", recorded_at=NOW)
        put(store, gone, replace(stays, summary="old secret"))
        store.apply("ana", [Remove(reference(gone)), Put(stays)], action="undo", at=NOW)
        assert len(store.read("ana", Images())) == 2
        images = [reference(gone), reference(stays)]
        store.apply("ana", [Forget([], (), images)], action="forget", at=NOW)
        assert store.read("ana", Images()) == []
        assert store.read("ana", Select(kind="session")) == [stays]

    def test_without_hashes_all_vectors_go(self, store: MemoryStore) -> None:
        put(store, turn("one"))
        keep = KeepVectors("m", [hash_of(1)], np.eye(1, 4, dtype=np.float32))
        store.apply("ana", [keep], action="derive", at=NOW)
        store.apply("ana", [Forget([])], action="forget", at=NOW)
        assert store.read("ana", VectorsOf("m")).hashes == []


class TestErase:
    def test_the_person_is_gone_and_nobody_else(self, store: MemoryStore) -> None:
        put(store, turn("hers"), claim("Paris"))
        put(store, turn("his"), user="bob")
        store.apply("ana", [Erase()], action="erase", at=NOW)
        assert store.users() == ["bob"]
        assert store.read("ana", TotalsOf()).records == {}
        assert store.read("ana", HeadOf()) == (0, 0)
        assert [e.text for e in store.read("bob", Select(kind="episode"))] == ["his"]  # type: ignore[union-attr]

    def test_erasing_nobody_is_no_error(self, store: MemoryStore) -> None:
        store.apply("ana", [Erase()], action="erase", at=NOW)
        assert store.users() == []


class TestIsolation:
    def test_no_query_reaches_another_person(self, store: MemoryStore) -> None:
        episode, fact = turn("hers"), claim("Paris")
        put(store, episode, fact, Session(id="s", summary="hers", recorded_at=NOW))
        keep = KeepVectors("m", [hash_of(1)], np.eye(1, 4, dtype=np.float32))
        store.apply("ana", [keep, KeepBlob("b", b"hers")], action="derive", at=NOW)
        for other in ("bob", "ANA", "ana ", "an_", "%", "../ana"):
            assert store.read(other, Select(kind="episode", keys=[episode.id])) == []
            assert store.read(other, Select(kind="fact", revisions=True)) == []
            assert store.read(other, Log(limit=9)) == []
            assert store.read(other, ChangedAfter(version=0)).present == []
            assert store.read(other, VectorsOf("m")).hashes == []
            assert store.read(other, BlobNamed("b")) is None
            assert store.read(other, TotalsOf()).records == {}
        store.apply("bob", [Remove(reference(episode)), Forget([reference(fact)])], action="test", at=NOW)
        store.apply("bob", [DropVectors(), KeepBlob("b", None)], action="test", at=NOW)
        assert len(store.read("ana", Select(kind="episode"))) == 1
        assert len(store.read("ana", Select(kind="fact"))) == 1
        assert store.read("ana", VectorsOf("m")).hashes == [hash_of(1)]
        assert store.read("ana", BlobNamed("b")) == b"hers"


class TestDerived:
    def test_vectors_come_back_by_model_and_hash(self, store: MemoryStore) -> None:
        rows = np.asarray([unit(1, 2, 3), unit(-1, 0, 1), unit(0, 0, 1)], dtype=np.float32)
        names = [hash_of(n) for n in range(3)]
        store.apply("ana", [KeepVectors("m", names[:2], rows[:2])], action="derive", at=NOW)
        store.apply("ana", [KeepVectors("m", names[2:], rows[2:])], action="derive", at=NOW)
        store.apply(
            "ana", [KeepVectors("other", names[:1], np.eye(1, 7, dtype=np.float32))], action="derive", at=NOW
        )
        found = store.read("ana", VectorsOf("m"))
        assert sorted(found.hashes) == sorted(names)
        order = [found.hashes.index(name) for name in names]
        np.testing.assert_allclose(found.vectors[order], rows, atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
        some = store.read("ana", VectorsOf("m", [names[1], hash_of(77)]))
        assert some.hashes == [names[1]]
        assert store.read("ana", HeadOf()).version == 0
        assert dict(store.read("ana", TotalsOf()).vectors) == {"m": 3, "other": 1}
        store.apply("ana", [DropVectors("m")], action="derive", at=NOW)
        assert dict(store.read("ana", TotalsOf()).vectors) == {"other": 1}

    def test_many_vectors_and_a_few_dropped(self, store: MemoryStore) -> None:
        rng = np.random.default_rng(3)
        rows = rng.standard_normal((2500, 8)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        names = [hash_of(n) for n in range(2500)]
        store.apply("ana", [KeepVectors("m", names, rows)], action="derive", at=NOW)
        store.apply("ana", [Forget([], (), (), names[5:2500:7])], action="forget", at=NOW)
        found = store.read("ana", VectorsOf("m"))
        left = [n for n in range(2500) if n not in range(5, 2500, 7)]
        assert found.hashes == [names[n] for n in left]
        np.testing.assert_allclose(found.vectors, rows[left], atol=1e-3)

    def test_blobs_by_name(self, store: MemoryStore) -> None:
        store.apply(
            "ana", [KeepBlob("a", b"1"), KeepBlob("a", b"\x00\xff"), KeepBlob("b", b"")], action="d", at=NOW
        )
        assert store.read("ana", BlobNamed("a")) == b"\x00\xff"
        assert store.read("ana", BlobNamed("b")) == b""
        store.apply("ana", [KeepBlob("a", None)], action="d", at=NOW)
        assert store.read("ana", BlobNamed("a")) is None

    def test_totals(self, store: MemoryStore) -> None:
        fact = claim("Paris")
        put(store, turn("one"), turn("two", at=LATER, session="t"), fact)
        store.apply("ana", close(fact, valid_to=LATER, at=LATER), action="test", at=LATER)
        totals = store.read("ana", TotalsOf())
        assert dict(totals.records) == {"episode": 2, "fact": 1}
        assert (totals.sessions, totals.events, totals.first, totals.last) == (2, 2, NOW, LATER)


class TestThreads:
    def test_many_writers_lose_nothing_and_give_each_turn_its_place(self, store: MemoryStore) -> None:
        def write(name: int) -> None:
            for number in range(20):
                put(store, turn(f"{name}-{number}"))
                put(store, turn(f"{name}-{number}"), user=f"user {name}")

        threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = store.read("ana", Select(kind="episode"))
        assert sorted(e.position for e in found) == list(range(80))  # type: ignore[union-attr]
        assert store.read("ana", HeadOf()).version == 80
        assert all(store.read(f"user {name}", HeadOf()).version == 20 for name in range(4))

    def test_a_reader_sees_whole_batches_and_never_waits(self, store: MemoryStore) -> None:
        done = threading.Event()
        seen: list[int] = []

        def read() -> None:
            while not done.is_set():
                seen.append(len(store.read("ana", Select(kind="episode"))))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(30):
            put(store, *(turn(f"{number}-{part}") for part in range(5)))
        done.set()
        reader.join()
        assert seen
        assert all(count % 5 == 0 for count in seen)
        assert seen == sorted(seen)


class TestLife:
    def test_reopened_it_is_as_it_was(self, backend: str, open_again: Open) -> None:
        first = open_again()
        put(first, turn("one"), claim("Paris"))
        head = first.read("ana", HeadOf())
        first.close()
        second = open_again()
        if BACKENDS[backend][1]:
            assert second.read("ana", HeadOf()) == head
            assert [e.text for e in second.read("ana", Select(kind="episode"))] == ["one"]  # type: ignore[union-attr]
            assert second.verify() == []
        else:
            assert second.users() == []
        second.close()

    def test_sound_and_described(self, store: MemoryStore) -> None:
        put(store, turn("one"))
        assert store.verify() == []
        described = store.describe()
        assert {"backend", "location", "bytes", "schema"} <= set(described)
        assert int(described["bytes"]) > 0

    def test_ids_of_content_are_stable(self) -> None:
        # Frozen: an id that changes its making orphans every fact, export and feedback there is.
        assert content_id("e", ["a", None, 1, "\ud800"]) == "e-3a27y7vbm2zbeqfldyx7tzygcu"
        assert episode_id("Hello.", NOW, session="s") == "e-ilb3vzyaixfxn3kotnjv7xn3my"
        assert fact_id("Ana", "City", "  paris ", NOW) == fact_id("ana", "city", "Paris", NOW)
