"""The desk: turns wait here in a bounded queue and are answered a few at a time, each in a thread of its own.

Fair between persons: the next turn is that of the person who was served least recently. Turns of one
conversation follow one another, so that each reads the one before. Knows no HTTP and no model: a turn is
something that yields events and ends with a reply.

Everything but `Turn.work` runs on the event loop, so nothing here needs a lock.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag
from typing import Any, Generic, Protocol, TypeVar

from mnemon.agent.seams import Usage
from mnemon.agent.server.guard import busy
from mnemon.agent.server.limits import Limits
from mnemon.agent.server.meters import Meters
from mnemon.agent.server.refusals import Refusal

Happening = Mapping[str, Any]  # an event of the assistant's: "recalled", "piece", "written", ...
_NOTHING: Happening = {}


class Told(Protocol):
    """What a turn ends with."""

    @property
    def usage(self) -> Usage: ...


R = TypeVar("R", bound=Told)
R_co = TypeVar("R_co", bound=Told, covariant=True)


class Answering(Protocol[R_co]):
    """One turn as it is gone through. Made in the thread that runs it."""

    def events(self) -> Iterator[Happening]: ...

    def stop(self) -> None: ...

    @property
    def reply(self) -> R_co: ...


class Withdrawn(Refusal):
    """The turn was stopped before it began: nothing was said, and nothing is kept."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "The turn was taken out of the queue before it began.",
            hint="Send it again.",
            code="withdrawn",
            headers={"Retry-After": "10"},
        )


class Turn(Generic[R]):
    """One turn at the desk. Iterate it for events; then `reply` is there."""

    def __init__(self, user: str, thread: str, begin: Callable[[], Answering[R]]) -> None:
        self.user, self.thread = user, thread
        self.reply: R | None = None
        self.first_piece: float | None = None  # seconds from the asking
        self._asked = time.monotonic()
        self._begin = begin
        self._stop = Flag()
        self._answering: Answering[R] | None = None
        self._loop = asyncio.get_running_loop()
        self._happened: asyncio.Queue[Happening | BaseException | None] = asyncio.Queue()
        self.done = asyncio.Event()

    def stop(self) -> None:
        """End the reply where it stands. What was said is kept."""
        self._stop.set()
        if self._answering is not None:
            self._answering.stop()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def work(self) -> None:
        """The whole turn; runs in a thread."""
        if self._stop.is_set():
            raise Withdrawn
        self._answering = answering = self._begin()
        for event in answering.events():
            if self.first_piece is None and event["kind"] == "piece":
                self.first_piece = time.monotonic() - self._asked
            self._loop.call_soon_threadsafe(self._happened.put_nowait, event)
            if self._stop.is_set():  # asked for before the reply had begun to listen
                answering.stop()
        self.reply = answering.reply

    def ended(self, error: BaseException | None) -> None:
        self._happened.put_nowait(error)
        self.done.set()

    async def events(self, *, first: float, then: float) -> AsyncIterator[Happening | None]:
        """What happens; None whenever nothing has happened for `then` seconds (at the beginning, `first`)."""
        silence = first
        while True:
            try:
                async with asyncio.timeout(silence):
                    happened = await self._happened.get()
            except TimeoutError:
                happened, silence = _NOTHING, then
            if happened is None:
                return
            if isinstance(happened, BaseException):
                raise happened
            yield None if happened is _NOTHING else happened


class Desk:
    """Takes turns, and gives each its turn."""

    def __init__(
        self, limits: Limits, meters: Meters, *, quiet: Callable[[str], object] = lambda _: None
    ) -> None:
        self._limits, self._meters = limits, meters
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="mnemon-reply")
        self._waiting: OrderedDict[str, deque[Turn[Any]]] = OrderedDict()  # by person, longest unserved first
        self._running: set[Turn[Any]] = set()
        self._quiet = quiet  # called with a person whose conversation has rested for a while
        self._rest: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        return sum(len(turns) for turns in self._waiting.values())

    @property
    def running(self) -> int:
        return len(self._running)

    def take(self, user: str, thread: str, begin: Callable[[], Answering[R]]) -> Turn[R]:
        """Queue a turn, or refuse it."""
        if self._closed:
            raise Refusal(
                503,
                "The server is being stopped.",
                hint="Try again when it is back.",
                code="stopping",
                headers={"Retry-After": "10", "Connection": "close"},
            )
        own = len(self._waiting.get(user, ()))
        if own >= self._limits.waiting_each or self.waiting >= self._limits.waiting:
            self._meters.refused.labels("busy").inc()
            raise busy(f"{own if own >= self._limits.waiting_each else self.waiting} replies are waiting")
        turn = Turn(user, thread, begin)
        self._waiting.setdefault(user, deque()).append(turn)
        self._next()
        return turn

    def _next(self) -> None:
        """Begin as many turns as there is room for."""
        while len(self._running) < self._limits.at_once:
            turn = self._fairest()
            if turn is None:
                break
            self._take_out(turn)
            self._start(turn)
        self._count()

    def _fairest(self) -> Turn[Any] | None:
        """The next turn of the person who waits longest, unless their conversation is being answered."""
        talking = {(turn.user, turn.thread) for turn in self._running}
        for turns in self._waiting.values():
            for turn in turns:
                if (turn.user, turn.thread) not in talking:
                    return turn
        return None

    def _take_out(self, turn: Turn[Any]) -> None:
        turns = self._waiting[turn.user]
        turns.remove(turn)
        self._waiting.move_to_end(turn.user)
        if not turns:
            del self._waiting[turn.user]

    def _start(self, turn: Turn[Any]) -> None:
        self._running.add(turn)
        loop = asyncio.get_running_loop()
        late = loop.call_later(self._limits.reply_seconds, turn.stop)

        def ended(future: "asyncio.Future[None]") -> None:
            late.cancel()
            self._running.discard(turn)
            error = future.exception()
            self._note(turn, error)
            turn.ended(error)
            self._rested(turn.user)
            self._next()

        loop.run_in_executor(self._pool, turn.work).add_done_callback(ended)

    def leave(self, turn: Turn[Any]) -> None:
        """The one who asked has gone: a turn that waits is taken out, one that runs ends where it stands."""
        turn.stop()
        turns = self._waiting.get(turn.user)
        if turns is not None and turn in turns:
            self._take_out(turn)
            turn.ended(Withdrawn())
            self._count()

    async def hush(self, user: str) -> None:
        """End everything that is being said to a person, and wait until it has ended; nobody tidies up."""
        turns = [turn for turn in self._all() if turn.user == user]
        for turn in turns:
            self.leave(turn)
        for turn in turns:
            await turn.done.wait()
        rest = self._rest.pop(user, None)
        if rest is not None:
            rest.cancel()

    def close_door(self) -> None:
        """Take no more turns; those that were taken are answered."""
        self._closed = True

    def stop_all(self) -> None:
        for turn in self._all():
            self.leave(turn)

    async def close(self) -> None:
        """Wait for every turn that was taken."""
        self.close_door()
        for turn in self._all():
            await turn.done.wait()
        for rest in self._rest.values():
            rest.cancel()
        self._pool.shutdown(wait=True)

    def _all(self) -> list[Turn[Any]]:
        return [*self._running, *(turn for turns in self._waiting.values() for turn in turns)]

    def _rested(self, user: str) -> None:
        before = self._rest.pop(user, None)
        if before is not None:
            before.cancel()
        if not self._closed:
            loop = asyncio.get_running_loop()
            self._rest[user] = loop.call_later(self._limits.quiet_seconds, self._tidy, user)

    def _tidy(self, user: str) -> None:
        del self._rest[user]
        self._quiet(user)

    def _note(self, turn: Turn[Any], error: BaseException | None) -> None:
        self._meters.replies.labels(_how(turn, error)).inc()
        if turn.first_piece is not None:
            self._meters.first_piece.observe(turn.first_piece)
        if turn.reply is not None:
            self._meters.tokens.labels("read").inc(turn.reply.usage.prompt_tokens)
            self._meters.tokens.labels("written").inc(turn.reply.usage.completion_tokens)

    def _count(self) -> None:
        self._meters.writing.set(self.running)
        self._meters.waiting.set(self.waiting)


def _how(turn: Turn[Any], error: BaseException | None) -> str:
    if error is not None:
        return "withdrawn" if isinstance(error, Withdrawn) else "failed"
    return "stopped" if turn.stopped else "whole"
