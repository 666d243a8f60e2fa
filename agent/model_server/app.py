"""The model server's application: OpenAI's routes over one steered model. Knows no person and no memory.

The queue, the guard, the errors and the stream are the assistant's server's.
"""

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.security import HTTPBearer
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

import mnemon
from mnemon.agent.decoding.rows import TrunkRowModel
from mnemon.agent.decoding.together import Together
from mnemon.agent.local import LocalChatModel
from mnemon.agent.model_server.answering import CompletionForm, Weighing, Writing
from mnemon.agent.model_server.asked import LikelihoodsWanted, Wanted
from mnemon.agent.model_server.client import KIND
from mnemon.agent.model_server.keys import is_key
from mnemon.agent.server import meters
from mnemon.agent.server.desk import Answering, Desk, Told, Turn
from mnemon.agent.server.guard import LOCAL_NAMES, Guard
from mnemon.agent.server.limits import Limits
from mnemon.agent.server.meters import Meters
from mnemon.agent.server.refusals import ErrorBody, Refusal, answer_errors
from mnemon.agent.server.streams import PULSE, EventStream, until_gone
from mnemon.agent.server.wire import Json

R = TypeVar("R", bound=Told)

OURS = ("default", "mnemon")  # names that always mean the model that is served
# What a tokenizer and its chat template are read from. Whoever asks counts tokens by them, on their side.
CODEC_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "config.json",
)


@dataclass(frozen=True, kw_only=True)
class _Served:
    """What the routes reach."""

    model: LocalChatModel
    desk: Desk
    key: str | None
    codec: Mapping[str, str]
    started: int = field(default_factory=lambda: int(time.time()))

    @property
    def card(self) -> dict[str, Any]:
        """The model as OpenAI lists it, and what who asks it wants to know beyond that."""
        ours = {
            "kind": KIND,
            "version": mnemon.__version__,
            "engine": self.model.engine,
            "context_length": self.model.context_length,
            "parameters": self.model.parameters,
            "abilities": sorted(self.model.abilities),
        }
        head = {"id": self.model.name, "object": "model", "created": self.started, "owned_by": "mnemon"}
        return {**head, "mnemon": ours}

    def check_name(self, name: str) -> None:
        if name not in (*OURS, self.model.name):
            raise Refusal(
                404,
                f"There is no model {name!r} here.",
                hint=f"Served: {self.model.name}; {OURS[0]!r} always means it.",
                code="model_not_found",
                param="model",
            )

    def take(self, user: str, begin: Callable[[], Answering[R]]) -> Turn[R]:
        """A place in the queue. Whoever balances several servers goes to another one on a 503."""
        try:
            return self.desk.take(user, secrets.token_hex(8), begin)
        except Refusal as full:
            if full.status_code != 429:
                raise
            raise Refusal(503, str(full.detail), hint=full.hint, code="busy", headers=full.headers) from None


def create_model_app(
    model: LocalChatModel, *, key: str | None = None, limits: Limits | None = None
) -> FastAPI:
    """An ASGI application that speaks for a model. With a key, everything but `/health` wants it; without
    one only loopback's names are answered."""
    limits = limits or Limits(at_once=32, waiting_each=256)
    measured = Meters()
    joined = model.together()
    desk = Desk(limits, measured)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.close()

    app = FastAPI(
        title="mnemon model-server",
        version=mnemon.__version__,
        summary="A steered model, for those who ask it.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.desk, app.state.meters = desk, measured
    app.state.served = _Served(model=joined, desk=desk, key=key, codec=_texts(model.codec.file.parent))
    if isinstance(joined.rows, TrunkRowModel) and isinstance(joined.rows.trunk, Together):
        measured.registry.register(Company(joined.rows.trunk))
    app.include_router(_router)
    _add_health(app)
    answer_errors(app)
    hosts = frozenset(LOCAL_NAMES) if key is None else None
    app.add_middleware(Guard, limits=limits, meters=measured, hosts=hosts)
    return app


def _texts(folder: Path) -> dict[str, str]:
    found = [folder / name for name in CODEC_FILES if (folder / name).is_file()]
    return {file.name: file.read_text(encoding="utf-8") for file in found}


def _served(request: Request) -> _Served:
    served: _Served = request.app.state.served
    return served


_bearer = HTTPBearer(auto_error=False, description="The shared key; on loopback there may be none.")


async def _keyed(request: Request, given: Annotated[Any, Depends(_bearer)]) -> None:
    key = _served(request).key
    if key is not None and (given is None or not is_key(given.credentials, key)):
        raise Refusal(
            401,
            "This model server wants its key."
            if given is None
            else "This is not the key of this model server.",
            hint="Both sides read it from MNEMON_MODEL_KEY, or from a file.",
            code="key_required" if given is None else "wrong_key",
            headers={"WWW-Authenticate": "Bearer"},
        )


_router = APIRouter(dependencies=[Depends(_keyed)], responses={"default": {"model": ErrorBody}})


@_router.get("/v1/models", summary="The model that is served")
async def models(request: Request) -> Response:
    return Json({"object": "list", "data": [_served(request).card]})


@_router.get("/v1/models/{name:path}", summary="The same, by its name")
async def model(name: str, request: Request) -> Response:
    served = _served(request)
    served.check_name(name)
    return Json(served.card)


@_router.post("/v1/chat/completions", summary="A reply, streamed or whole, steered where `mnemon` says how")
async def chat(wanted: Wanted, request: Request) -> Response:
    served = _served(request)
    served.check_name(wanted.model)
    led = wanted.mnemon
    steering = None if led is None else led.made(served.model, wanted.question())
    messages, options = wanted.said(), wanted.options()
    turn = served.take(wanted.user, lambda: Writing(served.model, messages, steering, options))
    form = CompletionForm(model=served.model.name, ours=led is not None, trace=led is not None and led.trace)
    if wanted.stream:
        usage = wanted.stream_options is not None and wanted.stream_options.include_usage
        return EventStream(turn, form, served.desk, usage=usage)
    async with until_gone(request.receive, turn, served.desk):
        async for _ in turn.events(first=PULSE, then=PULSE):
            pass
    assert turn.reply is not None, "a turn that ended without an error has a reply"
    return Json(form.whole(turn.reply))


@_router.post("/v1/mnemon/likelihoods", summary="log p of continuations as the reply, in nats")
async def likelihoods(wanted: LikelihoodsWanted, request: Request) -> Response:
    served = _served(request)
    served.check_name(wanted.model)
    messages, continuations = wanted.said(), tuple(wanted.continuations)
    turn = served.take("", lambda: Weighing(served.model, messages, continuations))
    async with until_gone(request.receive, turn, served.desk):
        happened = [one async for one in turn.events(first=PULSE, then=PULSE) if one is not None]
    return Json({"likelihoods": happened[0]["values"]})


@_router.get("/v1/mnemon/codec", summary="What the model's tokens and chat template are read from")
async def codec(request: Request) -> Response:
    return Json({"files": _served(request).codec})


@_router.get("/metrics", summary="Counts and times for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.meters.page(), media_type=meters.CONTENT_TYPE)


def _add_health(app: FastAPI) -> None:
    @app.get("/health", response_model=dict[str, str], summary="Whether it answers; needs no key")
    async def health() -> Response:
        return Json({"status": "ok", "kind": KIND, "version": mnemon.__version__})


class Company(Collector):
    """How many rows the forwards had in common: their ratio is what batching saves."""

    def __init__(self, trunk: Together) -> None:
        self._trunk = trunk

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "mnemon_forwards", "Steps of the network after the prompts.", value=self._trunk.forwards
        )
        yield CounterMetricFamily("mnemon_rows", "Rows in those steps.", value=self._trunk.rows)
