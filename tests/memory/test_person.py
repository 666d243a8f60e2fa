"""The face of memory: saying, finding, asking what is known, taking back. On a file, with the shipped
doubles."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mnemon.errors import UsageError
from mnemon.memory import Memory, Person
from mnemon.memory.recall import hits
from mnemon.retrievers import Ranked
from mnemon.testing import FrozenClock, HashEmbedder


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2024-05-01T10:00:00+00:00")


@pytest.fixture
def memory(tmp_path: Path, clock: FrozenClock) -> Iterator[Memory]:
    with Memory.open(tmp_path / "people.db", embedder=HashEmbedder(dimension=64), clock=clock) as memory:
        yield memory


@pytest.fixture
def ana(memory: Memory) -> Person:
    return memory.for_user("ana")


class TestRemember:
    def test_the_same_turn_twice_is_one_turn(self, ana: Person) -> None:
        first = ana.remember("My beagle is called Biscuit.", time="2024-05-01T10:00:00+00:00", session="s1")
        again = ana.remember("My beagle is called Biscuit.", time="2024-05-01T12:00:00+02:00", session="s1")
        assert first == again
        assert len(ana.timeline()) == 1
        assert ana.stats().events == 1

    def test_the_same_words_later_or_elsewhere_are_another_turn(self, ana: Person) -> None:
        ids = {
            *ana.remember("yes", time="2024-05-01T10:00"),
            *ana.remember("yes", time="2024-05-01T10:01"),
            *ana.remember("yes", time="2024-05-01T10:00", session="other"),
            *ana.remember("yes", time="2024-05-01T10:00", role="assistant"),
            *ana.remember("yes", time="2024-05-01T10:00", speaker="Ana"),
        }
        assert len(ids) == 5

    def test_a_batch_again_is_the_same_batch(self, ana: Person) -> None:
        batch = [
            {"role": "user", "content": "yes"},
            {"role": "assistant", "content": "sure?"},
            {"role": "user", "content": "yes"},
        ]
        first = ana.remember(batch, time="2024-05-01", session="s")
        assert len(set(first)) == 3
        assert ana.remember(batch, time="2024-05-01", session="s") == first
        assert [turn.text for turn in ana.timeline()] == ["yes", "sure?", "yes"]
        assert [turn.position for turn in ana.timeline()] == [0, 1, 2]

    def test_no_time_means_now_and_no_offset_means_utc(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("now")
        ana.remember("then", time="2024-04-01T09:00:00")
        assert [(turn.text, turn.time) for turn in ana.timeline()] == [
            ("then", datetime(2024, 4, 1, 9, tzinfo=UTC)),
            ("now", clock()),
        ]

    def test_messages_carry_their_own_time_session_and_name(self, ana: Person) -> None:
        ana.remember(
            [
                {"role": "human", "content": [{"type": "text", "text": "Hello"}], "name": "Ana"},
                {"role": "ai", "text": "Hi", "time": "2024-05-02", "session": "t", "meta": {"page": 3}},
            ],
            session="s",
        )
        first, second = ana.timeline()
        assert (first.role, first.speaker, first.text, first.session) == ("user", "Ana", "Hello", "s")
        assert (second.role, second.session, second.meta) == ("assistant", "t", {"page": 3})

    def test_system_prompts_and_silence_are_passed_over(self, ana: Person) -> None:
        ids = ana.remember(
            [
                {"role": "system", "content": "You are kind."},
                {"role": "assistant", "content": None},
                {"role": "user", "content": "Hello"},
            ]
        )
        assert len(ids) == 1
        assert [turn.text for turn in ana.timeline()] == ["Hello"]

    def test_recalled_text_is_not_written_again(self, memory: Memory, ana: Person) -> None:
        recalled = memory.tag.wrap("My beagle is called Biscuit.")
        ana.remember(f"You told me: {recalled} Is that so?")
        (turn,) = ana.timeline()
        assert "Biscuit" not in turn.text
        assert ana.facts() == []
        assert ana.remember([memory.tag.wrap("only this")]) == []

    def test_a_tool_is_kept_and_not_recalled(self, ana: Person) -> None:
        ana.remember([{"role": "tool", "content": "weather in Lima: 19 degrees"}])
        assert len(ana.timeline()) == 1
        assert ana.recall("weather in Lima") == []


class TestRecall:
    def test_what_was_just_said_is_found_with_where_it_came_from(self, ana: Person) -> None:
        ana.remember("It rained.", session="s0", time="2024-04-30")
        (identity,) = ana.remember(
            "My beagle is called Biscuit.", session="s1", time="2024-05-01", speaker="Ana", source="chat"
        )
        hit = ana.recall("what is my beagle called?", k=1)[0]
        assert (hit.id, hit.text, hit.session) == (identity, "My beagle is called Biscuit.", "s1")
        assert (hit.speaker, hit.role, hit.source, hit.unit) == ("Ana", "user", "chat", "turn")
        assert hit.time == datetime(2024, 5, 1, tzinfo=UTC)
        assert "fading" in hit.why
        assert "note" not in hit.why

    def test_best_first_and_no_more_than_asked_for(self, ana: Person) -> None:
        ana.remember([f"number {n} of the beagles" for n in range(30)])
        hits = ana.recall("beagles", k=7)
        assert len(hits) == 7
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_nothing_asked_or_nothing_there(self, ana: Person) -> None:
        assert ana.recall("anything") == []
        ana.remember("something")
        assert ana.recall("   ") == []

    def test_before(self, ana: Person) -> None:
        ana.remember("tea is good", time="2024-01-01")
        ana.remember("tea is bad", time="2024-03-01")
        assert [hit.text for hit in ana.recall("tea", before="2024-03-01")] == ["tea is good"]

    def test_facts_and_summaries_when_asked_for(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("My beagle is called Biscuit.", session="s1")
        clock.advance(days=1)
        ana.consolidate()
        units = {hit.unit for hit in ana.recall("beagle called Biscuit", units=("turn", "fact", "summary"))}
        assert units == {"turn", "fact", "summary"}
        (fact, *_) = ana.recall("what is the dog called", units=["fact"])
        assert fact.why["quote"] == "My beagle is called Biscuit."

    def test_sessions_are_recalled_as_a_whole_and_say_why(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember(["The audit never ends.", "I need a week off."], session="work")
        ana.remember(["My beagle is called Biscuit.", "He sleeps all day."], session="dog")
        (best, other) = ana.recall("What is my beagle called?", units={"session"})
        assert (best.id, best.session, best.unit, best.source) == ("dog", "dog", "session", "session")
        assert (best.text, best.role) == ("My beagle is called Biscuit.", "user")
        assert best.why["best_turn"] in {turn.id for turn in ana.timeline(session="dog")}
        assert isinstance(best.why["turn_best"], float)
        assert other.id == "work"
        # A retriever that names no turns, and one whose turns have gone, show the conversation's beginning.
        for why in ({}, {"first_turn": "gone", "best_turn": "gone"}):
            (shown,) = hits(
                ana._store, "ana", [Ranked(id="dog", score=1.0, unit="session", why=why)], note=""
            )
            assert (shown.text, shown.time) == (best.text, best.time)
        clock.advance(days=1)
        ana.consolidate()
        (best, *_) = ana.recall("What is my beagle called?", units={"session"})
        assert best.text == next(one.summary for one in ana.sessions() if one.id == "dog")

    def test_another_handle_and_another_process_of_it_are_seen_at_once(
        self, ana: Person, tmp_path: Path, clock: FrozenClock
    ) -> None:
        ana.remember("one beagle")
        assert len(ana.recall("beagle")) == 1
        with Memory.open(tmp_path / "people.db", embedder=None, clock=clock) as other:
            (identity,) = other.for_user("ana").remember("two beagles")
            assert len(ana.recall("beagle")) == 2
            other.for_user("ana").forget(identity)
            assert len(ana.recall("beagle")) == 1
            other.for_user("ana").erase()
            assert ana.recall("beagle") == []

    def test_what_was_used_fades_less(self, ana: Person, clock: FrozenClock) -> None:
        old, new = ana.remember(["blue cup", "blue cup"], session="s")
        clock.advance(days=400)
        before = {hit.id: hit for hit in ana.recall("blue cup")}
        ana.keep_feedback("retrieval", "blue cup", good=[old])
        after = {hit.id: hit for hit in ana.recall("blue cup")}
        assert after[old].score - before[old].score > after[new].score - before[new].score
        assert str(before[old].why["fading"]).startswith("0.61")
        assert str(after[old].why["fading"]).startswith("1.00")

    def test_without_an_embedder_every_hit_says_so(self, tmp_path: Path) -> None:
        with Memory.open(tmp_path / "words.db", embedder=None) as memory:
            ana = memory.for_user("ana")
            ana.remember("My beagle is called Biscuit.")
            assert "lexical only" in str(ana.recall("beagle")[0].why["note"])
            assert "lexical only" in memory.notes[0]
            assert "lexical only" in ana.stats().note
            assert ana.stats().embedder == "none"

    def test_with_no_weights_it_works_by_words_and_says_what_to_do(self, tmp_path: Path) -> None:
        with Memory.open(tmp_path / "words.db") as memory:  # a home without weights, see conftest
            ana = memory.for_user("ana")
            ana.remember("My beagle is called Biscuit.")
            assert "mnemon models pull" in str(ana.recall("beagle")[0].why["note"])


class TestEmbeddings:
    def test_remembering_embeds_nothing_and_recall_each_text_once(self, tmp_path: Path) -> None:
        embedder = HashEmbedder(dimension=32)
        given: list[str] = []

        class Counting:
            name, dimension = embedder.name, embedder.dimension

            def embed_texts(self, texts: list[str]) -> object:
                given.extend(texts)
                return embedder.embed_texts(texts)

            def embed_queries(self, texts: list[str]) -> object:
                return embedder.embed_queries(texts)

        for _ in range(2):
            with Memory.open(tmp_path / "p.db", embedder=Counting()) as memory:  # type: ignore[arg-type]
                ana = memory.for_user("ana")
                ana.remember(["one beagle", "two beagles"], time="2024-05-01")
                ana.recall("beagle")
        assert len(given) == len(set(given)) == 2
        with Memory.open(tmp_path / "p.db", embedder=Counting()) as memory:  # type: ignore[arg-type]
            assert memory.for_user("ana").reindex() == 2
        assert len(given) == 4

    def test_two_models_never_mix(self, tmp_path: Path) -> None:
        for dimension in (32, 48, 32):
            with Memory.open(tmp_path / "p.db", embedder=HashEmbedder(dimension=dimension)) as memory:
                ana = memory.for_user("ana")
                ana.remember("one beagle", time="2024-05-01")
                assert ana.recall("beagle")[0].text == "one beagle"
        with Memory.open(tmp_path / "p.db", embedder=HashEmbedder(dimension=32)) as memory:
            assert sorted(memory.for_user("ana").stats().vectors.values()) == [1, 1]


class TestFacts:
    def test_as_of_and_known_at(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("I live in Paris.", time="2024-01-01")
        known = clock()
        clock.advance(days=1)
        ana.remember("I moved to Berlin.", time="2024-03-01")

        def homes(**when: object) -> list[str]:
            return [fact.value for fact in ana.facts(**when) if fact.attribute == "lives in"]  # type: ignore[arg-type]

        assert homes() == ["Berlin"]
        assert homes(as_of="2024-02-01") == ["Paris"]
        assert homes(as_of="2023-01-01") == []
        assert homes(as_of="2024-04-01", known_at=known) == ["Paris"]
        assert homes(known_at=known - timedelta(seconds=1)) == []
        assert sorted(homes(closed=True)) == ["Berlin", "Paris"]

    def test_every_fact_quotes_words_that_stand_in_its_episode(self, ana: Person) -> None:
        (identity,) = ana.remember("Well, my beagle is called Biscuit.")
        for fact in ana.facts():
            for episode, words, start in fact.quotes:
                assert episode == identity
                assert ana.timeline()[0].text[start : start + len(words)] == words
            assert fact.made_by

    def test_history_tells_how_it_came_to_be(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("I live in Paris.", time="2024-01-01")
        clock.advance(days=1)
        ana.remember("I moved to Berlin.", time="2024-03-01")
        (berlin,) = [fact for fact in ana.facts() if fact.value == "Berlin"]
        story = [(fact.value, fact.revision, fact.valid_to is None) for fact in ana.history(berlin.id)]
        assert story[0] == ("Paris", 1, True)
        assert set(story[1:]) == {("Paris", 2, False), ("Berlin", 1, True)}
        with pytest.raises(UsageError, match="no fact"):
            ana.history("f-none")

    def test_about_words(self, ana: Person) -> None:
        ana.remember("My beagle is called Biscuit. I love chess.")
        assert {fact.value for fact in ana.facts(about="chess")} >= {"chess"}
        assert all("chess" in fact.text for fact in ana.facts(about="chess")[:1])
        with pytest.raises(UsageError):
            ana.facts(about="  ")


class TestUndo:
    def test_a_write_is_shown_and_taken_back_with_its_facts(self, ana: Person) -> None:
        ana.remember("I live in Paris.", time="2024-01-01")
        before = (ana.timeline(), ana.facts(closed=True))
        ana.remember("I moved to Berlin.", time="2024-03-01")
        diff = ana.diff()
        assert diff is not None
        assert diff.action == "remember"
        assert "+ [2024-03-01 00:00] user: I moved to Berlin." in str(diff)
        assert any(line.startswith("~ fact: The user lives in Paris.") for line in str(diff).splitlines())
        undone = ana.undo()
        assert undone.undoes == diff.event
        assert (ana.timeline(), ana.facts(closed=True)) == before
        assert all(hit.text != "I moved to Berlin." for hit in ana.recall("Berlin"))

    def test_undo_after_undo_goes_further_back_and_an_undo_can_be_undone(self, ana: Person) -> None:
        for text in ("one", "two", "three"):
            ana.remember(text)
        ana.undo()
        second = ana.undo()
        assert [turn.text for turn in ana.timeline()] == ["one"]
        ana.undo(second.event)
        assert [turn.text for turn in ana.timeline()] == ["one", "two"]
        assert [(diff.action, diff.undone_by) for diff in ana.log()] == [
            ("undo", None),
            ("undo", 6),
            ("undo", None),
            ("remember", 4),
            ("remember", 5),
            ("remember", None),
        ]

    def test_what_was_brought_again_is_taken_back_first(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("My beagle is called Biscuit.", session="s1")
        clock.advance(days=1)
        tidied = ana.consolidate()
        ana.undo(ana.undo().event)
        ana.undo()
        assert len(ana.timeline()) == 1
        assert ana.sessions()[0].summary == ""
        ana.undo(ana.diff().event)  # type: ignore[union-attr]
        assert ana.sessions()[0].summary != ""
        assert tidied
        assert ana.verify()

    def test_a_summary_goes_with_the_words_that_it_was_made_of(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("It rained all day, and we played cards.", session="s1")
        clock.advance(days=1)
        assert ana.consolidate()
        gone = ana.undo(1)
        assert ana.sessions() == []
        assert ana.verify()
        ana.undo(gone.event)
        assert ana.sessions()[0].summary != ""

    def test_what_was_changed_since_is_not_taken_back_from_under_it(self, ana: Person) -> None:
        ana.remember("I live in Paris.", time="2024-01-01")
        ana.remember("I moved to Berlin.", time="2024-03-01")
        with pytest.raises(UsageError, match="changed again since"):
            ana.undo(1)
        ana.undo()
        ana.undo(1)
        assert ana.timeline() == []

    def test_nothing_to_take_back(self, ana: Person) -> None:
        with pytest.raises(UsageError, match="Nothing of 'ana'"):
            ana.undo()
        ana.remember("one")
        ana.undo()
        with pytest.raises(UsageError, match="Nothing of 'ana'"):
            ana.undo()
        with pytest.raises(UsageError, match="taken back by write 2"):
            ana.undo(1)
        for number in (99, 0, -1, True, 1.5, "1"):
            with pytest.raises(UsageError):
                ana.undo(number)  # type: ignore[arg-type]

    def test_what_was_forgotten_does_not_come_back(self, ana: Person) -> None:
        ana.remember("one secret")
        ana.remember("two")
        ana.forget("secret")
        with pytest.raises(UsageError, match="cannot be brought back"):
            ana.undo()
        with pytest.raises(UsageError, match="Write 1 cannot be taken back"):
            ana.undo(1)
        ana.undo(2)
        assert ana.timeline() == []


class TestConsolidate:
    def test_a_dry_run_shows_what_the_real_one_does_and_writes_nothing(
        self, ana: Person, clock: FrozenClock
    ) -> None:
        ana.remember("My beagle is called Biscuit.", session="s1")
        clock.advance(days=1)
        before = ana.stats()
        shown = ana.consolidate(dry_run=True)
        assert ana.stats() == before
        done = ana.consolidate()
        assert shown.differences == done.differences
        assert [session.summary for session in ana.sessions()] != [""]
        assert not ana.consolidate()
        ana.undo()
        assert [session.summary for session in ana.sessions()] == [""]

    def test_in_the_background(self, memory: Memory, ana: Person, clock: FrozenClock) -> None:
        ana.remember("My beagle is called Biscuit.", session="s1")
        clock.advance(days=1)
        assert memory.consolidate_soon("ana").result(timeout=30)


class TestOnePersonPerHandle:
    def test_nothing_of_another_is_reachable(self, memory: Memory, ana: Person) -> None:
        bob = memory.for_user("bob")
        (hers,) = ana.remember("My beagle is called Biscuit.", session="s1")
        (fact, *_) = ana.facts()
        assert bob.recall("beagle Biscuit", units=("turn", "fact")) == []
        assert bob.facts(closed=True) == []
        assert bob.timeline() == []
        assert bob.sessions() == []
        assert bob.log() == []
        assert not bob.forget(hers)
        assert not bob.forget("beagle")
        with pytest.raises(UsageError):
            bob.history(fact.id)
        with pytest.raises(UsageError):
            bob.undo()
        bob.erase()
        bob.remember("My beagle is called Biscuit.", session="s1")
        bob.forget("beagle")
        assert len(ana.timeline()) == 1
        assert ana.recall("beagle")

    @pytest.mark.parametrize(
        "user", ["../x", "'; DROP TABLE persons; --", "a/b\\c", "ANA", "Åna", "🦜", "%", "*"]
    )
    def test_a_user_id_is_a_key_and_nothing_else(self, memory: Memory, user: str, tmp_path: Path) -> None:
        before = {found.name for found in tmp_path.iterdir()}
        person = memory.for_user(user)
        person.remember("mine")
        memory.for_user("ana").remember("hers")
        assert [turn.text for turn in person.timeline()] == ["mine"]
        assert memory.users() == sorted([user, "ana"])
        person.erase()
        assert memory.users() == ["ana"]
        assert {found.name for found in tmp_path.iterdir()} == before

    @pytest.mark.parametrize(
        "user", ["", "  ", None, 7, b"ana", "a\u200bna", "a\x00", "\ud800", "x" * 501, "a\nb"]
    )
    def test_a_user_id_that_cannot_be_is_refused(self, memory: Memory, user: object) -> None:
        with pytest.raises(UsageError, match="user id"):
            memory.for_user(user)  # type: ignore[arg-type]


class TestManyAtOnce:
    def test_threads_share_a_handle(self, ana: Person) -> None:
        errors: list[BaseException] = []

        def work(name: int) -> None:
            try:
                for number in range(8):
                    ana.remember(f"I like thing {name}-{number}.", session=f"s{name}")
                    assert ana.recall(f"thing {name}-{number}")
            except BaseException as error:
                errors.append(error)
                raise

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(ana.timeline()) == 32
        assert ana.verify()
