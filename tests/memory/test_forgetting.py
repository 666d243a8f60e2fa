"""Forgetting follows every link, and leaves nothing behind on the disk."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mnemon.errors import UsageError
from mnemon.memory import Memory, Person, ProfileVersion
from mnemon.memory.decay import RetentionRule
from mnemon.memory.seams import Put, VectorsOf
from mnemon.testing import FrozenClock, HashEmbedder

RARE = "zanzibarquokka"


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


def files_with(folder: Path, words: str) -> list[str]:
    needle = words.encode()
    return [found.name for found in folder.rglob("*") if found.is_file() and needle in found.read_bytes()]


class TestLinks:
    def test_an_episode_takes_its_facts_with_it(self, ana: Person) -> None:
        (identity,) = ana.remember("My beagle is called Biscuit.")
        ana.remember("I love chess.")
        facts = ana.facts()
        gone = ana.forget(identity)
        assert [episode.id for episode in gone.episodes] == [identity]
        assert {fact.id for fact in gone.facts} == {f.id for f in facts if f.quotes[0].episode_id == identity}
        assert [fact.value for fact in ana.facts(closed=True)] == ["chess"]
        assert ana.verify()

    def test_a_fact_said_twice_keeps_its_other_evidence(self, ana: Person) -> None:
        first, *_ = ana.remember("I love chess.", time="2024-01-01")
        second, *_ = ana.remember("I love chess.", time="2024-02-01")
        (fact,) = ana.facts()
        assert (fact.count, [quote.episode_id for quote in fact.quotes]) == (2, [first, second])
        gone = ana.forget(first)
        (left,) = ana.facts()
        assert (left.count, [quote.episode_id for quote in left.quotes]) == (1, [second])
        assert [fact.id for fact in gone.trimmed] == [fact.id]
        assert all(first not in str(revision.quotes) for revision in ana.history(fact.id))
        ana.forget(second)
        assert ana.facts() == []
        assert ana.verify()

    def test_what_a_forgotten_claim_ended_is_open_again(self, ana: Person) -> None:
        ana.remember("I live in Paris.", time="2024-01-01")
        (moved,) = ana.remember("I moved to Berlin.", time="2024-03-01")
        ana.forget(moved)
        (fact,) = ana.facts()
        assert (fact.value, fact.valid_to, fact.status, fact.closed_by) == ("Paris", None, "current", "")
        assert ana.verify()

    def test_summaries_profiles_and_feedback_made_from_it_go(
        self, memory: Memory, ana: Person, clock: FrozenClock
    ) -> None:
        secret, other = ana.remember([f"My {RARE} is ill.", "I love chess."], session="s1")
        clock.advance(days=1)
        ana.consolidate()
        gone_too = ProfileVersion(id="p-1", body="{}", recorded_at=clock(), sources=(secret,))
        kept = ProfileVersion(id="p-2", body="{}", recorded_at=clock(), sources=(other,), note="kept")
        memory.store.apply("ana", [Put(gone_too), Put(kept)], action="profile", at=clock())
        ana.keep_feedback("retrieval", f"how is my {RARE}", good=[secret])
        ana.keep_feedback("retrieval", "which game", good=[other])
        gone = ana.forget(secret)
        assert {record.record_kind for record in gone.others} == {"session", "profile", "feedback"}
        assert ana.profiles() == [kept]
        assert [one.query for one in ana.feedback_log()] == ["which game"]
        assert [session.summary for session in ana.sessions()] == [""]
        assert ana.consolidate()
        assert RARE not in ana.sessions()[0].summary

    def test_a_forgotten_fact_is_not_learnt_again_from_the_same_words(
        self, ana: Person, clock: FrozenClock
    ) -> None:
        ana.remember("I love chess.", session="s1")
        (fact,) = ana.facts()
        ana.forget(fact.id)
        assert ana.facts() == []
        clock.advance(days=1)
        ana.consolidate()
        assert ana.facts() == []
        assert len(ana.timeline()) == 1
        ana.remember("I love chess.", session="s2")
        assert [fact.value for fact in ana.facts()] == ["chess"]

    def test_embeddings_of_it_go_and_others_stay(self, memory: Memory, ana: Person) -> None:
        ids = ana.remember([f"number {n}" for n in range(40)], session="s")
        ana.remember("elsewhere", session="t")
        ana.recall("number")
        assert sum(ana.stats().vectors.values()) == 41
        ana.forget(ids[7])
        assert sum(ana.stats().vectors.values()) == 40
        ana.recall("number")
        assert len(memory.store.read("ana", VectorsOf(HashEmbedder(dimension=64).name)).hashes) == 40

    def test_by_words_all_of_which_must_stand_there(self, ana: Person) -> None:
        ana.remember(["My beagle is Biscuit.", "Biscuits are sweet.", "BISCUIT the beagle!", "a beagle"])
        would = ana.would_forget("biscuit, beagle")
        assert len(would.episodes) == 2
        assert len(ana.timeline()) == 4
        assert len(ana.forget("biscuit, beagle").episodes) == 2
        assert [turn.text for turn in ana.timeline()] == ["Biscuits are sweet.", "a beagle"]

    def test_nothing_found_is_nothing_done(self, ana: Person) -> None:
        ana.remember("one")
        assert not ana.forget("unheard")
        assert not ana.forget("e-aaaaaaaaaaaaaaaaaaaaaaaaaa")
        assert ana.stats().events == 1
        for target in ("", " !? ", None, 3):
            with pytest.raises(UsageError):
                ana.forget(target)  # type: ignore[arg-type]

    def test_retention_rules(self, ana: Person, clock: FrozenClock) -> None:
        ana.remember("old", time="2023-01-01")
        ana.remember("new", time="2024-04-30")
        gone = ana.expire([RetentionRule(older_than=timedelta(days=100))])
        assert [episode.text for episode in gone.episodes] == ["old"]
        assert [turn.text for turn in ana.timeline()] == ["new"]


class TestTheLog:
    def test_what_was_taken_back_is_forgotten_too(self, tmp_path: Path, ana: Person) -> None:
        (identity,) = ana.remember(f"I love {RARE}.")
        ana.undo()
        assert files_with(tmp_path, RARE)
        assert ana.forget(RARE)
        assert files_with(tmp_path, RARE) == []
        with pytest.raises(UsageError, match="cannot be taken back"):
            ana.undo(2)
        assert not ana.forget(identity)

    def test_an_older_summary_goes_the_newer_stays(
        self, tmp_path: Path, ana: Person, clock: FrozenClock
    ) -> None:
        secret, *_ = ana.remember([f"I saw a {RARE}.", "I love chess."], session="s1")
        clock.advance(days=1)
        ana.consolidate()
        ana.undo()
        ana.forget(secret)
        assert files_with(tmp_path, RARE) == []


class TestNoTrace:
    def fill(self, memory: Memory, person: Person, clock: FrozenClock) -> None:
        """The words everywhere they can get to: turns, names, facts, revisions, summaries, log, indexes."""
        person.remember(
            f"My beagle is called {RARE.title()}.", session=f"about {RARE}", speaker=RARE, source=RARE
        )
        person.remember([f"{n} {RARE} {'x' * n * 40}" for n in range(60)], session="s1")
        person.remember(f"I love {RARE}.", session="s1")
        person.remember("yes", session="s1")
        clock.advance(days=1)
        person.recall(f"what about {RARE}?")
        person.consolidate()
        person.remember(f"I no longer love {RARE}.", session="s2")
        person.undo()
        person.undo(person.log()[0].event)
        person.keep_feedback("reply", f"{RARE}?", good=[], note=RARE)
        sources = (person.timeline()[0].id,)
        version = ProfileVersion(id="p-1", body=f'{{"pet": "{RARE}"}}', recorded_at=clock(), sources=sources)
        memory.store.apply(person.user, [Put(version)], action="profile", at=clock())
        person.keep_derived("head", RARE.encode())

    def test_erase(self, tmp_path: Path, memory: Memory, ana: Person, clock: FrozenClock) -> None:
        told: list[str] = []
        memory.also_erase(told.append)
        bob = memory.for_user("bob")
        bob.remember("mine")
        self.fill(memory, ana, clock)
        assert files_with(tmp_path, RARE)
        ana.erase()
        assert files_with(tmp_path, RARE) == []
        assert files_with(tmp_path, RARE.title()) == []
        assert told == ["ana"]
        assert ana.timeline() == []
        assert ana.recall(RARE) == []
        assert [turn.text for turn in bob.timeline()] == ["mine"]
        ana.remember("a new beginning")
        assert [hit.text for hit in ana.recall("beginning")] == ["a new beginning"]
        memory.close()
        assert files_with(tmp_path, RARE) == []

    def test_forget(self, tmp_path: Path, memory: Memory, ana: Person, clock: FrozenClock) -> None:
        self.fill(memory, ana, clock)
        # Where the words name a session or a speaker, the turn itself has to be named, too.
        gone = ana.forget(RARE)
        assert len(gone.episodes) == 63
        assert [turn.text for turn in ana.timeline()] == ["yes"]
        assert ana.facts(closed=True) == []
        assert ana.profiles() == []
        assert ana.feedback_log() == []
        assert all(RARE not in str(diff) for diff in ana.log())
        assert files_with(tmp_path, RARE) == []
        assert files_with(tmp_path, RARE.title()) == []
        assert ana.verify()
