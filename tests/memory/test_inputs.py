"""Bad input is refused with a clear error and nothing half-written, or kept character by character."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.errors import UsageError
from mnemon.memory import Memory, Person
from mnemon.memory.inputs import MAX_TEXT, without_password
from mnemon.testing import HashEmbedder

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)  # all of unicode, lone surrogates included
AWARE = st.datetimes(timezones=st.timezones() | st.just(timezone(timedelta(hours=-11, minutes=-30))))


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Person]:
    with Memory.open(tmp_path / "people.db", embedder=HashEmbedder(dimension=16)) as memory:
        yield memory.for_user("ana")


class TestRefused:
    @pytest.mark.parametrize(
        "said", [None, 7, 1.5, b"bytes", {"a", "b"}, object(), "", " \n ", [None], [["x"]]]
    )
    def test_what_is_no_words(self, ana: Person, said: object) -> None:
        self.refused(ana, said)

    @pytest.mark.parametrize(
        "message",
        [
            {},
            {"role": "user"},
            {"role": "king", "content": "x"},
            {"role": None, "content": "x"},
            {"role": "user", "content": 7},
            {"role": "user", "content": "x", "text": "y"},
            {"role": "user", "content": "x", "tool_calls": []},
            {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
            {"role": "user", "content": ["x"]},
            {"role": "user", "content": "x", "meta": {"a": math.nan}},
            {"role": "user", "content": "x", "meta": {"a": [1]}},
            {"role": "user", "content": "x", "meta": {1: "a"}},
            {"role": "user", "content": "x", "meta": {"a": 2**63}},
            {"role": "user", "content": "x", "meta": {"a": "b" * 30_000}},
            {"role": "user", "content": "x", "session": 3},
            {"role": "user", "content": "x", "speaker": "y" * 1000},
        ],
        ids=lambda message: str(message)[:60],
    )
    def test_messages_that_cannot_be(self, ana: Person, message: object) -> None:
        self.refused(ana, ["first", message])

    @pytest.mark.parametrize(
        "time",
        [
            math.nan,
            math.inf,
            0,
            "",
            "yesterday",
            "10000-01-01",
            "2024-13-01",
            "2024-02-30T00:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-01:00",
            date(2024, 5, 1),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            True,
        ],
        ids=repr,
    )
    def test_times_that_cannot_be(self, ana: Person, time: object) -> None:
        with pytest.raises(UsageError) as caught:
            ana.remember("hello", time=time)  # type: ignore[arg-type]
        assert "time" in str(caught.value)
        assert ana.timeline() == []
        for use in (ana.recall, ana.facts):
            with pytest.raises(UsageError):
                use("x", **{"time" if use == ana.recall else "as_of": time})  # type: ignore[operator]

    @pytest.mark.parametrize("k", [0, -1, 1.5, "5", True, None, 10**9])
    def test_counts_that_cannot_be(self, ana: Person, k: object) -> None:
        with pytest.raises(UsageError):
            ana.recall("x", k=k)  # type: ignore[arg-type]

    @pytest.mark.parametrize("units", ["turn", [], ["window"], ["turn", "x"]])
    def test_units_that_cannot_be(self, ana: Person, units: object) -> None:
        with pytest.raises(UsageError):
            ana.recall("x", units=units)  # type: ignore[arg-type]

    def test_a_text_of_fifty_megabytes(self, ana: Person) -> None:
        with pytest.raises(UsageError, match="at most"):
            ana.remember(["fine", "x" * 50_000_000])
        assert ana.timeline() == []

    def refused(self, ana: Person, said: object) -> None:
        with pytest.raises(UsageError):
            ana.remember(said)  # type: ignore[arg-type]
        assert ana.timeline() == []
        assert ana.stats().events == 0


class TestKept:
    def test_the_longest_text(self, ana: Person) -> None:
        text = "chess, " * (MAX_TEXT // 7)
        ana.remember(text)
        assert ana.timeline()[0].text == text
        assert ana.recall("chess")

    @settings(max_examples=60, deadline=None)
    @given(text=ANY_TEXT, session=ANY_TEXT, speaker=ANY_TEXT, time=AWARE)
    def test_any_text_any_name_any_time(self, text: str, session: str, speaker: str, time: datetime) -> None:
        with Memory.open(":memory:", embedder=HashEmbedder(dimension=16)) as memory:
            ana = memory.for_user("ana")
            try:
                ids = ana.remember(text, session=session, speaker=speaker, time=time)
            except UsageError:
                assert ana.timeline() == []
                return
            turns = ana.timeline()
            if not ids:  # nothing to be seen in it
                assert turns == []
                return
            (turn,) = turns
            assert (turn.id, turn.text, turn.session, turn.speaker) == (ids[0], text, session, speaker)
            assert turn.time.astimezone(UTC) == time.astimezone(UTC)
            assert ana.remember(text, session=session, speaker=speaker, time=time) == ids
            assert [hit.text for hit in ana.recall(text or "x", k=3)] in ([text], [])
            assert ana.verify()

    @settings(max_examples=60, deadline=None)
    @given(
        users=st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=4, unique=True), said=ANY_TEXT
    )
    def test_no_user_id_reaches_another(self, users: list[str], said: str) -> None:
        with Memory.open(":memory:", embedder=None) as memory:
            written: dict[str, list[str]] = {}
            for number, user in enumerate(users):
                try:
                    person = memory.for_user(user)
                except UsageError:
                    continue
                written[user] = person.remember(f"{number} {said} I love chess.")
            for user, ids in written.items():
                person = memory.for_user(user)
                others = {one for other, found in written.items() if other != user for one in found}
                assert [turn.id for turn in person.timeline()] == ids
                assert not others & {hit.id for hit in person.recall("I love chess", k=50)}
                assert not others & {quote.episode_id for fact in person.facts() for quote in fact.quotes}
                for one in others:
                    assert not person.would_forget(one)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ana:secret@db.example/mnemon", "postgresql://ana:***@db.example/mnemon"),
        ("postgresql://ana@db.example/mnemon", "postgresql://ana@db.example/mnemon"),
        ("/home/ana/people.db", "/home/ana/people.db"),
        ("me@home:people.db", "me@home:people.db"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown
