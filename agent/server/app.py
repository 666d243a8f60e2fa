"""The application: routes, guard, desk and errors put together. Knows no sockets; `running` serves it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

import mnemon
from mnemon.agent.seams import ChatModel
from mnemon.agent.server import chat_api, memory_api, meters, profile_api
from mnemon.agent.server.access import Admin, Gatekeeper
from mnemon.agent.server.desk import Desk
from mnemon.agent.server.guard import LOCAL_NAMES, Guard
from mnemon.agent.server.idle import IdleWork
from mnemon.agent.server.limits import Limits
from mnemon.agent.server.meters import Meters
from mnemon.agent.server.refusals import ErrorBody, answer_errors
from mnemon.agent.server.replying import Assistants
from mnemon.agent.server.tokens import TokenFile
from mnemon.agent.server.wire import Json
from mnemon.errors import StoreError
from mnemon.memory import Diff, Memory
from mnemon.retrievers import Embedder

_log = logging.getLogger("mnemon.server")
PAGE = Path(__file__).parent / "page"  # the web page: static files, no build step


@dataclass(frozen=True, kw_only=True)
class Door:
    """Who may come in. On loopback names are checked instead of tokens; elsewhere tokens are required."""

    tokens: TokenFile
    required: bool = False
    default_user: str = "me"
    hosts: Sequence[str] = ()  # names beside localhost's that are answered
    origins: Sequence[str] = ()  # sites whose pages may use this server


@dataclass(kw_only=True)
class _Served:
    """What the routes reach."""

    model: ChatModel
    assistants: Assistants
    embedder: Embedder | None
    memory: Memory
    desk: Desk
    most_tokens: int
    started: int = field(default_factory=lambda: int(time.time()))


def create_app(
    memory: Memory,
    model: ChatModel,
    *,
    door: Door,
    embedder: Embedder | None = None,
    limits: Limits | None = None,
    page: Path = PAGE,
    worker: int | None = None,
) -> FastAPI:
    """An ASGI application over one memory and one model. It ends every reply before it ends; closing the
    memory is its caller's. `worker`: which of several it is; `/health` says so."""
    limits = limits or Limits()
    measured = Meters()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with IdleWork(memory, lambda: desk.running > 0) as idle:
            yield
            idle.stop()
            await desk.close()

    app = FastAPI(
        title="mnemon",
        version=mnemon.__version__,
        summary="A personal assistant that remembers you, on your own machine.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    desk = Desk(limits, measured, quiet=lambda user: _tidy(memory, user))
    memory.also_erase(door.tokens.forget)
    app.state.memory, app.state.desk, app.state.meters = memory, desk, measured
    app.state.hush = desk.hush  # where several workers serve, theirs together
    app.state.gatekeeper = Gatekeeper(door.tokens, required=door.required, default_user=door.default_user)
    app.state.door = _Served(
        model=model,
        assistants=Assistants(model),
        embedder=embedder,
        memory=memory,
        desk=desk,
        most_tokens=limits.reply_tokens,
    )
    app.include_router(chat_api.router)
    app.include_router(memory_api.router)
    app.include_router(profile_api.router)
    _add_watching(app, worker)
    answer_errors(app)
    names = None if door.required else frozenset({*LOCAL_NAMES, *(host.lower() for host in door.hosts)})
    app.add_middleware(Guard, limits=limits, meters=measured, hosts=names, origins=door.origins)
    if page.is_dir():
        app.mount("/", StaticFiles(directory=page, html=True), name="page")
    return app


def _tidy(memory: Memory, user: str) -> None:
    """See to it that what was said is consolidated. What fails is tried again after the next turn."""

    def done(future: "Future[Diff | None] | asyncio.Future[None]") -> None:
        error = future.exception()
        if error is not None:
            _log.error("a memory could not be tidied up", exc_info=error)

    if memory.chores is None:
        memory.consolidate_soon(user).add_done_callback(done)
    else:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, memory.chores.ask_after_talking, user).add_done_callback(done)


def _add_watching(app: FastAPI, worker: int | None) -> None:
    which = {} if worker is None else {"worker": str(worker)}

    @app.get("/health", tags=["About"], response_model=dict[str, str])
    async def health() -> Response:
        """Whether the server answers. Needs no token, and says nothing of anybody."""
        return Json({"status": "ok", "version": mnemon.__version__, **which})

    @app.get(
        "/metrics",
        tags=["About"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, "default": {"model": ErrorBody}},
    )
    async def metrics(_: Admin, request: Request) -> Response:
        """Counts and times for Prometheus. For admins."""
        state = request.app.state
        jobs = await run_in_threadpool(_jobs, state.memory)
        return Response(state.meters.page(jobs=jobs), media_type=meters.CONTENT_TYPE)


def _jobs(memory: Memory) -> tuple[int, int] | None:
    """How many jobs wait and were left; None where there are none, or where the database is away."""
    with contextlib.suppress(StoreError):
        return None if memory.chores is None else memory.chores.jobs.counts()
    return None
