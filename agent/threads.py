"""Turns that have not ended: kept so that a kill, or a question that waits for a yes, does not lose them.

LangGraph's own SQLite saver, on a database that lives as one derived blob in the person's rows: it is there
for any process, in any backend, and goes when anything of the person is forgotten or they are erased. A turn
that has ended leaves nothing here; episodes are the only lasting record.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from threading import Lock
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from mnemon.memory import Person

# What a checkpoint may hold besides plain data. Recalled words are not among it: see `graph.Turn`.
_OURS = [("mnemon.agent.seams", name) for name in ("ToolCall", "Observation", "Reply", "Usage")]


class UnfinishedTurns(BaseCheckpointSaver[str]):
    """A checkpointer for one person's threads. Safe to share between threads of a process."""

    def __init__(self, person: Person) -> None:
        super().__init__(serde=JsonPlusSerializer(allowed_msgpack_modules=_OURS))
        self._person = person
        self._opened: dict[str, SqliteSaver] = {}
        self._lock = Lock()

    def known(self, thread: str) -> bool:
        """Whether a turn of this thread was begun and has not ended, here or in another process."""
        return self._person.derived(_blob_name(thread)) is not None

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._saver(config).get_tuple(config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  the base class names it so
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        if config is not None:
            yield from self._saver(config).list(config, filter=filter, before=before, limit=limit)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        saver = self._saver(config)
        placed = saver.put(config, checkpoint, metadata, new_versions)
        with saver.cursor() as cursor:  # going back in time is not offered, so only the last one is kept
            for table in ("checkpoints", "writes"):
                cursor.execute(f"DELETE FROM {table} WHERE checkpoint_id != ?", (checkpoint["id"],))
        self._keep(config, saver)
        return placed

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        saver = self._saver(config)
        saver.put_writes(config, writes, task_id, task_path)
        # What a step wrote is in the checkpoint that follows; an interrupt has none.
        if any(channel.startswith("__") for channel, _ in writes):
            self._keep(config, saver)

    def delete_thread(self, thread_id: str) -> None:
        with self._lock:
            saver = self._opened.pop(thread_id, None)
        if saver is not None:
            saver.conn.close()
        self._person.keep_derived(_blob_name(thread_id), None)

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002  the base class
        return f"{(0 if current is None else int(current)) + 1:032}"

    def _saver(self, config: RunnableConfig) -> SqliteSaver:
        thread = _thread_of(config)
        with self._lock:
            saver = self._opened.get(thread)
            if saver is None:
                connection = sqlite3.connect(":memory:", check_same_thread=False)
                kept = self._person.derived(_blob_name(thread))
                if kept is not None:
                    connection.deserialize(kept)
                saver = self._opened[thread] = SqliteSaver(connection, serde=self.serde)
        return saver

    def _keep(self, config: RunnableConfig, saver: SqliteSaver) -> None:
        with saver.lock:
            body = saver.conn.serialize()
        self._person.keep_derived(_blob_name(_thread_of(config)), body)


def _thread_of(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def _blob_name(thread: str) -> str:
    return f"turn:{sha256(thread.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
