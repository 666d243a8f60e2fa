"""Serving an application with uvicorn: sockets, slow clients, signals, a stop that loses nothing.

One process; `workers` starts several behind one socket."""

import asyncio
import logging
import signal
import socket
import threading
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mnemon.agent.server.desk import Desk
from mnemon.agent.server.limits import Limits
from mnemon.errors import UsageError

_log = logging.getLogger("mnemon.server")


def serve(
    app: FastAPI,
    *,
    host: str,
    port: int,
    limits: Limits | None = None,
    ready: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve until a signal comes. Then no more is taken on, what is being said is said to its end (for
    `grace_seconds`, then it ends where it stands and is kept), and only then this returns. `ready` is called
    with the address once requests are answered; port 0 is any that is free."""
    with closing(listen(host, port)) as listening:
        Server(app, limits or Limits(), lambda: ready(address_of(host, listening))).run(sockets=[listening])


@contextmanager
def serving(
    app: FastAPI, *, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None
) -> Iterator[str]:
    """Serve from a thread inside a `with`, and give the address. Leaving it stops as `serve` does."""
    with closing(listen(host, port)) as listening:
        started = threading.Event()
        server = Server(app, limits or Limits(), started.set)

        def run() -> None:
            try:
                server.run(sockets=[listening])
            finally:
                started.set()  # also when it could not start: nobody waits for ever

        thread = threading.Thread(target=run, name="mnemon-serving")
        thread.start()
        started.wait()
        try:
            yield address_of(host, listening)
        finally:
            server.should_exit = True
            thread.join()


def address_of(host: str, listening: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def listen(host: str, port: int) -> socket.socket:
    listening: socket.socket | None = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as e:
        if listening is not None:
            listening.close()
        raise UsageError(
            f"The address {host}:{port} cannot be listened on: {e.strerror or e}.",
            hint="Choose another: mnemon serve --port 8001",
        ) from e
    listening.listen(2048)
    return listening


class Server(uvicorn.Server):
    """uvicorn's, with a stop in our order: the door is closed first, and slow replies are ended before
    anything is cut off. A second signal ends the replies at once; they are kept as far as they came."""

    def __init__(
        self,
        app: FastAPI,
        limits: Limits,
        ready: Callable[[], object],
        *,
        signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", _protocol(limits.header_seconds)),
                ws="none",
                lifespan="on",
                log_level="warning",
                access_log=False,  # the addresses of requests hold what people ask for
                server_header=False,
                timeout_keep_alive=30,
                proxy_headers=False,
            )
        )
        self._desk: Desk = app.state.desk
        self._limits, self._ready, self._signals = limits, ready, signals
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a signal is not raised again in the end: the memory is closed after this."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in self._signals}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        if self.should_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._desk.stop_all)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._desk.close_door()
        left = self._desk.running + self._desk.waiting
        if left:
            _log.warning("stopping: %d replies are being finished", left)
        late = asyncio.get_running_loop().call_later(self._limits.grace_seconds, self._desk.stop_all)
        try:
            await super().shutdown(sockets=sockets)
        finally:
            late.cancel()


def _protocol(seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, which gives up on a client that does not get its headers out. Without this, a
    client that sends a byte a minute holds a connection for ever (slow loris)."""

    class Patient(H11Protocol):
        _late: TimerHandle | None = None

        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_headers()

        def data_received(self, data: bytes) -> None:
            if not self._in_request and self._late is None:
                self._await_headers()
            super().data_received(data)
            if self._in_request:
                self._headers_came()

        def connection_lost(self, exc: Exception | None) -> None:
            self._headers_came()
            super().connection_lost(exc)

        @property
        def _in_request(self) -> bool:
            cycle: Any = self.cycle
            return cycle is not None and not cycle.response_complete

        def _await_headers(self) -> None:
            self._late = self.loop.call_later(seconds, self._give_up)

        def _headers_came(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _give_up(self) -> None:
            self._late = None
            if not self._in_request and not self.transport.is_closing():
                self.transport.close()

    return Patient
