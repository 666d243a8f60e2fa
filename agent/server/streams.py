"""A reply as server-sent events, whatever shape its events have.

Knows the desk and a connection. A client that goes away ends its reply; a turn that fails at once is still
answered with a status of its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mnemon.agent.server.desk import Desk, Happening, R, Told, Turn
from mnemon.agent.server.refusals import body_of
from mnemon.agent.server.wire import written

PATIENCE = 5.0  # seconds for which the headers of a stream wait, so that an error can still have its status
PULSE = 15.0  # seconds of silence after which a comment keeps the connection alive

R_contra = TypeVar("R_contra", bound=Told, contravariant=True)

_log = logging.getLogger("mnemon.server")


class Form(Protocol[R_contra]):
    """The shapes of one reply's events."""

    def chunk(self, delta: Mapping[str, str]) -> dict[str, Any]: ...

    def event(self, happened: Happening) -> dict[str, Any] | None: ...  # None: it is nobody's business

    def end(self, reply: R_contra) -> dict[str, Any]: ...

    def count(self, reply: R_contra) -> dict[str, Any]: ...


class EventStream(Response, Generic[R]):
    """A reply as server-sent events. Its headers wait for the first piece, so that a turn that fails at once
    still answers with its own status; a comment every so often keeps the connection from being given up."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, turn: Turn[R], form: Form[R], desk: Desk, *, usage: bool) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._turn, self._form, self._desk, self._usage = turn, form, desk, usage

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async with until_gone(receive, self._turn, self._desk):
            happenings = self._turn.events(first=PATIENCE, then=PULSE)
            opening = await _until_it_speaks(happenings)  # a failed turn raises, and is answered as such
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send, self._form.chunk({"role": "assistant", "content": ""}))
            try:
                for happened in opening:
                    await self._pass_on(send, happened)
                async for happened in happenings:
                    await self._pass_on(send, happened)
                await self._finish(send)
            except Exception as error:  # noqa: BLE001  too late for a status: the stream itself must say it
                _log.error("a reply failed after it had begun", exc_info=error)
                await self._send(send, body_of(error)[1])
            finally:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass_on(self, send: Send, happened: Happening | None) -> None:
        if happened is None:
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
            return
        chunk = self._form.event(happened)
        if chunk is not None:
            await self._send(send, chunk)

    async def _finish(self, send: Send) -> None:
        reply = self._turn.reply
        assert reply is not None, "a turn that ended without an error has a reply"
        await self._send(send, self._form.end(reply))
        if self._usage:
            await self._send(send, self._form.count(reply))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})

    async def _send(self, send: Send, chunk: Mapping[str, Any]) -> None:
        body = b"data: " + written(chunk) + b"\n\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _until_it_speaks(happenings: AsyncIterator[Happening | None]) -> list[Happening | None]:
    """What happens up to the first piece, or until it takes long."""
    opening: list[Happening | None] = []
    async for happened in happenings:
        opening.append(happened)
        if happened is None or happened["kind"] == "piece":
            break
    return opening


@asynccontextmanager
async def until_gone(receive: Receive, turn: Turn[R], desk: Desk) -> AsyncIterator[None]:
    """While a reply is sent, listen for the client's going away; then, or when sending fails, it ends."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        desk.leave(turn)

    ear = asyncio.create_task(listen())
    try:
        yield
    finally:
        ear.cancel()
        if not turn.done.is_set():
            desk.leave(turn)
