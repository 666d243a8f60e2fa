"""A reply, or likelihoods, as the desk runs them, and the shapes in which they are told."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Event as Flag
from typing import Any

from mnemon.agent.decoding.steering import Steering
from mnemon.agent.decoding.trace import SteeredReply, Trace
from mnemon.agent.local import LocalChatModel
from mnemon.agent.seams import Message, Reply, ReplyOptions, Usage
from mnemon.agent.server.desk import Happening

JsonObject = dict[str, Any]


class Writing:
    """One reply. Each piece comes with the reply as it then stood, so that who cuts it there knows all."""

    def __init__(
        self,
        model: LocalChatModel,
        messages: Sequence[Message],
        steering: Steering | None,
        options: ReplyOptions,
    ) -> None:
        self._model, self._messages, self._steering, self._options = model, messages, steering, options
        self._stop = Flag()
        self._reply: Reply | None = None

    def events(self) -> Iterator[Happening]:
        stream = self._model.steer(self._messages, self._steering, options=self._options)
        told = 0
        for piece in stream:
            draft = stream.draft
            yield {"kind": "piece", "text": piece, "usage": draft.usage, "trace": draft.trace(since=told)}
            told = len(draft.traces)
            if self._stop.is_set():
                break
        self._reply = stream.cut() if self._stop.is_set() else stream.reply

    def stop(self) -> None:
        self._stop.set()

    @property
    def reply(self) -> Reply:
        assert self._reply is not None, "a turn that ended without an error has a reply"
        return self._reply


class Weighing:
    """Likelihoods of continuations. They are one computation, so they are not stopped half-way."""

    def __init__(
        self, model: LocalChatModel, messages: Sequence[Message], continuations: Sequence[str]
    ) -> None:
        self._model, self._messages, self._continuations = model, messages, continuations

    def events(self) -> Iterator[Happening]:
        found = self._model.log_likelihood(self._messages, self._continuations)
        yield {"kind": "likelihoods", "values": found}

    def stop(self) -> None:
        pass

    @property
    def reply(self) -> Reply:
        return Reply(text="")


class CompletionForm:
    """OpenAI's shapes. `ours`: beside them what the reply has cost so far; `trace`: and what steering did."""

    def __init__(self, *, model: str, ours: bool, trace: bool) -> None:
        self._ours, self._trace = ours, trace
        self._told = 0  # tokens of the trace
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}

    def whole(self, reply: Reply) -> JsonObject:
        message = {"role": "assistant", "content": reply.text}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish}
        told: JsonObject = {**self._head, "object": "chat.completion", "choices": [choice]}
        told["usage"] = usage_of(reply.usage)
        if self._trace:
            trace = trace_of(reply)
            told["mnemon"] = {"trace": None if trace is None else trace.to_dict()}
        return told

    def chunk(self, delta: Mapping[str, str], *, finish: str | None = None, **more: Any) -> JsonObject:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **more}

    def event(self, happened: Happening) -> JsonObject | None:
        if happened["kind"] != "piece":
            return None
        beside = self._beside(happened["usage"], happened["trace"])
        return self.chunk({"content": happened["text"]}, **beside)

    def end(self, reply: Reply) -> JsonObject:
        trace = trace_of(reply)
        left = None if trace is None else replace(trace, tokens=trace.tokens[self._told :])
        return self.chunk({}, finish=reply.finish, **self._beside(reply.usage, left))

    def count(self, reply: Reply) -> JsonObject:
        head = {**self._head, "object": "chat.completion.chunk", "choices": []}
        return {**head, "usage": usage_of(reply.usage)}

    def _beside(self, usage: Usage, trace: Trace | None) -> JsonObject:
        """What is ours to say; `trace` holds the tokens that were not told yet."""
        if not self._ours:
            return {}
        beside: JsonObject = {"usage": usage_of(usage)}
        if self._trace and trace is not None:
            self._told += len(trace.tokens)
            beside["trace"] = trace
        return {"mnemon": beside}


def usage_of(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.reused_tokens},
    }


def trace_of(reply: Reply) -> Trace | None:
    return reply.trace if isinstance(reply, SteeredReply) else None
