"""How a model answers a prompt: a local one is steered towards the memories, any other just reads them.

Grounding is the contrast of the same prompt with and without the recalled memories; it is off where nothing
was recalled. An endpoint cannot be steered: the memories in its prompt are all it gets.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from mnemon.agent.compose import Prompt
from mnemon.agent.seams import (
    ChatModel,
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

if TYPE_CHECKING:
    from mnemon.agent.local import LocalChatModel

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

    def count_tokens(self, text: str) -> int: ...

    def choose(self, prompt: Prompt, tools: Sequence[ToolSpec], rounds: Rounds) -> tuple[ToolCall, ...]:
        """The calls to make before an answer; asked of models without native tools."""
        ...

    def answer(
        self, prompt: Prompt, options: ReplyOptions, *, tools: Sequence[ToolSpec] = (), rounds: Rounds = ()
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

    def answer(
        self, prompt: Prompt, options: ReplyOptions, *, tools: Sequence[ToolSpec] = (), rounds: Rounds = ()
    ) -> ReplyStream:
        if not tools and not rounds:
            return self.model.stream(prompt.messages, options)
        if self.native_tools:
            assert isinstance(self.model, ToolCaller), "what declares tools takes them"
            return self.model.stream_with_tools(
                prompt.messages, tools=tools, observed=rounds, options=options
            )
        return self.model.stream(prompt.messages, options)


class GroundedSpeaker(PlainSpeaker):
    """A local model, steered at every token by what the recalled memories change."""

    model: "LocalChatModel"

    def __init__(
        self, model: "LocalChatModel", *, grounding: float, nearness: Nearness | None = None
    ) -> None:
        super().__init__(model, nearness=nearness)
        self.grounding = grounding

    @property
    def parameters(self) -> int | None:
        return self.model.parameters

    @property
    def context_length(self) -> int:
        return self.model.context_length

    def count_tokens(self, text: str) -> int:
        return self.model.count_tokens(text)

    def answer(
        self, prompt: Prompt, options: ReplyOptions, *, tools: Sequence[ToolSpec] = (), rounds: Rounds = ()
    ) -> ReplyStream:
        del tools, rounds  # it chooses before it answers, and reads what came of it in the prompt
        from mnemon.agent.decoding.presets import grounding
        from mnemon.agent.decoding.steering import Branch

        if (prompt.memories or prompt.observed) and self.grounding:
            without = Branch(name="without memories", messages=prompt.without_memories)
            stream = self.model.steer(
                prompt.messages, grounding(without, lam=self.grounding), options=options
            )
        else:
            stream = self.model.stream(prompt.messages, options)
        return ReplyStream(_tidy(stream))


_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]+")


def _tidy(stream: ReplyStream) -> Generator[str, None, Reply]:
    """Without what small models add: the dash of a copied line, and a sentence said again and again."""
    said = ""
    for piece in stream:
        new = piece if said else piece.lstrip("- ")
        said += new
        if new:
            yield new
        if _repeats(said):
            stream.close()
            return Reply(text=said.rstrip(), finish="stop")
    return replace(stream.reply, text=said)


def _repeats(text: str) -> bool:
    """Whether the sentence that has just ended was said before in this reply."""
    if not text.rstrip(" ").endswith((".", "!", "?", "\n")):
        return False
    sentences = [found.strip() for found in _SENTENCE.findall(text)]
    return len(sentences) > 1 and len(sentences[-1].split()) > 3 and sentences[-1] in sentences[:-1]


def speaker_for(model: ChatModel, *, grounding: float, nearness: Nearness | None = None) -> Speaker:
    """How this model is best asked: what it declares decides."""
    if "steering" not in model.abilities:
        return PlainSpeaker(model, nearness=nearness)
    from mnemon.agent.local import LocalChatModel

    assert isinstance(model, LocalChatModel), "only local models declare steering"
    return GroundedSpeaker(model, grounding=grounding, nearness=nearness)
