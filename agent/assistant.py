"""The assistant: one person, one memory, one model, many conversations.

    assistant = Assistant.open("people.db", user="ana")
    for piece in assistant.stream("What should I cook tonight?"):
        print(piece, end="")

The conversation so far is read back from the person's episodes, so a thread survives a kill at any moment and
is forgotten with them.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, cast

from mnemon.agent.compose import Layout, Prompt, Recalled, cited, layout_for
from mnemon.agent.seams import ChatModel, Message, Reply, ReplyOptions, Usage
from mnemon.agent.speaker import speaker_for
from mnemon.errors import UsageError
from mnemon.memory import Memory, Person
from mnemon.profiles import PatternProfiler

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from mnemon.agent.graph import Event

THREAD_TURNS = 40  # the newest turns that are read back; the layout's token budget cuts further
DEFAULT_OPTIONS = ReplyOptions(max_tokens=256)


@dataclass(frozen=True, kw_only=True)
class AssistantReply:
    """A reply and what it rests on. The model read `memories`; it cited `citations` by their marks."""

    text: str
    memories: tuple[Recalled, ...]
    citations: tuple[Recalled, ...]
    usage: Usage
    finish: str


class Assistant:
    """Answers one person. Open one with `Assistant.open`, or wire it from parts."""

    def __init__(
        self,
        person: Person,
        model: ChatModel,
        *,
        name: str | None = None,
        layout: Layout | None = None,
        options: ReplyOptions = DEFAULT_OPTIONS,
        grounding: float = 1.0,
        use_memory: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from mnemon.agent.graph import Nodes, build_graph

        speaker = speaker_for(model, grounding=grounding)
        self.person = person
        self.model = model
        self.last: AssistantReply | None = None
        self._stop = Flag()
        self._nodes = Nodes(
            person=person,
            name=name or person.user,
            speaker=speaker,
            layout=layout or layout_for(speaker.parameters),
            options=options,
            clock=clock,
            stopped=self._stop.is_set,
            use_memory=use_memory,
        )
        self.graph: CompiledStateGraph[Any, Any, Any, Any] = build_graph(self._nodes)

    @classmethod
    def open(
        cls,
        db: str,
        *,
        user: str,
        model: str | ChatModel = "default",
        device: str = "auto",
        options: ReplyOptions = DEFAULT_OPTIONS,
        grounding: float = 1.0,
        use_memory: bool = True,
    ) -> "Assistant":
        """The person's memory in `db`, and a local model by name or path, or any `ChatModel`."""
        from mnemon.agent.local import LocalChatModel

        if isinstance(model, str):
            model = LocalChatModel.open(model, device=device, engine=engine)
        person = Memory.open(db, profiler=PatternProfiler()).for_user(user)
        return cls(person, model, options=options, grounding=grounding, use_memory=use_memory)

    def stream(self, text: str, *, thread: str = "chat") -> Iterator[str]:
        """The pieces of the reply as they are written. What was said is kept when the stream ends."""
        for event in self.events(text, thread=thread):
            if event["kind"] == "piece":
                yield event["text"]

    def reply(self, text: str, *, thread: str = "chat") -> AssistantReply:
        """The whole reply, with the memories that it rests on."""
        for _ in self.events(text, thread=thread):
            pass
        assert self.last is not None, "a turn that ended without an error has a reply"
        return self.last

    def events(
        self, text: str, *, thread: str = "chat", history: Sequence[Message] | None = None
    ) -> Generator["Event", None, None]:
        """What happens in a turn: "recalled" with the memories, "piece" with text, "written". `history` is
        the conversation so far where the caller holds it; without it the memory does."""
        if not text.strip():
            raise UsageError("There is nothing to answer: the message is empty.")
        self._stop.clear()
        so_far = self._history(thread) if history is None else list(history)
        turn = {"text": text, "thread": thread, "history": so_far}
        last: dict[str, Any] = {}
        for mode, chunk in self.graph.stream(turn, stream_mode=["custom", "values"]):
            if mode == "custom":
                yield cast("Event", chunk)
            else:
                last = cast("dict[str, Any]", chunk)
        self.last = _told(last["prompt"], last["reply"])

    def stop(self) -> None:
        """End the reply that is being written; what was said so far is kept. Callable from any thread."""
        self._stop.set()

    def _history(self, thread: str) -> list[Message]:
        turns = self.person.timeline(session=thread, limit=THREAD_TURNS, newest_first=True)
        said = [turn for turn in reversed(turns) if turn.role in ("user", "assistant")]
        return [{"role": turn.role, "content": turn.text} for turn in said]


def _told(prompt: Prompt, reply: Reply) -> AssistantReply:
    return AssistantReply(
        text=reply.text,
        memories=prompt.memories,
        citations=cited(reply.text, prompt.memories),
        usage=reply.usage,
        finish=reply.finish,
    )
