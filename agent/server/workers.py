"""Many processes behind one address: this one listens, starts the workers, and looks after them.

A worker that dies is started again, later each time when it dies young. What a worker serves it makes itself,
by a function that pickle can carry (a module's, or a `partial` of one). Knows no memory and no model.
"""

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType

from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead

from mnemon.agent.server.exchange import Exchange, Extension, Hush, Hushed
from mnemon.agent.server.limits import Limits
from mnemon.agent.server.meters import SHARED_FOLDER
from mnemon.agent.server.running import Server, address_of, listen
from mnemon.errors import MnemonError

YOUNG_SECONDS = 10.0  # one that dies younger is started again later than the one before it
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
CLOSING_SECONDS = 20.0  # beyond the grace, for what is done in the background; then a worker is killed
LOOK_SECONDS = 0.05

MakeApp = Callable[[int], AbstractContextManager[FastAPI]]  # from the worker's number; open while it serves


def serve_many(
    make: MakeApp,
    *,
    workers: int,
    host: str,
    port: int,
    limits: Limits | None = None,
    ready: Callable[[str], object] = lambda _: None,
    tell: Callable[[str], object] = lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201
) -> bool:
    """Serve with so many processes until a signal comes, then stop as `serve` does: each worker says to the
    end what it is saying. `ready` is called once, when all of them answer; an error that keeps one from
    answering at first is raised. `tell` is told of those that die. Gives whether all of them ended by
    themselves."""
    with (
        closing(listen(host, port)) as listening,
        tempfile.TemporaryDirectory(prefix="mnemon-meters-") as folder,
    ):
        crew = _Crew(make, workers, listening, limits or Limits(), folder, tell)
        with crew.heeding_signals():
            return crew.run(lambda: ready(address_of(host, listening)))


class Mortality:
    """How many processes have died young in one place, one after another, and how long to wait for the
    next."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._young = 0

    def born(self) -> None:
        self._began = time.monotonic()

    def died(self) -> float:
        """Seconds until another is started."""
        self._young = self._young + 1 if time.monotonic() - self._began < YOUNG_SECONDS else 0
        return min(LONGEST_WAIT, FIRST_WAIT * 2 ** (self._young - 1)) if self._young else 0.0


@dataclass
class _Place:
    """One worker's place, and the process in it."""

    number: int
    process: SpawnProcess | None = None
    line: Connection | None = None
    answers: bool = False
    error: MnemonError | None = None  # why it cannot, if it has said so
    mortality: Mortality = field(default_factory=Mortality)
    again_at: float = 0.0

    def heard(self) -> Iterator[MnemonError | Hush | Hushed | None]:
        """What the worker has said: None that it answers, an error that it cannot."""
        try:
            while self.line is not None and self.line.poll():
                yield self.line.recv()
        except (EOFError, OSError):
            self.hang_up()

    def hang_up(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None


class _Crew:
    """The workers of one server, from the first start to the last end."""

    def __init__(
        self,
        make: MakeApp,
        workers: int,
        listening: socket.socket,
        limits: Limits,
        folder: str,
        tell: Callable[[str], object],
    ) -> None:
        self._make, self._listening, self._limits = make, listening, limits
        self._folder, self._tell = folder, tell
        self._places = [_Place(number) for number in range(1, workers + 1)]
        self._exchange = Exchange()
        self._signals = 0

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        def heed(_: int, __: FrameType | None) -> None:
            self._signals += 1

        before = {one: signal.signal(one, heed) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def run(self, ready: Callable[[], object]) -> bool:
        try:
            for place in self._places:
                self._start(place)
            self._until_all_answer()
            if not self._signals:
                ready()
            while not self._signals:
                time.sleep(LOOK_SECONDS)
                for place in self._places:
                    self._look_after(place)
        finally:
            ended = self._stop()
        return ended

    def _until_all_answer(self) -> None:
        while not self._signals and not all(place.answers for place in self._places):
            time.sleep(LOOK_SECONDS)
            for place in self._places:
                assert place.process is not None
                alive = place.process.is_alive()  # asked first: what it has said by then is heard
                self._hear(place)
                if place.error is not None:
                    raise place.error
                if not alive and not place.answers:
                    ended = how_it_ended(place.process.exitcode)
                    raise MnemonError(f"Worker {place.number} {ended} before it could answer.")

    def _hear(self, place: _Place) -> None:
        """Take in what a worker has said."""
        for said in place.heard():
            match said:
                case MnemonError():
                    place.error = said
                case None:
                    assert place.line is not None
                    place.answers = True
                    self._exchange.join(place.number, place.line)
                case _:
                    self._exchange.take(place.number, said)

    def _start(self, place: _Place) -> None:
        context = get_context("spawn")  # a fork would carry along locks that threads hold
        place.line, line = context.Pipe()
        place.process = context.Process(
            target=_work,
            args=(self._make, place.number, self._listening, self._limits, line),
            name=f"mnemon-worker-{place.number}",
            daemon=True,
        )
        place.answers, place.error = False, None
        place.mortality.born()
        with _environment(self._environment()):
            place.process.start()
        line.close()

    def _environment(self) -> dict[str, str]:
        # Workers that each take every core stand in one another's way.
        threads = max(1, (os.cpu_count() or 1) // len(self._places))
        chosen = os.environ.get("OMP_NUM_THREADS", str(threads))
        return {SHARED_FOLDER: self._folder, "OMP_NUM_THREADS": chosen}

    def _look_after(self, place: _Place) -> None:
        if place.process is None:
            if time.monotonic() >= place.again_at:
                self._start(place)
            return
        alive = place.process.is_alive()
        self._hear(place)
        if alive:
            return
        wait = place.mortality.died()
        why = "" if place.error is None else f" {place.error.message}"
        when = f"in {wait:g} s" if wait else "now"
        self._tell(
            f"Worker {place.number} (process {place.process.pid}) {how_it_ended(place.process.exitcode)}."
            f"{why} Another is started {when}."
        )
        self._bury(place)
        place.again_at = time.monotonic() + wait

    def _bury(self, place: _Place) -> None:
        assert place.process is not None
        self._exchange.leave(place.number)
        mark_process_dead(place.process.pid, path=self._folder)  # type: ignore[no-untyped-call]
        place.process.join()
        place.process.close()
        place.hang_up()
        place.process = None

    def _stop(self) -> bool:
        """End the workers, each as it would end alone. A second signal is passed on, too."""
        self._listening.close()
        passed_on, by_themselves = 0, True
        latest = time.monotonic() + self._limits.grace_seconds + CLOSING_SECONDS
        while left := [place for place in self._places if place.process is not None]:
            for place in left:
                assert place.process is not None
                self._hear(place)
                if not place.process.is_alive():
                    self._bury(place)
                elif passed_on < max(1, self._signals):
                    place.process.terminate()
                elif time.monotonic() > latest:
                    self._tell(f"Worker {place.number} did not end and was killed; what it said is kept.")
                    place.process.kill()
                    by_themselves = False
            passed_on = max(1, self._signals)
            time.sleep(LOOK_SECONDS)
        return by_themselves


def _work(make: MakeApp, number: int, listening: socket.socket, limits: Limits, line: Connection) -> None:
    """A worker's whole life."""
    # Ctrl-C on a terminal reaches every process; the parent alone heeds it, and passes it on as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="mnemon-parent", daemon=True).start()
    try:
        with make(number) as app:
            extension = Extension(number, line, app)
            server = Server(app, limits, extension.answers, signals=(signal.SIGTERM,))
            server.run(sockets=[listening])
    except MnemonError as error:
        line.send(error)
        raise SystemExit(error.exit_code) from None


def _end_with_parent() -> None:
    """A parent that is killed can tell nobody: its workers notice, and stop in order."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with {code}"


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """What a process that is started meanwhile finds in its environment, before it imports anything."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
