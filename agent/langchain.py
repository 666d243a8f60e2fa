"""The edge to LangChain: any `ChatModel` of ours as a `BaseChatModel`, for any LangGraph agent to use.

Tools cross it in both directions. Types of LangChain stay in this module. Steering is chosen when the wrapper
is made.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import StructuredTool
from pydantic import ConfigDict

from mnemon.agent.seams import DEFAULT_OPTIONS, ChatModel, Reply, ReplyOptions, ReplyStream
from mnemon.agent.tools import TIMEOUT, Tool
from mnemon.errors import UsageError

if TYPE_CHECKING:
    from mnemon.agent.decoding.steering import Steering

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}


class MnemonChatModel(BaseChatModel):
    """`MnemonChatModel(LocalChatModel.open())`; give `steering` to steer every reply of it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Any  # a ChatModel; pydantic cannot check a protocol
    options: ReplyOptions
    steering: Any  # a Steering or None; that module loads torch

    def __init__(
        self, model: ChatModel, *, options: ReplyOptions = DEFAULT_OPTIONS, steering: "Steering | None" = None
    ) -> None:
        # Checked here and not by pydantic, which would wrap our errors in its own.
        given: object = model
        if not isinstance(given, ChatModel):
            raise UsageError(f"model={given!r} is no ChatModel.", hint="Give LocalChatModel.open().")
        if steering is not None and "steering" not in model.abilities:
            raise UsageError(
                f"{model.name!r} cannot be steered; only a local model can.",
                hint="Put the wish into the system message instead.",
            )
        fields: dict[str, Any] = {"model": model, "options": options, "steering": steering}
        super().__init__(**fields)

    @property
    def _llm_type(self) -> str:
        return "mnemon"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model.name}

    def _start(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, **overrides: Any
    ) -> ReplyStream:
        known = {"max_tokens", "temperature", "top_p", "seed", "json_schema"}
        unknown = sorted(set(overrides) - known)
        if unknown:
            raise UsageError(f"Options {unknown} are not understood; known are {sorted(known)} and stop.")
        given = {name: getattr(self.options, name) for name in known}
        options = ReplyOptions(**(given | overrides), stop=tuple(stop) if stop else self.options.stop)
        plain = [to_message(message) for message in messages]
        if self.steering is None:
            return self.model.stream(plain, options)  # type: ignore[no-any-return]
        return self.model.steer(plain, self.steering, options=options)  # type: ignore[no-any-return]

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  nothing to report before the end
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._start(messages, stop, **kwargs).reply
        message = AIMessage(
            reply.text, usage_metadata=usage_of(reply), response_metadata={"finish_reason": reply.finish}
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        stream = self._start(messages, stop, **kwargs)
        for piece in stream:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager is not None:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        reply = stream.reply
        last = AIMessageChunk(
            content="", usage_metadata=usage_of(reply), response_metadata={"finish_reason": reply.finish}
        )
        yield ChatGenerationChunk(message=last)


def to_message(message: BaseMessage) -> dict[str, str]:
    """A LangChain message as ours. Content in blocks is joined; blocks that are no text are refused."""
    role = _ROLES.get(message.type.removesuffix("MessageChunk").lower())
    if role is None:
        raise UsageError(f"A message of type {message.type!r} cannot be used; known are {sorted(_ROLES)}.")
    if isinstance(message.content, str):
        return {"role": role, "content": message.content}
    texts = []
    for block in message.content:
        text = block if isinstance(block, str) else block.get("text")
        if not isinstance(text, str):
            raise UsageError(f"A message holds {block!r:.80}; only text can be read.")
        texts.append(text)
    return {"role": role, "content": "".join(texts)}


def usage_of(reply: Reply) -> UsageMetadata:
    usage = reply.usage
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def from_langchain(given: Any, *, acts: bool = False, timeout: float = TIMEOUT) -> Tool:
    """A LangChain tool as ours. `metadata={"acts": True}` marks one that acts on the world."""
    schema = given.tool_call_schema
    parameters = schema if isinstance(schema, dict) else schema.model_json_schema()
    # Tools made from coroutines alone refuse to be invoked without awaiting.
    awaited = isinstance(given, StructuredTool) and given.func is None

    def run(arguments: Mapping[str, Any]) -> object:
        if awaited:
            return asyncio.run(given.ainvoke(dict(arguments)))
        return given.invoke(dict(arguments))

    return Tool(
        name=given.name,
        description=given.description,
        parameters=parameters,
        run=run,
        acts=acts or bool((given.metadata or {}).get("acts")),
        timeout=timeout,
    )


def to_langchain(tool: Tool) -> StructuredTool:
    """Our tool as LangChain's, for any agent of theirs."""

    def run(**arguments: Any) -> object:
        return tool.run(arguments)

    return StructuredTool.from_function(
        func=run,
        name=tool.name,
        description=tool.description,
        args_schema=dict(tool.parameters),
        metadata={"acts": tool.acts},
    )
