"""A person's memory against a plain-Python model, under any order of writes, undos, forgetting and reopening.

The model knows turns and which write made or removed them; facts are checked by their own laws: each stands
on words that stand in a turn that is there.
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mnemon.errors import UsageError
from mnemon.memory import Memory, Person
from mnemon.testing import FrozenClock, HashEmbedder

START = datetime(2024, 5, 1, tzinfo=UTC)
SENTENCES = (
    "I live in Paris.",
    "I moved to Berlin.",
    "I love chess.",
    "I no longer love chess.",
    "My beagle is called Biscuit.",
    "It rained all day.",
    "yes",
    "\ud800 \x00 ⟦recalled:0⟧",
)
TURNS = st.tuples(
    st.sampled_from(SENTENCES),
    st.sampled_from(["s1", "s2", ""]),
    st.sampled_from(["user", "assistant"]),
    st.integers(0, 3),  # days after the start
)


@dataclass
class Write:
    """What the model keeps of an event: the turns before it, and whether it can still be taken back."""

    number: int
    came: set[str]
    went: set[str]
    undoes: "Write | None" = None
    undone: bool = False
    final: bool = False


@dataclass
class Model:
    turns: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # id → text, session, role
    every: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)


class MemoryMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mnemon-stateful-"))
        self.clock = FrozenClock(START + timedelta(days=10))
        self.model = Model()
        self.open()
        self.memory.for_user("bob").remember("I love tea.", time=START)

    def open(self) -> None:
        self.memory = Memory.open(
            self.folder / "people.db", embedder=HashEmbedder(dimension=16), clock=self.clock
        )

    @property
    def ana(self) -> Person:
        return self.memory.for_user("ana")

    def noted(self, came: set[str], went: set[str], **more: object) -> None:
        """The model's side of an event, if the store wrote one."""
        log = self.ana.log(1)
        if log and (not self.model.writes or log[0].event > self.model.writes[-1].number):
            self.model.writes.append(Write(log[0].event, came, went, **more))  # type: ignore[arg-type]

    # --- rules

    @rule(batch=st.lists(TURNS, min_size=1, max_size=3))
    def remember(self, batch: list[tuple[str, str, str, int]]) -> None:
        self.clock.advance(seconds=1)
        messages = [
            {"content": text, "session": session, "role": role, "time": START + timedelta(days=days)}
            for text, session, role, days in batch
        ]
        ids = self.ana.remember(messages)
        assert len(ids) == len(batch)
        kept = {turn.id: turn.text for turn in self.ana.timeline()}
        came = set()
        for identity, (text, session, role, _) in zip(ids, batch, strict=True):
            if identity not in self.model.turns:
                came.add(identity)
            self.model.turns[identity] = self.model.every[identity] = (kept[identity], session, role)
            assert kept[identity] == text
        self.noted(came, set())

    @rule()
    def undo(self) -> None:
        self.clock.advance(seconds=1)
        candidates = [
            write
            for write in self.model.writes
            if not write.undone and (write.undoes is None or write.undoes.undoes is not None)
        ]
        try:
            diff = self.ana.undo()
        except UsageError:
            # Nothing to take back, or a forgetting in the way.
            assert (
                not candidates
                or candidates[-1].final
                or not (candidates[-1].came | candidates[-1].went)
                or (candidates[-1].came.isdisjoint(self.model.turns))
            )
            return
        assert candidates
        assert diff.undoes == candidates[-1].number
        self.take_back(candidates[-1])

    @precondition(lambda self: any(write.undoes and not write.undone for write in self.model.writes))
    @rule()
    def redo(self) -> None:
        self.clock.advance(seconds=1)
        target = [write for write in self.model.writes if write.undoes and not write.undone][-1]
        try:
            self.ana.undo(target.number)
        except UsageError:
            return  # changed again since; that it is refused whole is what the invariants see
        self.take_back(target)

    def take_back(self, write: Write) -> None:
        for identity in write.came:
            self.model.turns.pop(identity, None)
        for identity in write.went:
            if identity in self.model.every:
                self.model.turns[identity] = self.model.every[identity]
        write.undone = True
        self.noted(set(write.went), set(write.came), undoes=write)

    @rule(text=st.sampled_from(["chess", "biscuit", "rained day", "yes", "unheard"]))
    def forget_words(self, text: str) -> None:
        self.clock.advance(seconds=1)
        gone = self.ana.forget(text)
        self.dropped({episode.id for episode in gone.episodes})
        for identity, (said, _, _) in self.model.turns.items():
            words = "".join(letter if letter.isalnum() else " " for letter in said.casefold()).split()
            assert not set(text.split()) <= set(words), identity

    @precondition(lambda self: self.model.turns)
    @rule(pick=st.integers(0, 1000))
    def forget_turn(self, pick: int) -> None:
        self.clock.advance(seconds=1)
        identity = sorted(self.model.turns)[pick % len(self.model.turns)]
        gone = self.ana.forget(identity)
        assert {episode.id for episode in gone.episodes} == {identity}
        self.dropped({identity})

    def dropped(self, ids: set[str]) -> None:
        for identity in ids:
            del self.model.turns[identity]
            del self.model.every[identity]
        for write in self.model.writes:
            write.came -= ids
            write.went -= ids
        self.noted(set(), set(), final=True)

    @rule()
    def consolidate(self) -> None:
        self.clock.advance(days=1)
        shown = self.ana.consolidate(dry_run=True)
        done = self.ana.consolidate()
        assert shown.differences == done.differences
        self.noted(set(), set())

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.open()

    @rule(text=st.sampled_from(SENTENCES))
    def recall(self, text: str) -> None:
        hits = self.ana.recall(text, k=50)
        assert {hit.id for hit in hits} <= set(self.model.turns)
        words = text.strip().casefold()
        same = {
            i for i, (said, _, _) in self.model.turns.items() if said.casefold() == words and words.isascii()
        }
        assert len(same) > 30 or same <= {hit.id for hit in hits}

    # --- what always holds

    @invariant()
    def the_turns_are_the_models(self) -> None:
        turns = {turn.id: (turn.text, turn.session, turn.role) for turn in self.ana.timeline()}
        assert turns == self.model.turns

    @invariant()
    def the_memory_is_sound(self) -> None:
        found = self.ana.verify()
        assert found, found.problems

    @invariant()
    def bob_is_untouched(self) -> None:
        bob = self.memory.for_user("bob")
        assert [turn.text for turn in bob.timeline()] == ["I love tea."]
        assert [fact.value for fact in bob.facts()] == ["tea"]

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
            shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(
    max_examples=12, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
)
