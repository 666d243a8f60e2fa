"""Jobs of the database, done between replies: a thread of the server's own that steps back when somebody is
answered. Knows neither what the jobs are nor how they are done."""

import logging
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from mnemon.errors import MnemonError
from mnemon.memory import Memory

LOOK_SECONDS = 1.0  # between two looks at the jobs
PATIENCE_SECONDS = 30.0  # then one job is done although replies are being written

_log = logging.getLogger("mnemon.server")


class IdleWork:
    """Inside a `with`, for a memory that keeps jobs; for any other it does nothing."""

    def __init__(self, memory: Memory, busy: Callable[[], bool]) -> None:
        self._chores, self._busy = memory.chores, busy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mnemon-idle")

    def __enter__(self) -> Self:
        if self._chores is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._chores is not None:
            self._thread.join()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()

    def _run(self) -> None:
        assert self._chores is not None
        rested = time.monotonic()
        # Not all workers in the same moment.
        while not self._stop.wait(LOOK_SECONDS * random.uniform(0.5, 1.5)):
            busy = self._busy()
            if busy and time.monotonic() - rested < PATIENCE_SECONDS:
                continue
            try:
                self._chores.do(
                    most=1 if busy else None, until=self._stop.is_set if busy else self._steps_back
                )
            except MnemonError as error:  # the database is away; it is asked again
                _log.error("the jobs cannot be read: %s", error.message)
            rested = time.monotonic()

    def _steps_back(self) -> bool:
        return self._stop.is_set() or self._busy()
