"""From a request to a turn of an assistant: which conversation it belongs to, and what it is answered with.

A request that names its thread is a line of a conversation that memory holds. One that does not brings its
own history, as OpenAI's clients do: that is the context of this turn and is never stored, for it was stored
line by line when it was said. Such a conversation is known again by the last reply in it.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mnemon.agent.assistant import Assistant, AssistantReply
from mnemon.agent.manner import Manner
from mnemon.agent.seams import ChatModel, Message, ReplyOptions
from mnemon.agent.server.desk import Happening
from mnemon.memory import Memory, Person
from mnemon.profiles import Persona

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


class Answer:
    """A turn as the desk runs it: an assistant of its own, so that nothing is shared between turns but the
    model and the memory. A temporary one has a memory that ends with it."""

    def __init__(self, person: Person, model: ChatModel, asked: Asked) -> None:
        self._asked = asked
        self._scratch: Memory | None = None
        learnt: Persona | None = None
        if asked.temporary:
            learnt = Manner(person).persona()
            self._scratch = Memory.open(":memory:", embedder=None, extractor=None)
            person = self._scratch.for_user(person.user)
        self._assistant = Assistant(
            person,
            model,
            options=asked.options,
            grounding=asked.strength,
            use_memory=asked.memory and not asked.temporary,
            persona=learnt,
            traits=asked.persona,
            strength=asked.strength,
        )

    def events(self) -> Iterator[Happening]:
        asked = self._asked
        try:
            yield from self._assistant.events(asked.text, thread=asked.thread, history=asked.history)
        finally:
            if self._scratch is not None:
                self._scratch.close()

    def stop(self) -> None:
        self._assistant.stop()

    @property
    def reply(self) -> AssistantReply:
        assert self._assistant.last is not None, "a turn that ended without an error has a reply"
        return self._assistant.last


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
