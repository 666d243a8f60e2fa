"""Makes profiles out of what changed, without a model: statements from facts and sessions, traits from what
was said, written, chosen and set by hand.

`PatternProfiler` is what memory calls a profiler: it is given the records that changed and the state it left
behind, and never sees a store. `state.py` holds that state; this module says what a change does to it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from mnemon.memory import Episode, Fact, Feedback, LanguageModel, ProfileVersion, Session
from mnemon.profiles.choices import Taste
from mnemon.profiles.edits import edit_of
from mnemon.profiles.mood import felt
from mnemon.profiles.persona import Leaning
from mnemon.profiles.population import shipped_population
from mnemon.profiles.portraying import from_fact, from_session
from mnemon.profiles.profile import Profile
from mnemon.profiles.said import wishes
from mnemon.profiles.state import State
from mnemon.profiles.summary import condense, digest
from mnemon.profiles.traits import TraitBank


class Drawn(NamedTuple):
    """What memory keeps: the body of a version, what it rests on, and the state to go on from."""

    body: str
    sources: tuple[str, ...]
    state: bytes


class PatternProfiler:
    """`bank` holds the traits that may be learnt."""

    def __init__(self, *, bank: TraitBank | None = None) -> None:
        self._bank = TraitBank.load() if bank is None else bank
        measured = [trait for trait in self._bank.values() if trait.mirrors and trait.measure]
        self._measures = tuple(dict.fromkeys(trait.measure for trait in measured))

    @property
    def name(self) -> str:
        """With the population's digest: what was learnt from choices means something only beside it."""
        return f"profiles/1/{shipped_population().digest[:8]}"

    def refresh(
        self,
        state: bytes | None,
        *,
        present: Sequence[object],
        gone: Sequence[tuple[str, str]],
        at: datetime,  # noqa: ARG002  a profile is the same whenever it is made
    ) -> Drawn | None:
        """The profile after these changes; None where a turn or feedback is gone, whose share in sums cannot
        be taken out again."""
        known = State.load(state)
        if known is None or any(kind in ("episode", "feedback") for kind, _ in gone):
            if state is not None:
                return None
            known = State()
        turns = [one for one in present if isinstance(one, Episode)]
        self._take_turns(known, turns)
        self._take_facts(known, turns, [one for one in present if isinstance(one, Fact)], gone)
        for one in present:
            if isinstance(one, Session):
                known.put(f"session:{one.id}", from_session(one, known.ended.get(one.id)))
        known.drop([f"session:{key}" for kind, key in gone if kind == "session"])
        self._take_feedback(known, turns, [one for one in present if isinstance(one, Feedback)])
        self._condense(known)
        profile = known.profile(self._bank.values(), self._chosen(known))
        return Drawn(profile.to_body(), profile.sources, known.dump())

    def adopt(self, state: bytes, body: str) -> bytes:
        """The state with what a version of before said in place of what is said now."""
        known = State.load(state) or State()
        known.restore(Profile.from_body(body))
        return known.dump()

    def read(self, version: ProfileVersion) -> Profile:
        return Profile.from_body(version.body, recorded_at=version.recorded_at, version=version.id)

    def _take_turns(self, known: State, turns: Sequence[Episode]) -> None:
        for turn in sorted(turns, key=lambda one: (one.time, one.position, one.id)):
            known.met(turn)
            if turn.role != "user" or turn.speaker:
                continue
            for wish in wishes(turn, self._bank.values()):
                known.hear(wish)
            known.writing.read(turn.id, turn.text, self._measures)
            feeling = felt(turn)
            if feeling is not None:
                known.put(feeling.key, feeling)

    def _take_facts(
        self, known: State, turns: Sequence[Episode], facts: Sequence[Fact], gone: Sequence[tuple[str, str]]
    ) -> None:
        """Revisions that are gone or superseded take their statement along, unless a newer one stands."""
        at_hand = {turn.id: turn for turn in turns}
        over = [one.key for one in facts if one.superseded_at is not None]
        known.drop_revisions([*over, *(key for kind, key in gone if kind == "fact")])
        for fact in facts:
            if fact.superseded_at is None:
                known.put(fact.id, from_fact(fact, at_hand, known.statements.get(fact.id)))
                known.revisions[fact.id] = fact.revision

    def _take_feedback(self, known: State, turns: Sequence[Episode], feedback: Sequence[Feedback]) -> None:
        compared = [one for one in feedback if one.about in ("pair", "reply")]
        if compared:
            replies = {turn.id: turn.text for turn in turns}
            taste = Taste.loads(known.taste or None)
            taste.read(compared, texts=replies.get)
            known.taste = taste.dumps()
        for one in sorted(feedback, key=lambda one: (one.recorded_at, one.id)):
            edit = edit_of(one)
            if edit is not None:
                known.edit(edit)

    def _chosen(self, known: State) -> list[Leaning]:
        """What choices alone have shown; it is joined with what was said where both speak of a trait."""
        return Taste.loads(known.taste or None).leanings(bank=self._bank) if known.taste else []

    def _condense(self, known: State) -> None:
        """Nothing, without a model."""


class ModelProfiler(PatternProfiler):
    """The same, with the statements of a section joined by a language model where a section has changed."""

    def __init__(self, model: LanguageModel, *, bank: TraitBank | None = None) -> None:
        super().__init__(bank=bank)
        self._model = model

    def _condense(self, known: State) -> None:
        for section, inside in known.sections().items():
            if known.condensed.get(section, ("", []))[0] != digest(inside):
                known.condensed[section] = (digest(inside), condense(self._model, section, inside))
