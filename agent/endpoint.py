"""A chat model behind an OpenAI-compatible endpoint: vLLM, Ollama, llama-server, hosted ones.

Speaks HTTP with server-sent events. Cannot steer: a distribution that is not here cannot be tilted, so how a
person likes to be answered stands in the prompt. A vLLM with our plug-in takes rules over words along. Knows
no keys but the one it is given; it never looks for one.
"""

import json
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from mnemon.agent.completions import JsonObject, choice_of, cut_off, read_events, usage_of
from mnemon.agent.fence import fenced, quoted_lines
from mnemon.agent.seams import (
    DEFAULT_OPTIONS,
    Ability,
    ChatModel,
    Finish,
    Message,
    Observation,
    Reply,
    ReplyOptions,
    ReplyStream,
    ToolCall,
    ToolSpec,
    Usage,
    check_messages,
)
from mnemon.agent.tools import shown_text
from mnemon.errors import EndpointError, UsageError
from mnemon.profiles import Plan


class EndpointChatModel(ChatModel):
    """`EndpointChatModel("http://localhost:11434/v1", "qwen3:8b")`; `key` only where the server wants one.

    `takes_rules` says that it is a vLLM with `mnemon.agent.vllm_plugin`; any other refuses or ignores them.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        timeout: float = 120.0,
        takes_rules: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(
                f"url={url!r} is no endpoint.", hint="Give one such as http://localhost:8000/v1."
            )
        if not model:
            raise UsageError("model='' names no model of the endpoint.")
        self._url = url.rstrip("/") + "/chat/completions"
        self._model, self._key, self._timeout = model, key, timeout
        self.takes_rules = takes_rules

    @property
    def name(self) -> str:
        return f"{self._model}@{urlsplit(self._url).netloc}"

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset({"seed", "json_schema", "usage", "tools"})

    def stream(self, messages: Sequence[Message], options: ReplyOptions = DEFAULT_OPTIONS) -> ReplyStream:
        return ReplyStream(self._read(self._body(check_messages(messages), options)))

    def stream_with_rules(
        self, messages: Sequence[Message], plan: Plan, options: ReplyOptions = DEFAULT_OPTIONS
    ) -> ReplyStream:
        """A reply led by what of the plan is rules over words; all of it has to stand in the messages too."""
        body = self._body(check_messages(messages), options)
        extra = rules_for(plan)
        if extra:
            body["vllm_xargs"] = extra
        return ReplyStream(self._read(body))

    def stream_with_tools(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec],
        observed: Sequence[Sequence[Observation]] = (),
        options: ReplyOptions = DEFAULT_OPTIONS,
    ) -> ReplyStream:
        """The server's own way to call tools. What tools gave back is fenced in their messages."""
        body = self._body(check_messages(messages), options)
        body["messages"] = [*body["messages"], *(message for seen in observed for message in _round(seen))]
        if tools:
            body["tools"] = [{"type": "function", "function": _described(tool)} for tool in tools]
        return ReplyStream(self._read(body))

    def _body(self, messages: list[dict[str, str]], options: ReplyOptions) -> JsonObject:
        body: JsonObject = {
            "model": self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if options.stop:
            body["stop"] = list(options.stop)
        if options.json_schema is not None:
            schema = {"name": "reply", "strict": True, "schema": dict(options.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _read(self, body: JsonObject) -> Generator[str, None, Reply]:
        import httpx

        text: list[str] = []
        calls = _Calls(self._url)
        finish: Finish | None = None
        usage = Usage()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        with (
            httpx.Client(timeout=self._timeout, headers=headers) as client,
            closing(read_events(client, self._url, body, refused=self._refused)) as events,
        ):
            for event in events:
                usage = usage_of(event, usage)
                calls.take(event)
                piece, ended = choice_of(self._url, event)
                finish = ended or finish
                if piece:
                    text.append(piece)
                    yield piece
        if finish is None:
            raise cut_off(self._url, "".join(text))
        return Reply(text="".join(text), finish=finish, usage=usage, calls=calls.all())

    def _refused(self, status: int, answer: str) -> EndpointError:
        try:
            parsed = json.loads(answer)
            reason = _reason(parsed.get("error", parsed))
        except (ValueError, AttributeError):
            reason = answer.strip()[:200] or "no reason given"
        hints = {
            401: "Give the key that this server wants.",
            403: "This key may not use that model.",
            404: f"Does the server have a model {self._model!r}, and does the address end in /v1?",
            429: "Too many requests; wait and try again.",
        }
        if status == 200:
            return EndpointError(f"{self._url!r} failed while answering: {reason}")
        return EndpointError(f"{self._url!r} answered {status}: {reason}", hint=hints.get(status))


class _Calls:
    """Calls as they arrive: each piece belongs to the call of its index."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parts: dict[int, dict[str, str]] = {}

    def take(self, event: JsonObject) -> None:
        try:
            pieces = [piece for choice in event.get("choices") or [] for piece in _tool_pieces(choice)]
            for piece in pieces:
                part = self._parts.setdefault(int(piece.get("index", 0)), {"id": "", "name": "", "json": ""})
                function = piece.get("function") or {}
                part["id"] = piece.get("id") or part["id"]
                part["name"] += function.get("name") or ""
                part["json"] += function.get("arguments") or ""
        except (AttributeError, TypeError, ValueError) as e:
            raise EndpointError(f"{self._url!r} sent a call of another shape: {event!r:.120}.") from e

    def all(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(id=part["id"] or f"call-{index}", name=part["name"], arguments=_arguments(part["json"]))
            for index, part in sorted(self._parts.items())
        )


def _tool_pieces(choice: Any) -> list[Any]:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    pieces = delta.get("tool_calls") if isinstance(delta, dict) else None
    return list(pieces or [])


def _arguments(written: str) -> JsonObject:
    """What is no object is handed on as it is: the tool refuses it in words that the model reads."""
    try:
        arguments = json.loads(written or "{}")
    except ValueError:
        return {"unreadable": written}
    return arguments if isinstance(arguments, dict) else {"unreadable": arguments}


def _described(tool: ToolSpec) -> JsonObject:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _round(seen: Sequence[Observation]) -> list[JsonObject]:
    """One round as the wire has it: the calls, then a message for what came of each."""
    calls = [
        {
            "id": one.call.id,
            "type": "function",
            "function": {"name": one.call.name, "arguments": json.dumps(dict(one.call.arguments))},
        }
        for one in seen
    ]
    results = [
        {"role": "tool", "tool_call_id": one.call.id, "content": fenced(quoted_lines(shown_text(one)))}
        for one in seen
    ]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


def _reason(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def rules_for(plan: Plan) -> dict[str, str]:
    """A plan's rules as vLLM's extra arguments; none where it has none."""
    from mnemon.agent.decoding.linear import THEIR_ENDS, linear_part
    from mnemon.agent.persona import steering_for
    from mnemon.agent.vllm_argument import ARGUMENT, as_argument

    rules = linear_part(steering_for(plan, end_ids=THEIR_ENDS))
    return {} if rules is None else {ARGUMENT: as_argument(rules)}
