"""mnemon, measured as any other system: as users call it, through `Memory`, and its retriever alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mnemon.evals.seams import Found, Question, RetrievalUnit, Session
from mnemon.evals.systems.base import Remembering
from mnemon.memory import Memory, Person
from mnemon.retrievers import Document, Query, Retriever

Clock = Callable[[], datetime]

# Memory's clock stands at the newest session, so that a run repeats itself; undated histories stand here.
START = datetime(2024, 1, 1, tzinfo=UTC)


class MemorySystem(Remembering):
    """`Memory.remember` and `Memory.recall`, a fresh database in memory for each person.

    Memory may decline to store a turn (recalled text that came back, no words): such a turn cannot be found,
    here as in daily use.
    """

    def __init__(
        self, name: str, make: Callable[[Clock], Memory], *, about: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self._make = make
        self._about = dict(about or {})
        self._now = START
        self._memory: Memory | None = None
        self._person: Person | None = None
        self._turn_of: dict[str, str] = {}  # episode id -> the view's turn id
        self._sessions: dict[str, Session] = {}

    def describe(self) -> Mapping[str, Any]:
        return {"name": self.name, **self._about}

    def begin(self, person: str, *, units: Collection[RetrievalUnit]) -> None:
        super().begin(person, units=units)
        self.close()
        self._now = START
        self._memory = self._make(lambda: self._now)
        self._person = self._memory.for_user(person)
        self._turn_of, self._sessions = {}, {}

    def ingest(self, sessions: Sequence[Session]) -> None:
        super().ingest(sessions)
        if self._person is None:
            return
        for session in sessions:
            self._sessions[session.id] = session
            self._now = session.time or self._now
            said = [
                {
                    "role": "user" if turn.role == "peer" else turn.role,
                    "speaker": turn.speaker if turn.role == "peer" else "",
                    "text": turn.text,
                    "source": turn.id,
                    **({"time": turn.time} if turn.time else {}),
                }
                for turn in session.turns
                if turn.text.strip()
            ]
            if said:
                self._person.remember(said, session=session.id)
                kept = self._person.timeline(session=session.id)
                self._turn_of.update((episode.id, episode.source) for episode in kept)
        if self._turn_of:
            self._person.recall("ready?", 1)  # the index is built with the first recall: that is ingesting

    def recall(self, question: Question, *, k: int, unit: RetrievalUnit = "turn") -> list[Found]:
        if self._person is None or k < 1 or not question.text.strip() or not self._turn_of:
            return []
        hits = self._person.recall(question.text, k, time=question.time, units={unit})
        if unit == "session":
            return [Found(hit.id, self._sessions[hit.id].document, hit.score) for hit in hits]
        turns = [(self._turns[self._turn_of[hit.id]], hit.score) for hit in hits]
        return [Found(turn.id, turn.document, score) for turn, score in turns]

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
        self._memory = self._person = None


class RetrieverSystem(Remembering):
    """Any `Retriever` over turns that builds sessions itself; `make` opens an empty one for each person."""

    def __init__(
        self, name: str, make: Callable[[], Retriever], *, about: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self._make = make
        self._about = dict(about or {})
        self._retriever: Retriever | None = None
        self._sessions: dict[str, Session] = {}

    def describe(self) -> Mapping[str, Any]:
        return {"name": self.name, **self._about}

    def begin(self, person: str, *, units: Collection[RetrievalUnit]) -> None:
        super().begin(person, units=units)
        self._retriever = self._make()
        self._sessions = {}

    def ingest(self, sessions: Sequence[Session]) -> None:
        super().ingest(sessions)
        self._sessions.update((session.id, session) for session in sessions)
        documents = [
            Document(
                id=turn.id,
                text=turn.text,
                time=turn.time,
                session=session.id,
                position=turn.position,
                speaker=turn.speaker,
            )
            for session in sessions
            for turn in session.turns
        ]
        if self._retriever is not None and documents:
            self._retriever.add(documents)

    def recall(self, question: Question, *, k: int, unit: RetrievalUnit = "turn") -> list[Found]:
        if self._retriever is None or k < 1 or not question.text.strip():
            return []
        query = Query(text=question.text, k=k, time=question.time, units=frozenset({unit}))
        return [Found(hit.id, self._text(hit.id, unit), hit.score) for hit in self._retriever.search(query)]

    def _text(self, unit_id: str, unit: RetrievalUnit) -> str:
        return self._turns[unit_id].document if unit == "turn" else self._sessions[unit_id].document
