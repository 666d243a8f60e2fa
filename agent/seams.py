"""The chat model protocol and the plain data that crosses it.

Knows messages, options and text. Knows no tensors, no memory and no person; steering is asked for elsewhere
(`LocalChatModel.steer`), because only a local model can do it.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from mnemon.errors import ModelError, UsageError

Message = Mapping[str, str]  # {"role": "system" | "user" | "assistant" | "tool", "content": text}
JsonSchema = Mapping[str, Any]
Finish = Literal["stop", "length"]

# What a model can do beyond streaming text. Declared, so that the conformance suite can hold it to its word.
Ability = Literal["seed", "json_schema", "usage", "log_likelihood", "steering", "tools"]

ROLES = frozenset({"system", "user", "assistant", "tool"})


@dataclass(frozen=True, kw_only=True)
class ReplyOptions:
    """How to write one reply. `temperature=0` takes the likeliest token and needs no seed."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()  # the reply ends before the first of these
    json_schema: JsonSchema | None = None  # the reply is one JSON value that this schema admits

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens={self.max_tokens!r} leaves no room for a reply; give 1 or more.")
        if self.temperature < 0:
            raise UsageError(
                f"temperature={self.temperature!r} is negative; 0 is greedy, 1 is the model's own."
            )
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p={self.top_p!r} must lie in (0, 1]; 1 keeps every token.")
        stop: object = self.stop  # a lone string is iterable too, letter by letter
        if not isinstance(stop, tuple) or any(not text for text in stop):
            raise UsageError(f"stop={self.stop!r} must be a tuple of non-empty strings.")


DEFAULT_OPTIONS = ReplyOptions()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts of one reply. `reused_tokens` of the prompt were not computed again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reused_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """What a model is told of a tool. `parameters` is the JSON schema of one object."""

    name: str
    description: str
    parameters: JsonSchema


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A model's wish that a tool be run."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What came of a call, as a model may read it. `left_out` counts the characters that were cut off."""

    call: ToolCall
    text: str
    ok: bool = True
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A finished reply. `finish` is "length" when max_tokens cut it off. With `calls` it is not an answer
    yet: the model wants these tools run first."""

    text: str
    finish: Finish = "stop"
    usage: Usage = field(default_factory=Usage)
    calls: tuple[ToolCall, ...] = ()


class CutShort(Exception):  # noqa: N818  no error: what a stream is told
    """Nothing more is wanted of this reply."""


class ReplyStream(Iterator[str]):
    """The pieces of a reply as they are written; `"".join(pieces)` is `reply.text`.

    Wraps a generator that yields the pieces and returns the `Reply`. Closing it early frees the model. One
    that catches `CutShort` at a piece and returns can be cut, and still says what the reply was and cost.
    """

    def __init__(self, pieces: Generator[str, None, Reply]) -> None:
        self._pieces = pieces
        self._begun = False
        self._reply: Reply | None = None

    def __next__(self) -> str:
        self._begun = True
        try:
            return next(self._pieces)
        except StopIteration as end:
            if end.value is not None:
                self._reply = end.value
            raise StopIteration from None

    @property
    def reply(self) -> Reply:
        """The whole reply; reads what is left of the stream first."""
        for _ in self:
            pass
        if self._reply is None:
            raise UsageError("This reply was closed before it ended, so there is no whole reply.")
        return self._reply

    def cut(self) -> Reply | None:
        """End the reply where it stands. None of a stream that cannot say what it was."""
        if self._begun and self._reply is None:
            try:
                self._pieces.throw(CutShort)
            except StopIteration as end:
                self._reply = end.value
            except CutShort:
                pass  # it knows nothing of this, and has ended
        self._pieces.close()
        return self._reply

    def close(self) -> None:
        self._pieces.close()


@runtime_checkable
class ChatModel(Protocol):
    """Writes replies. Backends inherit from this class and give `name`, `abilities` and `stream`.

    `stream` raises UsageError for messages it cannot use before the first piece, and ModelError or
    EndpointError when the model fails; nothing of a third party's library escapes.
    """

    @property
    def name(self) -> str: ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    def stream(self, messages: Sequence[Message], options: ReplyOptions = DEFAULT_OPTIONS) -> ReplyStream: ...

    def reply(self, messages: Sequence[Message], options: ReplyOptions = DEFAULT_OPTIONS) -> Reply:
        return self.stream(messages, options).reply

    def complete(
        self, messages: Sequence[Message], *, json_schema: JsonSchema | None = None, max_tokens: int = 512
    ) -> str:
        """One deterministic answer as text; under a schema, JSON that it admits."""
        options = ReplyOptions(max_tokens=max_tokens, json_schema=json_schema)
        reply = self.reply(messages, options)
        if json_schema is not None and reply.finish == "length":
            raise ModelError(
                f"The JSON was not finished within max_tokens={max_tokens}: …{reply.text[-60:]!r}.",
                hint="Give more max_tokens, or a schema with maxLength and maxItems.",
            )
        return reply.text


@runtime_checkable
class ToolCaller(Protocol):
    """A model that was taught to call tools, in its own form (ability "tools")."""

    def stream_with_tools(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec],
        observed: Sequence[Sequence[Observation]],
        options: ReplyOptions,
    ) -> ReplyStream:
        """A reply or calls. `observed` holds what came of the calls so far, round by round."""
        ...


def check_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as plain dicts, or a UsageError that names the first one that cannot be used."""
    given: object = messages
    if isinstance(given, str):
        raise UsageError(
            f"messages={given[:40]!r} is a string; a list of messages was expected.",
            hint='Give [{"role": "user", "content": "..."}].',
        )
    checked = []
    for place, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise UsageError(f"Message {place} has role {role!r}; expected one of {sorted(ROLES)}.")
        if not isinstance(content, str):
            raise UsageError(f"Message {place} ({role}) has content {content!r}; expected a string.")
        checked.append({"role": role, "content": content})
    if not any(message["content"].strip() for message in checked):
        raise UsageError(
            "There is nothing to answer: every message is empty.", hint="Give at least one message."
        )
    return checked
