"""Work that is asked for now and done later, by whichever worker comes to it: a table of jobs in Postgres.

A job is held by the transaction that takes it: nobody else can take it meanwhile. A worker that is killed
lets go of it at once, and the next one takes it. What is asked for again while it is being done is done
again, so work has to bear being repeated.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from mnemon.errors import MnemonError
from mnemon.memory.postgres_link import PostgresLink, Transaction

MOST_ATTEMPTS = 5  # then it is left for somebody to look at
WAIT_SECONDS = 10  # after the first failure, twice as long after each other one


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
    ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_DROP = """
    DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE "user" = ? FOR UPDATE SKIP LOCKED)
"""
_SETTLE = """
    DELETE FROM jobs WHERE number IN (
        SELECT number FROM jobs WHERE "user" = ? AND task = ? AND number > ? FOR UPDATE SKIP LOCKED)
"""


class PostgresJobs:
    """The jobs of one database."""

    def __init__(self, link: PostgresLink) -> None:
        self._link = link

    def ask(self, user: str, task: str) -> None:
        """Note the work down. It is there when this returns, whatever becomes of this process."""
        statement = 'INSERT INTO jobs ("user", task) VALUES (?, ?)'
        self._link.for_nobody(lambda run: run.execute(statement, (user, task)))

    def take(self, do: Callable[[str, str], object]) -> Job | None:
        """Do the oldest job that nobody is at, and give it; None when there is none. A job that fails with an
        error of ours is put off, and after some attempts left alone."""

        def work(transaction: Transaction) -> Job | None:
            job = _claimed(transaction)
            if job is None:
                return None
            try:
                do(job.user, job.task)
            except MnemonError as error:
                wait = WAIT_SECONDS * 2**job.attempts
                transaction.execute(
                    "UPDATE jobs SET attempts = attempts + 1, failed = ?, "
                    "not_before = now() + make_interval(secs => ?) WHERE number = ?",
                    (str(error), wait, job.number),
                )
                return job._replace(attempts=job.attempts + 1, failed=str(error))
            transaction.execute("DELETE FROM jobs WHERE number = ?", (job.number,))
            return job

        return self._link.for_nobody(work)

    def waiting(self) -> list[Job]:
        """All jobs, those that are being done and those that failed too, oldest first."""
        statement = 'SELECT number, "user", task, asked, attempts, failed FROM jobs ORDER BY number'
        return self._link.for_nobody(lambda run: [Job(*row) for row in run.execute(statement).fetchall()])

    def drop(self, user: str) -> None:
        """Ask for nothing more about this person. A job that is being done ends by itself."""
        self._link.for_nobody(lambda run: run.execute(_DROP, (user,)))


def _claimed(transaction: Transaction) -> Job | None:
    """The oldest free job. Later askings for the same that nobody is at are settled with it."""
    row = transaction.execute(_TAKE).fetchone()
    if row is None:
        return None
    job = Job(*row)
    transaction.execute(_SETTLE, (job.user, job.task, job.number))
    return job
