"""OpenAI's request for a reply, with our fields beside theirs, and what of it becomes a turn.

What would change the answer and cannot be done is refused by name; what a front end sends along without
effect (`metadata`, `store`, `service_tier` ...) is let pass.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mnemon.agent.seams import Message, ReplyOptions
from mnemon.agent.server.refusals import Refusal

Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Weight = Annotated[float, Field(ge=-1, le=1)]


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    include_usage: bool = False


class SchemaOfReply(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    body: dict[str, Any] = Field(alias="schema")


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaOfReply | None = None

    def schema_asked(self) -> dict[str, Any] | None:
        if self.type == "text":
            return None
        if self.type == "json_object":
            return {"type": "object"}
        if self.json_schema is None:
            raise Refusal(
                400,
                "response_format is json_schema without a schema.",
                hint='Give {"type": "json_schema", "json_schema": {"schema": {...}}}.',
                param="response_format",
            )
        return self.json_schema.body


class ChatRequest(BaseModel):
    """A turn. `thread` and what follows it are ours; clients put them into `extra_body`."""

    model_config = ConfigDict(populate_by_name=True)

    model: Name = "default"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=5_000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=500, description="Whose memory.")] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: Name | Annotated[list[Name], Field(max_length=16)] | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    tools: Annotated[list[Any], Field(max_length=0, description="Not offered to callers.")] | None = None

    thread: (
        Annotated[
            Name,
            Field(
                description="The conversation, held in memory: of `messages` only the last one is read then."
            ),
        ]
        | None
    ) = None
    memory: Annotated[bool, Field(description="Recall what was said before.")] = True
    temporary: Annotated[bool, Field(description="Recall nothing, and keep nothing of this turn.")] = False
    persona: Annotated[
        dict[Name, Weight],
        Field(max_length=100, description="Traits and weights for this turn, on top of what was learnt."),
    ] = {}
    strength: Annotated[
        float,
        Field(alias="lambda", ge=0, le=10, description="How hard to steer, by memories and by the persona."),
    ] = 1.0
    explain: Annotated[bool, Field(description="Say what the reply rests on, in `mnemon`.")] = False

    def options(self, *, most: int) -> ReplyOptions:
        asked = self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return ReplyOptions(
            max_tokens=min(asked, most),
            temperature=self.temperature or 0.0,
            top_p=self.top_p or 1.0,
            seed=self.seed,
            stop=tuple(stop),
            json_schema=None if self.response_format is None else self.response_format.schema_asked(),
        )

    def question(self) -> str:
        """What the person says now: the last message, which must be theirs."""
        last = self.messages[-1]
        if last.role != "user" or not last.text.strip():
            raise Refusal(
                400,
                f"The last message is {'empty' if last.role == 'user' else f'by {last.role!r}'}; "
                "expected what the user says.",
                hint='End the messages with {"role": "user", "content": "..."}.',
                param="messages",
            )
        return last.text

    def history(self) -> list[Message]:
        """What was said before, without what holds no words of the conversation."""
        before: Sequence[ChatMessage] = self.messages[:-1]
        return [
            {"role": one.role, "content": one.text}
            for one in before
            if one.role in ("user", "assistant") and one.text.strip()
        ]


DEFAULT_TOKENS = 256  # as `mnemon chat` writes at most


class EmbeddingRequest(BaseModel):
    model: Name = "default"
    input: str | Annotated[list[str], Field(min_length=1, max_length=2_048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: Annotated[str, Field(max_length=500)] | None = None


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Embedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


class SaidMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    index: int = 0
    message: SaidMessage
    finish_reason: Literal["stop", "length"]


class TokenCounts(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """OpenAI's answer; `mnemon` holds the thread and, when it was asked for, what the reply rests on."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenCounts
    mnemon: dict[str, Any]
