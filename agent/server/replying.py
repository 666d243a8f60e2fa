"""From a request to a turn of an assistant: which conversation it belongs to, and what it is answered with.

A request that names its thread is a line of a conversation that memory holds. One that does not brings its
own history, as OpenAI's clients do: that is the context of this turn and is never stored, for it was stored
line by line when it was said. Such a conversation is known again by the last reply in it.
"""

import secrets
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from mnemon.agent.assistant import Assistant, AssistantReply
from mnemon.agent.manner import Manner
from mnemon.agent.seams import ChatModel, Message, ReplyOptions
from mnemon.agent.server.desk import Happening
from mnemon.memory import Memory, Person
from mnemon.profiles import Persona

MOST_RESTING = 32  # assistants, and with them the indexes of their persons
LOOK_BACK = 400  # turns in which a conversation is looked for by its last reply


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One turn, before it is answered. `history` None: memory holds the conversation."""

    text: str
    thread: str
    history: Sequence[Message] | None
    options: ReplyOptions
    persona: Mapping[str, float] = field(default_factory=dict)
    strength: float = 1.0
    memory: bool = True
    temporary: bool = False
    learnt: Persona | None = None  # in place of the one that the memory at hand has learnt


class Assistants:
    """One model's assistants. Those at rest are used again: making one, with its two LangGraph graphs, takes
    longer than many a turn. Each is one person's, made for one set of options, and answers one turn at a
    time."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self._resting: list[tuple[Hashable, Assistant]] = []  # the one that was used last at the end
        self._lock = Lock()

    @contextmanager
    def lent(self, person: Person, asked: Asked) -> Iterator[Assistant]:
        key = None if asked.temporary or asked.options.json_schema else _key(person, asked)
        assistant = self._taken(key) or self._made(person, asked)
        yield assistant
        # After an error it does not come back: what it still holds of the turn is not known.
        if key is not None:
            with self._lock:
                self._resting.append((key, assistant))
                del self._resting[:-MOST_RESTING]

    def _taken(self, key: Hashable) -> Assistant | None:
        if key is None:
            return None
        with self._lock:
            for place in range(len(self._resting) - 1, -1, -1):
                if self._resting[place][0] == key:
                    return self._resting.pop(place)[1]
        return None

    def _made(self, person: Person, asked: Asked) -> Assistant:
        return Assistant(
            person,
            self._model,
            options=asked.options,
            grounding=asked.strength,
            use_memory=asked.memory and not asked.temporary,
            persona=asked.learnt,
            traits=asked.persona,
            strength=asked.strength,
        )


def _key(person: Person, asked: Asked) -> Hashable:
    traits = tuple(sorted(asked.persona.items()))
    # A handle is its own while an assistant holds it, so its id is no other one's.
    return id(person), asked.options, asked.strength, asked.memory, traits


class Answer:
    """A turn as the desk runs it. A temporary one has a memory that ends with it, and only the persona that
    was learnt is taken there."""

    def __init__(self, person: Person, assistants: Assistants, asked: Asked) -> None:
        self._person, self._assistants, self._asked = person, assistants, asked
        self._answering: Assistant | None = None
        self._reply: AssistantReply | None = None
        self._lock = Lock()

    def events(self) -> Iterator[Happening]:
        if not self._asked.temporary:
            yield from self._turn(self._person, self._asked)
            return
        asked = replace(self._asked, learnt=Manner(self._person).persona())
        with Memory.open(":memory:", embedder=None, extractor=None) as scratch:
            yield from self._turn(scratch.for_user(self._person.user), asked)

    def _turn(self, person: Person, asked: Asked) -> Iterator[Happening]:
        with self._assistants.lent(person, asked) as assistant:
            self._answering = assistant
            try:
                yield from assistant.events(asked.text, thread=asked.thread, history=asked.history)
                self._reply = assistant.last
            finally:
                with self._lock:  # from now on it may be answering somebody else
                    self._answering = None

    def stop(self) -> None:
        with self._lock:
            if self._answering is not None:
                self._answering.stop()

    @property
    def reply(self) -> AssistantReply:
        assert self._reply is not None, "a turn that ended without an error has a reply"
        return self._reply


def thread_of(person: Person, history: Sequence[Message]) -> str:
    """The conversation that goes on, or the name of a new one."""
    last = next((one["content"] for one in reversed(history) if one["role"] == "assistant"), None)
    if last is not None:
        for turn in person.timeline(limit=LOOK_BACK, newest_first=True):
            if turn.role == "assistant" and turn.text.strip() == last.strip():
                return turn.session
    return f"chat-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def explanation(reply: AssistantReply) -> dict[str, Any]:
    """What a reply rests on, and, of a steered one, what steering did token by token."""
    return {
        "memories": reply.memories,
        "citations": [one.mark for one in reply.citations],
        "traits": reply.traits,
        "trace": None if reply.trace is None else reply.trace.to_dict(),
        "sizes": reply.sizes,
        "notes": reply.notes,
    }
