"""What is put off and done by any worker of a Postgres database that has a moment: tidying up after a
conversation, summaries of those that are over, embeddings of what came in at once.

Each is a row in the table of jobs until it is done, and changes nothing when it is done twice. Knows persons
by their handles; who calls `do`, and when, is others' business.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from mnemon.errors import DataError
from mnemon.memory.consolidate import ENDED_AFTER
from mnemon.memory.diff import Diff
from mnemon.memory.later import Embedding, Until
from mnemon.memory.postgres_jobs import EMBED, Job, PostgresJobs

if TYPE_CHECKING:
    from mnemon.memory.person import Person

CONSOLIDATE = "consolidate"
_MARGIN = timedelta(minutes=1)


class Chores:
    """The jobs of one database, and how each is done. `embedder` is the name of the one at hand."""

    def __init__(self, jobs: PostgresJobs, for_user: "Callable[[str], Person]", *, embedder: str) -> None:
        self.jobs = jobs
        self._for_user = for_user
        self._embedder = embedder

    def ask_to_consolidate(self, user: str) -> None:
        self.jobs.ask(user, CONSOLIDATE)

    def ask_after_talking(self, user: str) -> None:
        """A conversation rests: tidy up now, and again when it is over and can be summarised."""
        self.jobs.ask(user, CONSOLIDATE)
        self.jobs.ask(user, CONSOLIDATE, after=ENDED_AFTER + _MARGIN)
        if self._embedder:
            self.jobs.ask(user, EMBED + self._embedder)

    def embedding(self, user: str) -> Embedding:
        return Embedding(self.jobs, user, EMBED + self._embedder)

    def do(self, *, most: int | None = None, until: Until = lambda: False) -> Diff | None:
        """Do the jobs that wait, those of other workers too, until there are none; `until` is asked before
        each. Gives the last diff."""
        done: list[Diff] = []

        def do(user: str, task: str) -> None:
            if task == CONSOLIDATE:
                done.append(self._for_user(user).consolidate())
            elif task == EMBED + self._embedder:
                if not self._for_user(user).embed(until):
                    self.jobs.ask(user, task)
            else:
                raise DataError(f"The job {task!r} is not known here.", hint="Upgrade mnemon on this worker.")

        while most != 0 and not until() and self.jobs.take(do, embedder=self._embedder) is not None:
            most = None if most is None else most - 1
        return done[-1] if done else None

    def waiting(self) -> list[Job]:
        return self.jobs.waiting()
