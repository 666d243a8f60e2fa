"""The profile as memory gives it: evidence, increments that read nothing old, versions, edits, no leaks."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mnemon import Memory
from mnemon.errors import DataError, UsageError
from mnemon.memory import Person
from mnemon.memory.seams import ChangedAfter, Event, MemoryStore, Operation, Put, Select
from mnemon.profiles import Editor, Persona, Profile, edits, persona_of, profile_of
from mnemon.profiles.library import Library
from mnemon.testing import FrozenClock

TALK = [
    "My name is Ana. I live in Porto.",
    "My sister is called Ines.",
    "I prefer tea over coffee.",
    "I am allergic to peanuts.",
    "I usually get up at six.",
    "Keep your answers short, please.",
]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2024-05-01T10:00:00+00:00")


@pytest.fixture
def memory(tmp_path: Path, clock: FrozenClock) -> Iterator[Memory]:
    with Memory.open(tmp_path / "people.db", embedder=None, clock=clock) as memory:
        yield memory


@pytest.fixture
def ana(memory: Memory) -> Person:
    ana = memory.for_user("ana")
    ana.remember(TALK, session="s1")
    return ana


class TestContents:
    def test_statements_stand_in_sections_with_quote_and_date(self, ana: Person) -> None:
        sections = profile_of(ana).sections
        assert list(sections) == ["who they are", "people", "preferences", "constraints", "routines"]
        (tea,) = sections["preferences"]
        assert tea.text == "The user prefers tea over coffee."
        (quote,) = tea.quotes
        turn = next(one for one in ana.timeline() if one.id == quote.episode_id)
        assert turn.text[quote.start :].startswith(quote.words)
        assert tea.said_at == turn.time

    def test_wishes_become_leanings_with_their_words(self, ana: Person) -> None:
        concise = profile_of(ana).persona.get("concise")
        assert concise is not None
        assert (concise.quote, concise.origin) == ("Keep your answers short, please.", "said")
        assert concise.evidence[0] in {turn.id for turn in ana.timeline()}

    def test_nothing_known_is_an_empty_profile(self, memory: Memory) -> None:
        assert not profile_of(memory.for_user("new"))
        assert str(profile_of(memory.for_user("new"))) == "Nothing is known yet."

    def test_what_is_no_longer_true_goes(self, ana: Person) -> None:
        ana.remember("I moved to Lisbon.", session="s2")
        texts = [one.text for one in profile_of(ana).sections["who they are"]]
        assert "The user lives in Lisbon." in texts
        assert "The user lives in Porto." not in texts

    def test_sessions_that_were_summarised_are_told(self, ana: Person, clock: FrozenClock) -> None:
        clock.advance(hours=1)
        ana.consolidate()
        (recent,) = profile_of(ana).sections["recently"]
        assert set(recent.evidence) == {turn.id for turn in ana.timeline()}

    def test_lines_for_a_question_are_those_that_bear_on_it(self, ana: Person) -> None:
        lines = profile_of(ana).about("Which tea should I buy?")
        assert lines == ["The user prefers tea over coffee."]
        everything = profile_of(ana).about("What do you know about me?", allow=["health"])
        assert "The user is allergic to peanuts." in everything

    def test_moods_are_told_when_asked_for(self, ana: Person) -> None:
        ana.remember("I'm feeling really sad today.", session="s2")
        assert "mood" not in profile_of(ana).sections
        edits.show_mood(ana, True)
        (mood,) = profile_of(ana).sections["mood"]
        assert (mood.text, mood.quotes[0].words) == ("The user felt sad.", "I'm feeling really sad today")


class TestSensitive:
    def test_it_is_marked_and_steers_nothing(self, ana: Person) -> None:
        ana.remember("I am gay.", session="s2")
        found = {one.text: one.sensitive for one in profile_of(ana).statements if one.sensitive}
        assert found == {"The user is allergic to peanuts.": "health", "The user is gay.": "sexuality"}
        assert not set(found) & set(profile_of(ana).about("What do you know about me?", limit=50))

    def test_until_the_person_allows_it(self, ana: Person) -> None:
        edits.allow(ana, ["health"])
        assert "The user is allergic to peanuts." in profile_of(ana).about("What should I cook?")
        with pytest.raises(UsageError, match="'helth'"):
            edits.allow(ana, ["helth"])

    def test_what_was_only_concluded_is_not_kept(
        self, memory: Memory, ana: Person, clock: FrozenClock
    ) -> None:
        from dataclasses import replace

        fact = next(one for one in ana.facts() if one.attribute == "prefers")
        guess = replace(fact, id="f-guess", text="The user has diabetes.", value="diabetes", attribute="is")
        memory.store.apply("ana", [Put(guess)], action="test", at=clock())
        assert "The user has diabetes." in [one.text for one in ana.facts()]
        assert "diabetes" not in str(profile_of(ana))


class CountingStore:
    """The store, with the episodes that are read from it counted."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.episodes: list[str] = []

    def read(self, user: str, query: Any) -> Any:
        found = self._store.read(user, query)
        records = found.present if isinstance(query, ChangedAfter) else found
        if isinstance(query, Select | ChangedAfter):
            self.episodes += [one.id for one in records if one.record_kind == "episode"]
        return found

    def apply(self, user: str, operations: Sequence[Operation], **how: Any) -> Event:
        return self._store.apply(user, operations, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class TestIncrements:
    def counted(self, memory: Memory) -> tuple[Person, CountingStore]:
        from dataclasses import replace

        store = CountingStore(memory.store)
        fresh = Memory(replace(memory._parts, store=store))
        return fresh.for_user("ana"), store

    def test_old_sessions_are_never_read_again(self, memory: Memory, ana: Person) -> None:
        ana.refresh_profile()
        new = ana.remember([f"I love tea number {n}." for n in range(20)], session="s2")
        again, store = self.counted(memory)
        assert "tea number 3" in str(again.refresh_profile())
        assert set(store.episodes) == set(new)
        store.episodes.clear()
        again.profile()
        later, store = self.counted(memory)
        later.profile()
        assert store.episodes == []

    def test_in_parts_or_at_once_it_is_the_same(self, memory: Memory, clock: FrozenClock) -> None:
        parts, whole = memory.for_user("parts"), memory.for_user("whole")
        for text in TALK:
            parts.remember(text, session="s1")
            parts.refresh_profile()
        whole.remember(TALK, session="s1")
        assert [one.text for one in profile_of(parts).statements] == [
            one.text for one in profile_of(whole).statements
        ]
        assert str(profile_of(parts).persona) == str(profile_of(whole).persona)

    def test_a_version_is_kept_only_for_something_new(self, ana: Person) -> None:
        ana.refresh_profile()
        ana.refresh_profile()
        ana.remember("ok", session="s2")
        ana.refresh_profile()
        assert len(ana.profiles()) == 1

    def test_consolidation_keeps_one(self, ana: Person, clock: FrozenClock) -> None:
        clock.advance(hours=1)
        shown = ana.consolidate(dry_run=True)
        assert any("profile" in str(line) for line in shown.differences)
        ana.consolidate()
        assert len(ana.profiles()) == 1
        assert not ana.consolidate()
        assert ana.refresh_profile() == profile_of(ana)
        assert len(ana.profiles()) == 1

    def test_undo_takes_its_share_back(self, ana: Person) -> None:
        before = profile_of(ana)
        ana.remember("I hate emojis. I speak Dutch.", session="s2")
        assert "Dutch" in str(profile_of(ana))
        ana.undo()
        assert profile_of(ana).diff(before).__bool__() is False


class TestVersions:
    def test_as_of(self, ana: Person, clock: FrozenClock) -> None:
        ana.refresh_profile()
        first = clock()
        clock.advance(days=30)
        ana.remember("I moved to Lisbon. I want detailed answers from now on.", session="s2")
        ana.refresh_profile()
        assert "Porto" in str(profile_of(ana, as_of=first))
        assert "Lisbon" in str(profile_of(ana, as_of=clock()))
        drift = profile_of(ana, as_of=first).diff(profile_of(ana))
        assert "~ concise +0.80 → -0.80" in str(drift)

    def test_as_of_before_any_version_is_what_was_known_then(self, ana: Person, clock: FrozenClock) -> None:
        then = clock()
        clock.advance(days=1)
        ana.remember("I moved to Lisbon.", session="s2")
        assert "Porto" in str(profile_of(ana, as_of=then))
        assert not profile_of(ana, as_of=then - timedelta(days=1))

    def test_one_command_goes_back_in_every_process(
        self, memory: Memory, ana: Person, clock: FrozenClock
    ) -> None:
        ana.refresh_profile()
        clock.advance(hours=1)
        other = Memory(memory._parts).for_user("ana")
        ana.remember("I want detailed answers from now on.", session="s2")
        ana.refresh_profile()
        assert "concise -0.80" in str(profile_of(other).persona)
        ana.restore_profile(ana.profiles()[0].id)
        for handle in (ana, other, Memory(memory._parts).for_user("ana")):
            assert "concise +0.80" in str(profile_of(handle).persona)
        ana.remember("I speak Dutch.", session="s3")
        assert "Dutch" in str(profile_of(ana))

    def test_a_version_that_is_none(self, ana: Person) -> None:
        with pytest.raises(UsageError, match="no version 'p-x'"):
            ana.restore_profile("p-x")

    def test_a_body_that_cannot_be_read(self) -> None:
        with pytest.raises(DataError, match="newer"):
            Profile.from_body(json.dumps({"format": 99}))
        with pytest.raises(DataError, match="cannot be read"):
            Profile.from_body('{"statements": 3}')

    def test_a_body_is_read_back_equal(self, ana: Person) -> None:
        found = profile_of(ana)
        assert Profile.from_body(found.to_body()).to_body() == found.to_body()


class TestEdits:
    def test_they_outlive_refresh_and_rebuild(self, ana: Person) -> None:
        edits.set_trait(ana, "formal", 0.5, when="code")
        edits.add_statement(ana, "preferences", "window seats")
        edits.remove_statement(ana, profile_of(ana).why("tea")[0].key)
        ana.refresh_profile()
        ana.forget("Ines")
        found = profile_of(ana)
        assert found.persona.get("formal", "code") is not None
        assert [one.text for one in found.sections["preferences"]] == ["window seats"]
        assert "people" not in found.sections

    def test_by_hand_wins_over_what_was_said(self, ana: Person) -> None:
        edits.set_trait(ana, "concise", -1)
        ana.remember("Always keep it short.", session="s2")
        concise = profile_of(ana).persona.get("concise")
        assert concise is not None
        assert (concise.weight, concise.origin) == (-1, "hand")

    def test_a_dropped_trait_comes_back_when_it_is_said_again(self, ana: Person, clock: FrozenClock) -> None:
        clock.advance(hours=1)
        edits.drop_trait(ana, "concise")
        assert profile_of(ana).persona.get("concise") is None
        clock.advance(hours=1)
        ana.remember("Always keep it short.", session="s2")
        assert profile_of(ana).persona.get("concise") is not None

    def test_the_editor_gives_the_profile_after_each(self, ana: Person) -> None:
        editor = Editor(ana)
        assert editor.set_trait("formal", 1).persona.get("formal") is not None
        assert editor.drop_trait("formal").persona.get("formal") is None
        (added,) = [one for one in editor.add_statement("goals", "A boat").statements if one.source == "hand"]
        assert editor.remove_statement(added.key).sections.get("goals") is None
        assert editor.follow(["team"]).persona.parents == ("team",)
        assert editor.allow(["health"]).allowed == {"health"}
        ana.undo()
        assert profile_of(ana).allowed == frozenset()

    @pytest.mark.parametrize(
        "edit",
        [
            lambda ana: edits.set_trait(ana, "shrot", 1),
            lambda ana: edits.set_trait(ana, "concise", 2),
            lambda ana: edits.add_statement(ana, "likes", "tea"),
            lambda ana: edits.add_statement(ana, "people", " "),
        ],
    )
    def test_what_cannot_be_is_refused_and_nothing_kept(self, ana: Person, edit: Any) -> None:
        with pytest.raises(UsageError):
            edit(ana)
        assert ana.feedback_log() == []


class TestFeedback:
    def test_choices_become_leanings(self, memory: Memory) -> None:
        ben = memory.for_user("ben")
        calm = "Go to bed early. Keep the room dark. Read a little before you sleep."
        for number in range(12):
            ben.feedback(f"What now, {number}?", calm, calm.replace(".", "!!!"))
        learnt = {one.trait: one for one in profile_of(ben).persona.leanings}
        assert learnt["enthusiastic"].weight < 0
        assert learnt["enthusiastic"].origin == "choices"

    def test_a_rated_reply_is_read_however_old(self, ana: Person) -> None:
        reply = ana.remember([{"role": "assistant", "content": "Sure! 😀"}], session="s1")[0]
        ana.refresh_profile()
        kept = ana.rate(reply, -1, why="no emoji")
        assert (kept.query, kept.bad, kept.note) == (TALK[-1], (reply,), "no emoji")
        assert profile_of(ana)

    def test_what_cannot_be_rated_is_refused(self, ana: Person) -> None:
        turn = ana.timeline()[0].id
        with pytest.raises(UsageError, match="no reply"):
            ana.rate(turn, 1)
        with pytest.raises(UsageError, match="expected"):
            ana.rate(turn, 5)
        with pytest.raises(UsageError, match="nothing was chosen"):
            ana.feedback("q", "same", "same")


class TestFollowing:
    def test_shared_personas_are_joined_for_use(self, ana: Person) -> None:
        team = Persona(name="team").leaning("emoji", 0.5)
        everybody = Persona(name="everybody").leaning("warm", 0.2)
        edits.set_parents(ana, ["team", "gone"])
        found = persona_of(ana, shared={"team": team, "everybody": everybody})
        assert {one.trait: one.level for one in found.leanings} == {
            "concise": "user",
            "emoji": "persona",
            "warm": "global",
        }
        assert found.plan("Hi")

    def test_the_usual_ones_are_those_of_the_home(self, ana: Person) -> None:
        Library.usual().put(Persona(name="team").leaning("emoji", 0.5))
        edits.set_parents(ana, ["team"])
        assert persona_of(ana).get("emoji") is not None


class TestNobodyElse:
    def test_a_persona_never_leaks(self, memory: Memory, ana: Person) -> None:
        ben = memory.for_user("ben")
        ben.remember("I love jazz.", session="s1")
        edits.set_trait(ana, "emoji", 1)
        ana.feedback("q", "short", "a much longer reply than the other one")
        for person in (ana, ben):
            person.refresh_profile()
        assert [one.text for one in profile_of(ben).statements] == ["The user likes jazz."]
        assert not profile_of(ben).persona
        bodies = " ".join(one.body for one in ben.profiles())
        assert not any(turn.id in bodies for turn in ana.timeline())

    def test_forgetting_takes_it_out_of_every_version(self, ana: Person, tmp_path: Path) -> None:
        ana.refresh_profile()
        ana.remember("I adore Zanzibarian lilies.", session="s2")
        ana.refresh_profile()
        assert "Zanzibarian" in str(profile_of(ana))
        ana.forget("Zanzibarian")
        assert "Zanzibarian" not in str(profile_of(ana))
        assert len(ana.profiles()) == 1
        assert not any(b"Zanzibarian" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_memory_without_a_profiler_says_so(tmp_path: Path) -> None:
    from mnemon import memory

    with memory.Memory.open(tmp_path / "people.db", embedder=None) as plain:
        with pytest.raises(UsageError, match="without a profiler"):
            plain.for_user("ana").profile()
        assert plain.for_user("ana").profiles() == []
