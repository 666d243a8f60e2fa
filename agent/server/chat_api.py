"""`/v1`: what OpenAI's clients and chat front ends speak. A reply is streamed as server-sent events or whole.

The end of a reply (its `finish_reason`) is sent when the turn is on the disk, not before: what a client has
seen finished is kept, whatever happens next. A client that goes away ends its reply; what was said is kept.
"""

import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mnemon.agent.assistant import AssistantReply
from mnemon.agent.seams import ChatModel
from mnemon.agent.server.access import Asker
from mnemon.agent.server.chat_schema import (
    ChatCompletion,
    ChatRequest,
    EmbeddingList,
    EmbeddingRequest,
    ModelCard,
    ModelList,
)
from mnemon.agent.server.desk import Desk, Happening
from mnemon.agent.server.refusals import ErrorBody, Refusal
from mnemon.agent.server.replying import Answer, Asked, Assistants, explanation, thread_of
from mnemon.agent.server.streams import PULSE, EventStream, until_gone
from mnemon.agent.server.wire import Json
from mnemon.memory import Memory, Person
from mnemon.retrievers import Embedder

OURS = ("default", "mnemon")  # names that always mean the model that is served

router = APIRouter(prefix="/v1", tags=["OpenAI"], responses={"default": {"model": ErrorBody}})


class Speaks(Protocol):
    """What these routes need of the application."""

    model: ChatModel
    assistants: Assistants
    embedder: Embedder | None
    memory: Memory
    desk: Desk
    most_tokens: int
    started: int


def _door(request: Request) -> Speaks:
    door: Speaks = request.app.state.door
    return door


@router.get("/models", response_model=ModelList, summary="The models that are served")
async def models(request: Request, _: Asker) -> Response:
    return Json({"object": "list", "data": _cards(_door(request))})


@router.get("/models/{name:path}", response_model=ModelCard, summary="One model")
async def model(name: str, request: Request, _: Asker) -> Response:
    cards = _cards(_door(request))
    for card in cards:
        if card["id"] == name:
            return Json(card)
    raise _no_model(name, [card["id"] for card in cards])


@router.post("/embeddings", response_model=EmbeddingList, summary="Vectors of texts")
async def embeddings(asked: EmbeddingRequest, request: Request, _: Asker) -> Response:
    embedder = _door(request).embedder
    if embedder is None:
        raise Refusal(
            503,
            "There is no embedding model here.",
            hint="Fetch it, then start the server again: mnemon models pull",
            code="model_unavailable",
        )
    if asked.model not in (*OURS, embedder.name):
        raise _no_model(asked.model, [embedder.name])
    if asked.dimensions not in (None, embedder.dimension):
        raise Refusal(
            400,
            f"dimensions={asked.dimensions!r}; {embedder.name!r} gives {embedder.dimension}.",
            param="dimensions",
        )
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = await run_in_threadpool(embedder.embed_texts, texts)
    data = [
        {"object": "embedding", "index": number, "embedding": _vector(row, asked.encoding_format)}
        for number, row in enumerate(vectors)
    ]
    words = sum(len(text.split()) for text in texts)  # embedders do not count tokens; words are near
    usage = {"prompt_tokens": words, "total_tokens": words}
    return Json({"object": "list", "model": embedder.name, "data": data, "usage": usage})


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    summary="A reply of the assistant, streamed or whole",
    description="With `stream` the answer is `text/event-stream` of OpenAI's chunks.",
)
async def chat(asked: ChatRequest, request: Request, may: Asker) -> Response:
    door = _door(request)
    if asked.model not in (*OURS, door.model.name):
        raise _no_model(asked.model, [door.model.name])
    text, options = asked.question(), asked.options(most=door.most_tokens)
    person = door.memory.for_user(may.whom(asked.user))
    thread, history = await _conversation(person, asked)
    turn_asked = Asked(
        text=text,
        thread=thread,
        history=history,
        options=options,
        persona=asked.persona,
        strength=asked.strength,
        memory=asked.memory,
        temporary=asked.temporary,
    )
    turn = door.desk.take(person.user, thread, lambda: Answer(person, door.assistants, turn_asked))
    form = _Form(model=door.model.name, thread=thread, explain=asked.explain)
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        return EventStream(turn, form, door.desk, usage=usage)
    async with until_gone(request.receive, turn, door.desk):
        events = turn.events(first=PULSE, then=PULSE)
        said = [event["text"] async for event in events if event and event["kind"] == "piece"]
    assert turn.reply is not None
    return Json(form.whole("".join(said), turn.reply))


async def _conversation(person: Person, asked: ChatRequest) -> tuple[str, Any]:
    if asked.temporary:  # a thread of its own, so that two can be compared side by side
        return f"temporary-{secrets.token_hex(4)}", asked.history()
    if asked.thread is not None:
        return asked.thread, None
    history = asked.history()
    return await run_in_threadpool(thread_of, person, history), history


class _Form:
    """OpenAI's shapes of one reply."""

    def __init__(self, *, model: str, thread: str, explain: bool) -> None:
        self._explain = explain
        self._thread = thread
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}

    def whole(self, text: str, reply: AssistantReply) -> dict[str, Any]:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": reply.finish,
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self.usage(reply),
            "mnemon": self.ours(reply),
        }

    def chunk(self, delta: Mapping[str, str], *, finish: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **more}

    def event(self, happened: Happening) -> dict[str, Any] | None:
        """One thing that happened as a chunk; None when it is nobody's business."""
        if happened["kind"] == "piece":
            return self.chunk({"content": happened["text"]})
        if self._explain and happened["kind"] != "written":
            return self.chunk({}, mnemon=happened)
        return None

    def end(self, reply: AssistantReply) -> dict[str, Any]:
        return self.chunk({}, finish=reply.finish, mnemon=self.ours(reply))

    def count(self, reply: AssistantReply) -> dict[str, Any]:
        whole = {**self._head, "object": "chat.completion.chunk", "choices": []}
        return {**whole, "usage": self.usage(reply)}

    def ours(self, reply: AssistantReply) -> dict[str, Any]:
        """What is ours to say: the conversation, the turn that the reply became (which can be rated), why."""
        told = {"thread": self._thread, "reply_id": reply.id or None}
        return told | (explanation(reply) if self._explain else {})

    @staticmethod
    def usage(reply: AssistantReply) -> dict[str, int]:
        read, wrote = reply.usage.prompt_tokens, reply.usage.completion_tokens
        return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def _cards(door: Speaks) -> list[dict[str, Any]]:
    names = [door.model.name, *([door.embedder.name] if door.embedder is not None else [])]
    return [{"id": name, "object": "model", "created": door.started, "owned_by": "mnemon"} for name in names]


def _no_model(name: str, served: list[str]) -> Refusal:
    return Refusal(
        404,
        f"There is no model {name!r} here.",
        hint=f"Served: {', '.join((*OURS, *served))}.",
        code="model_not_found",
        param="model",
    )


def _vector(row: "np.ndarray[Any, Any]", form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(np.asarray(row, dtype="<f4").tobytes()).decode("ascii")
    return [float(number) for number in row]
