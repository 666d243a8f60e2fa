"""How a model answers a prompt: a local one is steered by memories and persona, any other just reads them.

Grounding is the contrast of a prompt with its twin without what was found best; it is off where nothing
was. An endpoint cannot be steered: memories and persona in its prompt are all it gets.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from mnemon.agent.compose import Prompt
from mnemon.agent.endpoint import EndpointChatModel
from mnemon.agent.seams import (
    DEFAULT_OPTIONS,
    ChatModel,
    CutShort,
    Finish,
    Message,
    Observation,
    Reply,
    ReplyOptions,
    ReplyStream,
    ToolCall,
    ToolCaller,
    ToolSpec,
)
from mnemon.agent.tools_choice import Nearness, choose
from mnemon.errors import UsageError
from mnemon.profiles import Plan

if TYPE_CHECKING:
    from mnemon.agent.decoding.steering import Steering

UNKNOWN_CONTEXT = 8_192  # tokens assumed for a model that does not say
SMALL = 1e9  # parameters up to which a model is not asked which tool it wants

Rounds = Sequence[Sequence[Observation]]  # what came of the calls so far


class Speaker(Protocol):
    """Answers prompts; the graph does not care how."""

    @property
    def parameters(self) -> int | None: ...  # None: unknown

    @property
    def context_length(self) -> int: ...

    @property
    def native_tools(self) -> bool: ...  # it calls tools by itself, in the middle of an answer

    @property
    def steers(self) -> bool: ...  # a persona leads its decoder; otherwise it has to stand in the prompt

    def count_tokens(self, text: str) -> int: ...

    def choose(self, prompt: Prompt, tools: Sequence[ToolSpec], rounds: Rounds) -> tuple[ToolCall, ...]:
        """The calls to make before an answer; asked of models without native tools."""
        ...

    def followed(self, prompt: Prompt, plan: Plan | None) -> Plan | None:
        """The plan, or None where this prompt is better answered without it."""
        ...

    def answer(
        self,
        prompt: Prompt,
        options: ReplyOptions,
        *,
        tools: Sequence[ToolSpec] = (),
        rounds: Rounds = (),
        plan: Plan | None = None,
    ) -> ReplyStream: ...


class PlainSpeaker:
    """Any chat model, through its prompt alone."""

    def __init__(self, model: ChatModel, *, nearness: Nearness | None = None) -> None:
        self.model = model
        self.nearness = nearness

    @property
    def parameters(self) -> int | None:
        return None

    @property
    def context_length(self) -> int:
        return UNKNOWN_CONTEXT

    @property
    def native_tools(self) -> bool:
        return "tools" in self.model.abilities

    @property
    def steers(self) -> bool:
        return False

    def count_tokens(self, text: str) -> int:
        return len(text) // 3 + 1  # English runs at four characters a token; a third leaves a margin

    def choose(self, prompt: Prompt, tools: Sequence[ToolSpec], rounds: Rounds) -> tuple[ToolCall, ...]:
        if "json_schema" not in self.model.abilities:
            raise UsageError(
                f"{self.model.name!r} cannot call tools: it neither knows them nor writes under a grammar.",
                hint="Leave tools and mcp out, or use another model.",
            )
        small = self.parameters is not None and self.parameters <= SMALL
        return choose(
            self.model,
            prompt.question,
            tools,
            observed=[one for seen in rounds for one in seen],
            nearness=self.nearness if small else None,
            call_id=f"call-{len(rounds) + 1}",
        )

    def followed(self, prompt: Prompt, plan: Plan | None) -> Plan | None:  # noqa: ARG002  it always stands there
        return plan

    def answer(
        self,
        prompt: Prompt,
        options: ReplyOptions,
        *,
        tools: Sequence[ToolSpec] = (),
        rounds: Rounds = (),
        plan: Plan | None = None,
    ) -> ReplyStream:
        """The plan stands in the prompt; beside it, an endpoint that takes rules gets those there are."""
        if not tools and not rounds:
            if plan is not None and isinstance(self.model, EndpointChatModel) and self.model.takes_rules:
                return self.model.stream_with_rules(prompt.messages, plan, options)
            return self.model.stream(prompt.messages, options)
        if self.native_tools:
            assert isinstance(self.model, ToolCaller), "what declares tools takes them"
            return self.model.stream_with_tools(
                prompt.messages, tools=tools, observed=rounds, options=options
            )
        return self.model.stream(prompt.messages, options)


class Led(ChatModel, Protocol):
    """A chat model whose decoder can be led: a local one, or one of a model server."""

    @property
    def parameters(self) -> int | None: ...

    @property
    def context_length(self) -> int: ...

    def count_tokens(self, text: str | Sequence[Message]) -> int: ...

    def steering_for(self, plan: Plan, *, asked: str = "") -> "Steering": ...

    def steer(
        self,
        messages: Sequence[Message],
        steering: "Steering | None",
        *,
        options: ReplyOptions = DEFAULT_OPTIONS,
    ) -> ReplyStream: ...


class GroundedSpeaker(PlainSpeaker):
    """A model that can be led: at every token by what the recalled memories change, and by the persona."""

    model: Led

    def __init__(
        self,
        model: Led,
        *,
        grounding: float,
        steer: bool = True,
        nearness: Nearness | None = None,
    ) -> None:
        super().__init__(model, nearness=nearness)
        self.grounding = grounding if steer else 0.0
        self._steer = steer

    @property
    def parameters(self) -> int | None:
        return self.model.parameters

    @property
    def context_length(self) -> int:
        return self.model.context_length

    @property
    def steers(self) -> bool:
        return self._steer

    def count_tokens(self, text: str) -> int:
        return self.model.count_tokens(text)

    def answer(
        self,
        prompt: Prompt,
        options: ReplyOptions,
        *,
        tools: Sequence[ToolSpec] = (),  # noqa: ARG002  it chooses before it answers
        rounds: Rounds = (),  # noqa: ARG002  what came of the calls stands in the prompt
        plan: Plan | None = None,
    ) -> ReplyStream:
        steering = self._steering(prompt, plan)
        return ReplyStream(_tidy(self.model.steer(prompt.messages, steering, options=options)))

    def followed(self, prompt: Prompt, plan: Plan | None) -> Plan | None:
        # Led by memories and by a manner at once, the 135 M default kept its facts and lost the end of its
        # sentences. A fact is short; there the memories alone lead.
        small = self.parameters is not None and self.parameters <= SMALL
        only_facts = plan is not None and plan.kind == "extraction" and small and self.steers
        return None if only_facts and self._grounds(prompt) else plan

    def _grounds(self, prompt: Prompt) -> bool:
        return bool(self.grounding and (prompt.memories or prompt.observed))

    def _steering(self, prompt: Prompt, plan: Plan | None) -> "Steering | None":
        from mnemon.agent.decoding.presets import grounding, grounding_term
        from mnemon.agent.decoding.steering import Branch

        manner = (
            self.model.steering_for(plan, asked=prompt.question) if plan is not None and self.steers else None
        )
        if not self._grounds(prompt):
            return manner
        without = Branch(name="ungrounded", messages=prompt.ungrounded)
        if manner is None:
            return grounding(without, lam=self.grounding)
        return replace(manner, terms=(*manner.terms, grounding_term(without, weight=self.grounding)))


_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]+")


# The heads of what a small model is given, which it may copy with the dash of the line under it.
_HEADS = ("Remember:", "Found just now:")
_COPIED = re.compile(r"\s*(?:(?:Remember|Found just now):)?[\s-]*")


def _tidy(stream: ReplyStream) -> Generator[str, None, Reply]:
    """Without what small models add: a head and the dash of a copied line, and a sentence said again and
    again."""
    said = held = ""
    for piece in stream:
        held += piece
        if not said and any(head.startswith(held.strip()) for head in _HEADS):
            continue  # it may become a head
        new = held if said else _COPIED.sub("", held, count=1)
        said, held = said + new, ""
        finish: Finish | None = None
        try:
            if new:
                yield new
        except CutShort:
            finish = "length"
        if _repeats(said):
            finish = "stop"
        if finish is not None:
            return replace(stream.cut() or Reply(text=""), text=said.rstrip(), finish=finish)
    if held.strip() and held.strip() not in _HEADS:
        said += held
        yield held
    return replace(stream.reply, text=said)


def _repeats(text: str) -> bool:
    """Whether the sentence that has just ended was said before in this reply."""
    if not text.rstrip(" ").endswith((".", "!", "?", "\n")):
        return False
    sentences = [found.strip() for found in _SENTENCE.findall(text)]
    return len(sentences) > 1 and len(sentences[-1].split()) > 3 and sentences[-1] in sentences[:-1]


def speaker_for(
    model: ChatModel, *, grounding: float, steer: bool = True, nearness: Nearness | None = None
) -> Speaker:
    """How this model is best asked: what it declares decides."""
    if "steering" not in model.abilities:
        return PlainSpeaker(model, nearness=nearness)
    return GroundedSpeaker(cast("Led", model), grounding=grounding, steer=steer, nearness=nearness)
