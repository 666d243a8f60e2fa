"""The assistant as a LangGraph graph: understand → recall → compose → respond ⇄ tools → write back.

State is typed and every node is a method that can be called alone. While it runs, the graph writes events to
LangGraph's custom stream (`stream_mode="custom"`): what was understood and recalled, which tool runs and what
came of it, each piece of the reply, the end. A tool that acts on the world waits for a yes: the graph is
interrupted and may be resumed in another process. Imported only when a graph is built, because LangGraph
takes a second to load.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, TypedDict

from langgraph.channels import UntrackedValue
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StreamWriter, interrupt

from mnemon.agent.compose import Layout, Prompt, Recalled, cited, compose
from mnemon.agent.feedback_words import Said, heard
from mnemon.agent.lessons import Lesson, take_in, taken_in
from mnemon.agent.manner import Manner
from mnemon.agent.recalling import Recaller
from mnemon.agent.seams import Message, Observation, Reply, ReplyOptions, ToolCall, ToolSpec
from mnemon.agent.speaker import Speaker
from mnemon.agent.support import used
from mnemon.agent.tools import Tool, observe
from mnemon.agent.understanding import Understanding, understand
from mnemon.memory import Person
from mnemon.profiles import Plan

THREAD_TURNS = 40  # the newest turns that are read back; the layout's token budget cuts further
NOT_KNOWN = "I don't know that about you yet."
NO_ANSWER = "What the tool gave back was no answer, so I left it out."
NOT_KEPT = "All right, I keep nothing of that."
ASKED_TWICE = "I could not find out more."
_REFUSED = "The person was asked and said no. It did not run."
_LOST = (
    "It is not known whether this ran: the process that was to run it has ended. Do not try again unasked."
)


class Event(TypedDict, total=False):
    """What the graph reports while it runs."""

    kind: Literal["understood", "recalled", "calling", "observed", "confirm", "piece", "learnt", "written"]
    text: str
    memories: list[Recalled]
    understood: Understanding
    queries: tuple[str, ...]  # what memory was asked
    again: bool  # the first questions found nothing, so it was asked in other words
    call: ToolCall
    calls: list[ToolCall]  # they wait for a yes
    observation: Observation
    lessons: list[Lesson]  # what was learnt from the turn, besides what it tells


class Turn(TypedDict, total=False):
    """One exchange as it passes through the graph.

    What is not tracked never enters a checkpoint: what was recalled is recalled again when a turn is resumed,
    so that nothing that was forgotten meanwhile comes back.
    """

    text: str  # what the person said
    thread: str  # the name of the conversation, a session of the memory
    asked_at: datetime
    rounds: list[list[Observation]]  # what came of the calls so far
    approved: list[str]  # ids of calls that the person agreed to
    reply: Reply
    reply_id: str  # the episode that the reply became
    plan: Annotated[Plan | None, UntrackedValue]  # what of the persona held
    trace: Annotated[Any, UntrackedValue]  # what steering did, token by token
    lessons: Annotated[list[Lesson], UntrackedValue]
    history: Annotated[list[Message], UntrackedValue]  # the conversation so far, oldest first
    understood: Annotated[Understanding, UntrackedValue]
    recalled: Annotated[list[Recalled], UntrackedValue]
    prompt: Annotated[Prompt, UntrackedValue]


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The steps of a turn for one person."""

    person: Person
    name: str
    speaker: Speaker
    layout: Layout
    options: ReplyOptions
    clock: Callable[[], datetime]
    stopped: Callable[[], bool]  # asked after every piece: has the person interrupted the reply?
    manner: Manner | None = None
    tools: Callable[[], Mapping[str, Tool]] = dict  # asked at the first turn that may need one
    use_memory: bool = True
    begun: set[tuple[str, str]] = field(default_factory=set)  # calls that were agreed to in this process

    def understand(self, state: Turn, *, writer: StreamWriter) -> Turn:
        """What the message asks of the memory."""
        history = self._history(state)
        said = [message["content"] for message in history if message["role"] == "user"]
        now = state.get("asked_at") or self.clock()
        about_reply = self._of_the_reply(state["text"], history) is not None
        understood = (
            Understanding(matter="small talk") if about_reply else understand(state["text"], said, now=now)
        )
        writer(Event(kind="understood", understood=understood))
        return {"understood": understood, "history": history, "asked_at": now}

    def recall(self, state: Turn, *, writer: StreamWriter) -> Turn:
        """What the person said before that bears on this, best first."""
        if not self.use_memory:
            writer(Event(kind="recalled", memories=[]))
            return {"recalled": []}
        recaller = Recaller(person=self.person, name=self.name, layout=self.layout)
        found = recaller.find(state["text"], self._understood(state), now=self.clock())
        writer(Event(kind="recalled", memories=found.recalled, queries=found.queries, again=found.again))
        return {"recalled": found.recalled}

    def compose(self, state: Turn) -> Turn:
        """The messages that the model reads."""
        return {"prompt": self._composed(state)}

    def respond(self, state: Turn, *, writer: StreamWriter) -> Turn:
        """The reply, piece by piece, or calls of tools. An interrupted one ends where it stands."""
        if self.stopped():  # while a tool ran
            return {"reply": Reply(text="", finish="length")}
        prompt = state.get("prompt") or self._composed(state)
        rounds = state.get("rounds", [])
        tools = self._offered_tools(state, rounds)
        if tools and not self.speaker.native_tools:
            calls = self.speaker.choose(prompt, tools, rounds)
            if calls and not _all_known(calls, rounds):
                return {"reply": Reply(text="", calls=calls)}
            tools = []
        if (
            self._of_the_reply(state["text"], self._history(state)) == "not to be kept"
        ):  # what is done about it is not for a model to say
            writer(Event(kind="piece", text=NOT_KEPT))
            return {"reply": Reply(text=NOT_KEPT)}
        if self._untold(state, prompt.memories) and not self.layout.fenced:  # it would invent something
            writer(Event(kind="piece", text=NOT_KNOWN))
            return {"reply": Reply(text=NOT_KNOWN)}
        if rounds and not prompt.observed and not self.speaker.native_tools:  # all of it gave orders
            writer(Event(kind="piece", text=NO_ANSWER))
            return {"reply": Reply(text=NO_ANSWER)}
        plan = self.speaker.followed(prompt, self._plan(state))
        stream = self.speaker.answer(prompt, self.options, tools=tools, rounds=rounds, plan=plan)
        said: list[str] = []
        for piece in stream:
            said.append(piece)
            writer(Event(kind="piece", text=piece))
            if self.stopped():
                break
        done = stream.cut() or Reply(text="".join(said).rstrip(), finish="length")
        reply = Reply(text=done.text, finish=done.finish, usage=done.usage, calls=done.calls)
        if reply.calls and _all_known(reply.calls, rounds):
            reply = replace(reply, calls=(), text=reply.text or ASKED_TWICE)
        return {"reply": reply, "plan": plan, "trace": getattr(done, "trace", None)}

    def confirm(self, state: Turn) -> Turn:
        """Ask the person about the calls that act on the world. Runs again from its start when resumed, so
        it does nothing else."""
        asking = [call for call in state["reply"].calls if self._acts(call)]
        if not asking:
            return {"approved": []}
        answer = interrupt({"calls": asking})
        approved = [call.id for call in asking if call.id in answer["approved"]]
        self.begun.update((state["thread"], name) for name in approved)
        return {"approved": approved}

    def use_tools(self, state: Turn, *, writer: StreamWriter) -> Turn:
        """Run what the model asked for. Whatever happens is an observation."""
        tools = self.tools()
        observed: list[Observation] = []
        for call in state["reply"].calls:
            refusal = self._refusal(state, call)
            if refusal:
                seen = Observation(call=call, text=refusal, ok=False)
            else:
                writer(Event(kind="calling", call=call))
                seen = observe(tools.get(call.name), call)
            writer(Event(kind="observed", observation=seen))
            observed.append(seen)
        return {"rounds": [*state.get("rounds", []), observed]}

    def write_back(self, state: Turn, *, writer: StreamWriter) -> Turn:
        """Both sides of the turn become episodes, and which memories the reply used becomes feedback.
        Recalled lines and what tools gave back do not: they are not what the person said."""
        reply = state["reply"]
        now = state.get("asked_at") or self.clock()  # the same if this is done again after a kill
        prompt = state.get("prompt")
        if prompt is not None and reply.text:
            helped = cited(reply.text, prompt.memories) or used(reply.text, state["text"], prompt.memories)
            if helped:  # before the turn itself, so that taking back the last write takes back the turn
                self.person.keep_feedback("retrieval", state["text"], good=[one.id for one in helped])
        messages = [{"role": "user", "content": state["text"]}]
        if reply.text:
            messages.append({"role": "assistant", "content": reply.text})
        lessons = take_in(self.person, state["text"], state["thread"])
        ids = self.person.remember(messages, session=state["thread"], time=now)
        lessons += taken_in(self.person, ids, self.manner)
        if lessons:
            writer(Event(kind="learnt", lessons=lessons))
        writer(Event(kind="written"))
        return {"lessons": lessons, "reply_id": ids[-1] if reply.text and len(ids) > 1 else ""}

    # --- where to go next

    def after_respond(self, state: Turn) -> Literal["confirm", "write_back"]:
        return "confirm" if state["reply"].calls else "write_back"

    # --- inside

    def _history(self, state: Turn) -> list[Message]:
        if "history" in state:
            return state["history"]
        turns = self.person.timeline(session=state["thread"], limit=THREAD_TURNS, newest_first=True)
        said = [turn for turn in reversed(turns) if turn.role in ("user", "assistant")]
        return [{"role": turn.role, "content": turn.text} for turn in said]

    def _plan(self, state: Turn) -> Plan | None:
        return None if self.manner is None else self.manner.plan(state["text"])

    def _understood(self, state: Turn) -> Understanding:
        return state.get("understood") or self.understand(state, writer=_unheard)["understood"]

    def _composed(self, state: Turn) -> Prompt:
        """What is not in the state, because the turn was resumed elsewhere, is made again."""
        recalled = (
            state["recalled"] if "recalled" in state else self.recall(state, writer=_unheard)["recalled"]
        )
        rounds, plan = state.get("rounds", []), self._plan(state)
        understood = self._understood(state)
        # A small model reads no thread beside memories, so its question has to say what it points back to.
        question = state["text"] if self.layout.fenced else understood.whole or state["text"]
        return compose(
            question,
            recalled,
            self._history(state),
            layout=self.layout,
            count_tokens=self.speaker.count_tokens,
            context_length=self.speaker.context_length,
            name=self.name,
            now=self.clock(),
            many=understood.kind == "abstraction",
            unknown=self._untold(state, recalled) and not self._offered_tools(state, rounds),
            profile=plan.instructions if plan is not None and not self.speaker.steers else (),
            observed=() if self.speaker.native_tools else [one for seen in rounds for one in seen],
        )

    def _offered_tools(self, state: Turn, rounds: Sequence[Sequence[Observation]]) -> list[ToolSpec]:
        matter = self._understood(state).matter
        # Nearness in meaning would take "I feel tired today" for a question about today's weather.
        if matter == "small talk" or (matter == "telling" and not self.layout.fenced):
            return []
        if len(rounds) >= self.layout.tool_rounds:
            return []
        return [tool.spec for tool in self.tools().values()]

    def _untold(self, state: Turn, known: Sequence[Recalled]) -> bool:
        """Whether only the person could have said what is asked, and did not; no tool said it either."""
        asked = self.use_memory and self._understood(state).only_memory_answers
        return asked and not known and not state.get("rounds")

    def _of_the_reply(self, text: str, history: Sequence[Message]) -> Said | None:
        """What a message says of the reply before it."""
        replied = history and history[-1]["role"] == "assistant"
        return heard(text, before=history[-1]["content"]) if replied else None

    def _acts(self, call: ToolCall) -> bool:
        tool = self.tools().get(call.name)
        return tool is not None and tool.acts

    def _refusal(self, state: Turn, call: ToolCall) -> str:
        """Why a call does not run; "" where it may."""
        if self.stopped():
            return "The person stopped this turn."
        if not self._acts(call):
            return ""
        if call.id not in state.get("approved", []):
            return _REFUSED
        if (state["thread"], call.id) not in self.begun:
            return _LOST
        self.begun.discard((state["thread"], call.id))
        return ""


def _all_known(calls: Sequence[ToolCall], rounds: Sequence[Sequence[Observation]]) -> bool:
    """Whether all that is asked for was seen already: asking again would go round in circles."""
    seen = [(one.call.name, dict(one.call.arguments)) for observed in rounds for one in observed]
    return all((call.name, dict(call.arguments)) in seen for call in calls)


def _unheard(_event: object) -> None:
    """A writer for steps that are repeated: they were reported when they were taken first."""


def build_graph(nodes: Nodes, *, checkpointer: Any = None) -> CompiledStateGraph[Turn, Any, Turn, Turn]:
    """The compiled graph. As a node of another graph it takes `text` and `thread` and gives `reply`."""
    graph = StateGraph(Turn)
    graph.add_node("understand", nodes.understand)
    graph.add_node("recall", nodes.recall)
    graph.add_node("compose", nodes.compose)
    graph.add_node("respond", nodes.respond)
    graph.add_node("confirm", nodes.confirm)
    graph.add_node("tools", nodes.use_tools)
    graph.add_node("write_back", nodes.write_back)
    for before, after in pairwise((START, "understand", "recall", "compose", "respond")):
        graph.add_edge(before, after)
    graph.add_conditional_edges("respond", nodes.after_respond)
    for before, after in pairwise(("confirm", "tools", "compose")):
        graph.add_edge(before, after)
    graph.add_edge("write_back", END)
    return graph.compile(checkpointer=checkpointer)
