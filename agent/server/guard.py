"""What every request passes before a route sees it: whose page sent it, how large, how slow, how many.

Knows no person and no token. Written as plain ASGI, because a stream must pass through untouched.

Two doors are kept shut. A web site that somebody visits can send requests to servers on their machine: its
`Origin` gives it away. And it can point a name of its own at 127.0.0.1 (DNS rebinding), so that the browser
takes us for that site: the name then stands in `Host`, where only ours are answered.
"""

import asyncio
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemon.agent.server.limits import Limits
from mnemon.agent.server.meters import Meters
from mnemon.agent.server.refusals import Refusal, body_of
from mnemon.agent.server.wire import Json

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
IMPORT = "/api/import"
MEMORY = "/api/"
_SAFE_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
}
_CORS: Mapping[str, str] = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


class Guard:
    """`hosts` None: any name is answered, because a token is asked for. `origins` are other sites whose pages
    may use this server from a browser; none unless they are named."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        meters: Meters,
        hosts: frozenset[str] | None,
        origins: Sequence[str] = (),
    ) -> None:
        self._app, self._limits, self._meters = app, limits, meters
        self._hosts, self._origins = hosts, frozenset(origins)
        self._in_progress = 0
        self._late: set[asyncio.Future[None]] = set()  # held, or they could vanish half done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        foreign = origin is not None and not _same(origin, headers.get("host", ""))
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(message, origin if foreign else None)
            await send(message)

        self._in_progress += 1
        try:
            refusal = self._refusal(scope, headers, origin if foreign else None)
            if refusal is not None:
                _, body = body_of(refusal)
                answer = Json(body, status=refusal.status_code, headers=refusal.headers)
                await answer(scope, receive, sending)
            elif foreign and scope["method"] == "OPTIONS":
                await Json({}, headers=_CORS)(scope, receive, sending)
            elif scope["path"].startswith(MEMORY) and scope["path"] != IMPORT:
                await self._in_time(scope, self._bounded(scope, receive), sending)
            else:
                await self._app(scope, self._bounded(scope, receive), sending)
        finally:
            self._in_progress -= 1
            route = getattr(scope.get("route"), "path", "other")
            self._meters.requests.labels(scope["method"], route, str(status)).inc()
            self._meters.seconds.labels(route).observe(time.monotonic() - began)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An answer within the time that memory is given. What takes longer goes on in its thread, which
        nobody can end; its answer is dropped."""
        began = late = False

        async def sending(message: Message) -> None:
            nonlocal began
            if not late:
                began = True
                await send(message)

        answering = asyncio.ensure_future(self._app(scope, receive, sending))
        try:
            await asyncio.wait({answering}, timeout=self._limits.memory_seconds)
        except asyncio.CancelledError:
            answering.cancel()
            raise
        if answering.done() or began:
            await answering
            return
        late = True
        answering.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._late.add(answering)
        answering.add_done_callback(self._late.discard)
        refusal = self._told(took_too_long(self._limits.memory_seconds))
        await Json(body_of(refusal)[1], status=refusal.status_code)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers, foreign: str | None) -> Refusal | None:
        """Why this request goes no further, if it does not."""
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return self._told(
                Refusal(
                    403,
                    f"This server does not answer to the name {host!r}.",
                    hint="If the name is yours: mnemon serve --allow-host NAME",
                    code="wrong_host",
                )
            )
        if foreign is not None and foreign not in self._origins:
            return self._told(
                Refusal(
                    403,
                    f"Pages of {foreign!r} may not use this server.",
                    hint="If the site is yours: mnemon serve --allow-origin URL",
                    code="wrong_origin",
                )
            )
        if self._in_progress > self._limits.requests:
            return self._told(busy("too many requests are in progress"))
        size = headers.get("content-length", "0")
        if size.isdecimal() and int(size) > self._most(scope):
            return self._told(too_large(self._most(scope)))
        return None

    def _told(self, refusal: Refusal) -> Refusal:
        self._meters.refused.labels(refusal.code or str(refusal.status_code)).inc()
        return refusal

    def _most(self, scope: Scope) -> int:
        return self._limits.import_bytes if scope["path"] == IMPORT else self._limits.body_bytes

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """The body, no larger and no slower than allowed. What comes after it is the client's going away."""
        most, got, whole = self._most(scope), 0, False
        seconds = self._limits.import_seconds if scope["path"] == IMPORT else self._limits.body_seconds
        end = asyncio.get_running_loop().time() + seconds

        async def bounded() -> MutableMapping[str, Any]:
            nonlocal got, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise self._told(
                    Refusal(
                        408,
                        f"The body did not arrive within {seconds:g} s.",
                        headers={"Connection": "close"},
                        code="too_slow",
                    )
                ) from None
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if got > most:
                raise self._told(too_large(most))
            return message

        return bounded

    def _dress(self, message: Message, foreign: str | None) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _SAFE_HEADERS.items():
            headers.setdefault(name, value)
        if foreign in self._origins:
            headers["Access-Control-Allow-Origin"] = str(foreign)
            headers["Vary"] = "Origin"


def busy(why: str, *, seconds: int = 2) -> Refusal:
    return Refusal(
        429,
        f"The server is busy: {why}.",
        hint=f"Try again in {seconds} seconds.",
        code="busy",
        headers={"Retry-After": str(seconds)},
    )


def took_too_long(seconds: float) -> Refusal:
    return Refusal(
        504,
        f"This has taken longer than {seconds:g} s. What it was to write may still be written.",
        hint="Look whether it was, before sending it again.",
        code="took_too_long",
    )


def too_large(most: int) -> Refusal:
    return Refusal(
        413,
        f"The body is larger than {most} bytes.",
        hint="Send it in parts.",
        code="too_large",
        headers={"Connection": "close"},
    )


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def _same(origin: str, host: str) -> bool:
    """Whether a page that was served under this Host sends the request. "null" is nobody's."""
    return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
