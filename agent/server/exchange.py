"""What the workers of one server say to each other, through their parent: whom they are to be silent to.

A person who is erased at one worker may be answered by another at that moment; what that one wrote down
afterwards would be theirs again. So nobody is erased before every worker has ended what it says to them.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from fastapi import FastAPI

Ticket = tuple[int, int]  # the worker that asks, and its number for it


class Hush(NamedTuple):
    ticket: Ticket
    user: str


class Hushed(NamedTuple):
    """From a worker: it is silent. To the one that asked: all the others are."""

    ticket: Ticket


class Exchange:
    """The parent's side: passes on what one worker asks of the others, and says when all have done it."""

    def __init__(self) -> None:
        self._lines: dict[int, Connection] = {}
        self._awaited: dict[Ticket, set[int]] = {}

    def join(self, number: int, line: Connection) -> None:
        self._lines[number] = line

    def leave(self, number: int) -> None:
        """A worker that has died says nothing to anybody."""
        self._lines.pop(number, None)
        for ticket in list(self._awaited):
            self._has(ticket, number)

    def take(self, number: int, said: Hush | Hushed) -> None:
        if isinstance(said, Hushed):
            self._has(said.ticket, number)
            return
        others = self._lines.keys() - {number}
        self._awaited[said.ticket] = set(others)
        for other in others:
            self._send(other, said)
        self._settle(said.ticket)

    def _has(self, ticket: Ticket, number: int) -> None:
        if ticket in self._awaited:
            self._awaited[ticket].discard(number)
            self._settle(ticket)

    def _settle(self, ticket: Ticket) -> None:
        if not self._awaited[ticket]:
            del self._awaited[ticket]
            self._send(ticket[0], Hushed(ticket))

    def _send(self, number: int, said: Hush | Hushed) -> None:
        line = self._lines.get(number)
        if line is not None:
            with suppress(OSError):  # it has just died
                line.send(said)


class Extension:
    """A worker's side. `hush` takes the place of the application's own."""

    def __init__(self, number: int, line: Connection, app: FastAPI) -> None:
        self._number, self._line = number, line
        self._own: Callable[[str], Coroutine[Any, Any, None]] = app.state.hush
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: dict[Ticket, asyncio.Future[None]] = {}
        self._tickets = count()
        self._sending = threading.Lock()
        app.state.hush = self.hush

    def answers(self) -> None:
        """The application is served, on the loop that this is called on."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, name="mnemon-exchange", daemon=True).start()
        self._say(None)

    async def hush(self, user: str) -> None:
        """End everything that any worker is saying to a person, and wait until it has ended."""
        assert self._loop is not None
        ticket = (self._number, next(self._tickets))
        done = self._asked[ticket] = self._loop.create_future()
        self._say(Hush(ticket, user))
        await self._own(user)
        await done

    def _listen(self) -> None:
        assert self._loop is not None
        # At the end of the parent, or of this worker's own serving, there is nobody left to listen to.
        with suppress(EOFError, OSError, RuntimeError):
            while True:
                said = self._line.recv()
                if isinstance(said, Hushed):
                    self._loop.call_soon_threadsafe(self._settle, said.ticket)
                else:
                    asyncio.run_coroutine_threadsafe(self._obey(said), self._loop)
        with suppress(RuntimeError):
            for ticket in list(self._asked):
                self._loop.call_soon_threadsafe(self._settle, ticket)

    async def _obey(self, asked: Hush) -> None:
        await self._own(asked.user)
        self._say(Hushed(asked.ticket))

    def _settle(self, ticket: Ticket) -> None:
        done = self._asked.pop(ticket, None)
        if done is not None and not done.done():
            done.set_result(None)

    def _say(self, said: Hush | Hushed | None) -> None:
        with self._sending, suppress(OSError):  # the parent was killed; this worker is about to stop
            self._line.send(said)
