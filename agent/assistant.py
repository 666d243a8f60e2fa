"""The assistant: one person, one memory, one model, many conversations.

    assistant = Assistant.open("people.db", user="ana", tools=[my_function])
    for piece in assistant.stream("What should I cook tonight?"):
        print(piece, end="")

The conversation so far is read back from the person's episodes, so a thread survives a kill at any moment and
is forgotten with them. A turn that has not ended, because it waits for a yes or was killed, is kept until it
is resumed or the person goes on without it.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from threading import Event as Flag
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from mnemon.agent.compose import Layout, Prompt, Recalled, cited, layout_for
from mnemon.agent.lessons import Lesson
from mnemon.agent.manner import Manner
from mnemon.agent.seams import ChatModel, Message, Observation, Reply, ReplyOptions, ToolCall, Usage
from mnemon.agent.speaker import GroundedSpeaker, speaker_for
from mnemon.agent.tools import Tool, tools_by_name
from mnemon.errors import UsageError
from mnemon.memory import Memory, Person
from mnemon.profiles import Leaning, PatternProfiler, Persona, Plan

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from mnemon.agent.decoding.trace import Trace
    from mnemon.agent.graph import Event
    from mnemon.agent.mcp_tools import McpServers
    from mnemon.agent.understanding import Understanding

DEFAULT_OPTIONS = ReplyOptions(max_tokens=256)


@dataclass(frozen=True, kw_only=True)
class AssistantReply:
    """A reply and what it rests on. The model read `memories`; it cited `citations` by their marks.

    `finish` is "confirm" where the reply waits for a yes to `waiting`: answer with `Assistant.resume`.
    """

    text: str
    memories: tuple[Recalled, ...]
    citations: tuple[Recalled, ...]
    usage: Usage
    finish: str
    id: str = ""  # the episode that it became; what `Person.rate` takes
    observations: tuple[Observation, ...] = ()  # what tools gave back, in the order of the calls
    waiting: tuple[ToolCall, ...] = ()
    understood: "Understanding | None" = None
    sizes: Mapping[str, int] = field(default_factory=dict)  # tokens of the prompt by part
    traits: tuple[Leaning, ...] = ()  # what of the persona held for the question
    trace: "Trace | None" = field(default=None, repr=False)  # what steering did, token by token
    lessons: tuple[Lesson, ...] = ()  # what the turn taught at once
    notes: tuple[str, ...] = ()  # what is less than it could be


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A turn that was begun and has not ended. With `waiting`, the person has to say yes or no first."""

    text: str
    asked_at: datetime
    waiting: tuple[ToolCall, ...] = ()


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
        steer: bool = True,
        use_memory: bool = True,
        persona: Persona | None = None,
        traits: Mapping[str, float] | None = None,
        strength: float = 1.0,
        tools: Sequence[object] = (),
        mcp: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from mnemon.agent.graph import Nodes, build_graph
        from mnemon.agent.threads import UnfinishedTurns

        speaker = speaker_for(model, grounding=grounding, steer=steer, nearness=person.nearness)
        self.person = person
        self.model = model
        self.last: AssistantReply | None = None
        self._memory: Memory | None = None  # to be closed with the assistant
        self._own_tools = tools_by_name(tools)
        self._servers = _servers(mcp)
        self._manner = Manner(person, persona=persona, traits=traits, strength=strength)
        self._stop = Flag()
        self._turns = UnfinishedTurns(person)
        self._nodes = Nodes(
            person=person,
            name=name or person.user,
            speaker=speaker,
            layout=layout or layout_for(speaker.parameters),
            options=options,
            clock=clock,
            stopped=self._stop.is_set,
            manner=self._manner,
            tools=self._tools,
            use_memory=use_memory,
        )
        self.graph: CompiledStateGraph[Any, Any, Any, Any] = build_graph(self._nodes)
        # The same, with what is needed to stop in the middle; as a node of another graph, that one's is used.
        self._resumable = build_graph(self._nodes, checkpointer=self._turns)

    @classmethod
    def open(
        cls,
        db: str,
        *,
        user: str,
        model: str | ChatModel = "default",
        device: str = "auto",
        engine: str = "auto",
        options: ReplyOptions = DEFAULT_OPTIONS,
        grounding: float = 1.0,
        steer: bool = True,
        use_memory: bool = True,
        persona: Persona | None = None,
        traits: Mapping[str, float] | None = None,
        strength: float = 1.0,
        tools: Sequence[object] = (),
        mcp: Sequence[str] = (),
    ) -> "Assistant":
        """The person's memory in `db`, and a model by name, path or address (`open_model`), or any
        `ChatModel`.

        A local model runs on the faster engine that is installed, unless one is named. The persona is learnt
        from what the person says, unless one is given; `traits` are weights set by hand on top of it, and
        `strength` says how hard to steer by it. `grounding` is how hard to steer towards the memories.
        Without `steer` nothing is steered: memories and persona stand in the prompt alone.
        `tools` are typed functions, `Tool`s or LangChain tools; `mcp` are commands or addresses of MCP
        servers, started when they are first needed. `close` ends them.
        """
        if isinstance(model, str):
            Thread(target=_warm_up, daemon=True).start()
            from mnemon.agent.opening import open_model

            model = open_model(model, device=device, engine=engine)
        memory = Memory.open(db, profiler=PatternProfiler())
        assistant = cls(
            memory.for_user(user),
            model,
            options=options,
            grounding=grounding,
            steer=steer,
            use_memory=use_memory,
            persona=persona,
            traits=traits,
            strength=strength,
            tools=tools,
            mcp=mcp,
        )
        assistant._memory = memory
        return assistant

    def stream(self, text: str, *, thread: str = "chat") -> Iterator[str]:
        """The pieces of the reply as they are written. What was said is kept when the stream ends."""
        for event in self.events(text, thread=thread):
            if event["kind"] == "piece":
                yield event["text"]

    def reply(self, text: str, *, thread: str = "chat") -> AssistantReply:
        """The whole reply, with the memories that it rests on."""
        for _ in self.events(text, thread=thread):
            pass
        return self._last()

    def events(
        self, text: str, *, thread: str = "chat", history: Sequence[Message] | None = None
    ) -> Generator["Event", None, None]:
        """What happens in a turn: "understood", "recalled" with the memories, "calling" and "observed" for
        tools, "piece" with text, "learnt" with lessons, "written"; or, at the end, "confirm" with the calls
        that wait for a yes. `history` is the conversation so far where the caller holds it; without it the
        memory does."""
        if not text.strip():
            raise UsageError("There is nothing to answer: the message is empty.")
        self._set_aside(thread, unless=text)
        turn: dict[str, Any] = {"text": text, "thread": thread}
        if history is not None:
            turn["history"] = list(history)
        yield from self._run(turn, thread)

    def unfinished(self, *, thread: str = "chat") -> Unfinished | None:
        """The turn of this thread that waits for a yes, or was killed before it ended."""
        if not self._turns.known(thread):
            return None
        state = self._resumable.get_state(_place(thread))
        if not state.next:
            return None
        waiting = [call for one in state.interrupts for call in one.value["calls"]]
        return Unfinished(
            text=state.values["text"],
            asked_at=state.values.get("asked_at", self._nodes.clock()),
            waiting=tuple(waiting),
        )

    def resume(
        self, *, approve: bool | Sequence[str] = False, thread: str = "chat"
    ) -> Generator["Event", None, None]:
        """Go on with the turn of this thread that has not ended. `approve`: all calls that wait for a yes,
        none of them, or those with these ids. The events are those of `events`."""
        from langgraph.types import Command

        left = self.unfinished(thread=thread)
        if left is None:
            raise UsageError(f"No turn of the thread {thread!r} waits to be resumed.")
        ids = [call.id for call in left.waiting] if approve is True else list(approve or ())
        unknown = sorted(set(ids) - {call.id for call in left.waiting})
        if unknown:
            raise UsageError(f"Calls {unknown} do not wait for a yes in the thread {thread!r}.")
        yield from self._run(Command(resume={"approved": ids}) if left.waiting else None, thread)

    @property
    def persona(self) -> Persona:
        """How the person is answered now: what was learnt, under what was set by hand."""
        return self._manner.persona()

    def lead(self, strength: float) -> None:
        """Steer so hard from the next reply on, by memories and persona alike: 0 not at all, 1 as usual."""
        speaker = self._nodes.speaker
        if not isinstance(speaker, GroundedSpeaker) or not speaker.steers:
            raise UsageError(f"{self.model.name!r} is not steered, so its steering has no strength.")
        self._manner.lead(strength)
        speaker.grounding = strength

    def stop(self) -> None:
        """End the reply that is being written; what was said so far is kept. Callable from any thread."""
        self._stop.set()

    def close(self) -> None:
        """End the MCP servers, and close the memory that `open` opened."""
        if self._servers is not None:
            self._servers.close()
        if self._memory is not None:
            self._memory.close()

    def __enter__(self) -> "Assistant":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside

    def _run(self, given: object, thread: str) -> Generator["Event", None, None]:
        self._stop.clear()
        self.last = None
        last: dict[str, Any] = {}
        stream = self._resumable.stream(
            cast("Any", given), _place(thread), stream_mode=["custom", "values"], durability="sync"
        )
        try:
            for mode, chunk in stream:
                if mode == "custom":
                    yield cast("Event", chunk)
                else:
                    last = cast("dict[str, Any]", chunk)
        except UsageError:  # it cannot be answered later either; any other failure may be gone on with
            self._turns.delete_thread(thread)
            raise
        waiting = [call for one in last.get("__interrupt__", ()) for call in one.value["calls"]]
        self.last = self._told(last, waiting)
        if waiting:
            yield {"kind": "confirm", "calls": waiting}
        else:
            self._turns.delete_thread(thread)

    def _last(self) -> AssistantReply:
        assert self.last is not None, "a turn that ended without an error has a reply"
        return self.last

    def _set_aside(self, thread: str, *, unless: str) -> None:
        """The person goes on without the turn that has not ended: what they said in it is kept, unless they
        say it again."""
        left = self.unfinished(thread=thread)
        if left is None:
            return
        if left.text != unless:
            self.person.remember(left.text, session=thread, time=left.asked_at)
        self._turns.delete_thread(thread)

    def _tools(self) -> Mapping[str, Tool]:
        if self._servers is None:
            return self._own_tools
        return self._own_tools | {
            tool.name: tool for tool in self._servers.tools() if tool.name not in self._own_tools
        }

    def _told(self, state: Mapping[str, Any], waiting: Sequence[ToolCall]) -> AssistantReply:
        prompt: Prompt | None = state.get("prompt")
        plan: Plan | None = state.get("plan")
        reply: Reply = state["reply"]
        memories = prompt.memories if prompt is not None else ()
        return AssistantReply(
            text=reply.text,
            memories=memories,
            citations=cited(reply.text, memories),
            usage=reply.usage,
            finish="confirm" if waiting else reply.finish,
            id=state.get("reply_id", ""),
            observations=tuple(one for seen in state.get("rounds", ()) for one in seen),
            waiting=tuple(waiting),
            understood=state.get("understood"),
            sizes=prompt.sizes if prompt is not None else {},
            traits=() if plan is None else tuple(wish.leaning for wish in plan.wishes),
            trace=state.get("trace"),
            lessons=tuple(state.get("lessons", ())),
            notes=tuple(self._notes(prompt, plan)),
        )

    def _notes(self, prompt: Prompt | None, plan: Plan | None) -> Iterator[str]:
        if plan is not None and "steering" not in self.model.abilities:
            yield f"{self.model.name} cannot be steered: how you like to be answered stands in its prompt."
        if prompt is not None and prompt.withheld:
            yield f"{prompt.withheld} text(s) that give orders were not shown to {self.model.name}."
        if self._servers is not None:
            yield from self._servers.notes


def _warm_up() -> None:
    """LangGraph and torch take over a second each to load; much of it is waiting for the disk and the linker,
    so they load side by side (2.3 s instead of 2.9 s on two cores)."""
    import_module("langgraph.graph")


def _place(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def _servers(addresses: Sequence[str]) -> "McpServers | None":
    if not addresses:
        return None
    from mnemon.agent.mcp_tools import McpServers

    return McpServers(addresses)
