"""Embedding that is put off: what a person's index asks of a worker, and how a worker computes for a while.

Knows jobs and embedders by what they do.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mnemon.retrievers import Embedder, Vectors

if TYPE_CHECKING:
    from mnemon.memory.postgres_jobs import PostgresJobs

SLICE_SECONDS = 20.0  # for one person; what is left is asked for again, behind the others' jobs

LATER = "what came in last is found by words until it is embedded"  # in every hit's `why` meanwhile

Until = Callable[[], bool]


class Embedding:
    """The job that embeds what one person's index lacks."""

    def __init__(self, jobs: "PostgresJobs", user: str, task: str) -> None:
        self._jobs, self._user, self._task = jobs, user, task

    def ask(self) -> None:
        if not self.waits():
            self._jobs.ask(self._user, self._task)

    def waits(self) -> bool:
        return self._jobs.waits(self._user, self._task)


class TimeIsUp(Exception):  # noqa: N818  it is no error
    """What was embedded until now is kept."""


class Sliced:
    """An embedder that computes for a while, once at least, and then stops by `TimeIsUp`."""

    def __init__(self, embedder: Embedder, until: Until) -> None:
        self._embedder, self._until = embedder, until
        self._end = time.monotonic() + SLICE_SECONDS
        self._begun = False

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        if self._begun and (time.monotonic() > self._end or self._until()):
            raise TimeIsUp
        self._begun = True
        return self._embedder.embed_texts(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_queries(texts)
