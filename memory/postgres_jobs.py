"""Work that is asked for now and done later, by whichever worker comes to it: a table of jobs in Postgres.

A job is held by the transaction that takes it: nobody else can take it meanwhile, and nobody is at the same
task for the same person. A worker that is killed lets go of it at once, and the next one takes it. What is
asked for again while it is being done is done again, so work has to bear being repeated. Knows no tasks but
by name.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from mnemon.errors import MnemonError
from mnemon.memory.postgres_link import PostgresLink
from mnemon.memory.postgres_wire import Transaction

MOST_ATTEMPTS = 5  # then it is left for somebody to look at
WAIT_SECONDS = 10  # after the first failure, twice as long after each other one
EMBED = "embed with "  # begins the name of a task that only a worker with that embedder can do

_log = logging.getLogger("mnemon.jobs")


class Job(NamedTuple):
    number: int
    user: str
    task: str
    asked: datetime
    attempts: int
    failed: str  # what went wrong the last time


_TAKE = f"""
    SELECT number, "user", task, asked, attempts, failed FROM jobs
    WHERE attempts < {MOST_ATTEMPTS} AND not_before <= now()
        AND (NOT starts_with(task, '{EMBED}') OR task = ?)
    ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended(? || ' ' || ?, 1))"
# Not now(): that is when the transaction began, and a job may take long.
_PUT_OFF = "UPDATE jobs SET not_before = clock_timestamp() + make_interval(secs => ?) WHERE number = ?"
_DROP = """
    DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE "user" = ? FOR UPDATE SKIP LOCKED)
"""
_SETTLE = """
    DELETE FROM jobs WHERE number IN (
        SELECT number FROM jobs WHERE "user" = ? AND task = ? AND number > ? AND not_before <= now()
        FOR UPDATE SKIP LOCKED)
"""


class PostgresJobs:
    """The jobs of one database."""

    def __init__(self, link: PostgresLink) -> None:
        self._link = link

    def ask(self, user: str, task: str, *, after: timedelta = timedelta(0)) -> None:
        """Note the work down, to be done `after` that time. It is there when this returns, whatever becomes
        of this process."""
        statement = (
            'INSERT INTO jobs ("user", task, not_before) VALUES (?, ?, now() + make_interval(secs => ?))'
        )
        self._link.for_nobody(lambda run: run.execute(statement, (user, task, after.total_seconds())))

    def waits(self, user: str, task: str) -> bool:
        """Whether such work is to be done, or is being done."""
        statement = f'SELECT 1 FROM jobs WHERE "user" = ? AND task = ? AND attempts < {MOST_ATTEMPTS} LIMIT 1'
        return self._link.for_nobody(lambda run: run.execute(statement, (user, task)).fetchone()) is not None

    def take(self, do: Callable[[str, str], object], *, embedder: str = "") -> Job | None:
        """Do the oldest job that nobody is at, and give it; None when there is none. A job that fails is put
        off, and after some attempts left alone. `embedder`: whose embeddings this worker can compute."""

        def work(transaction: Transaction) -> Job | None:
            job = _claimed(transaction, embedder)
            if job is None:
                return None
            try:
                do(job.user, job.task)
            except Exception as error:  # noqa: BLE001  a job that cannot be done must not stop the others
                failed = str(error)
                if not isinstance(error, MnemonError):  # what a defect says may hold words
                    failed = f"An unexpected {type(error).__name__}; the worker's log shows where."
                    _log.error("the job %r failed", job.task, exc_info=error)
                transaction.execute(
                    "UPDATE jobs SET attempts = attempts + 1, failed = ? WHERE number = ?",
                    (failed, job.number),
                )
                transaction.execute(_PUT_OFF, (WAIT_SECONDS * 2**job.attempts, job.number))
                return job._replace(attempts=job.attempts + 1, failed=failed)
            transaction.execute("DELETE FROM jobs WHERE number = ?", (job.number,))
            return job

        return self._link.for_nobody(work)

    def waiting(self) -> list[Job]:
        """All jobs, those that are being done and those that failed too, oldest first."""
        statement = 'SELECT number, "user", task, asked, attempts, failed FROM jobs ORDER BY number'
        return self._link.for_nobody(lambda run: [Job(*row) for row in run.execute(statement).fetchall()])

    def counts(self) -> tuple[int, int]:
        """How many are to be done, and how many were left after failing too often."""
        statement = f"""
            SELECT count(*) FILTER (WHERE attempts < {MOST_ATTEMPTS}),
                count(*) FILTER (WHERE attempts >= {MOST_ATTEMPTS}) FROM jobs
        """
        waiting, left = self._link.for_nobody(lambda run: run.execute(statement).fetchone())
        return waiting, left

    def drop(self, user: str) -> None:
        """Ask for nothing more about this person. A job that is being done ends by itself."""
        self._link.for_nobody(lambda run: run.execute(_DROP, (user,)))


def _claimed(transaction: Transaction, embedder: str) -> Job | None:
    """The oldest free job that nobody is at for the same person. Later askings for the same are settled with
    it."""
    while (row := transaction.execute(_TAKE, (EMBED + embedder,)).fetchone()) is not None:
        job = Job(*row)
        (alone,) = transaction.execute(_ALONE, (job.user, job.task)).fetchone()
        if alone:
            transaction.execute(_SETTLE, (job.user, job.task, job.number))
            return job
        transaction.execute(_PUT_OFF, (1.0, job.number))
    return None
