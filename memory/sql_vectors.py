"""Derived embeddings as rows: runs of vectors in one row, so that a hundred thousand load in few reads.

Values are float16: half the bytes, and a cosine moves by less than 0.001. What a caller keeps and what it
reads later must agree, so `half` gives the same rounding to vectors that were just computed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import StoreError
from mnemon.memory import sql_reads
from mnemon.memory.seams import KeepVectors, StoredVectors, VectorsOf
from mnemon.memory.sql_rows import Connection

HASH_BYTES = 16
_RUN = 1024  # vectors in a row written in bulk
_SMALL = 64  # single vectors gather in one row up to this many


def keep(connection: Connection, person: int, operation: KeepVectors) -> None:
    hashes, vectors = list(operation.hashes), operation.vectors
    if len(hashes) != len(vectors) or any(len(found) != HASH_BYTES for found in hashes):
        raise ValueError(f"{len(hashes)} hashes of {HASH_BYTES} bytes for {len(vectors)} vectors")
    # Two workers may have computed the same: a text that has its vector keeps it.
    there = _present(connection, person, operation.model) if hashes else set()
    places = [place for place, name in enumerate(hashes) if name not in there]
    if not places:
        return
    hashes = [hashes[place] for place in places]
    values = np.ascontiguousarray(vectors[places], dtype=np.float16)
    for start in range(0, len(hashes), _RUN):
        run = hashes[start : start + _RUN]
        _append(connection, person, operation.model, run, values[start : start + len(run)])


def _present(connection: Connection, person: int, model: str) -> set[bytes]:
    rows = connection.execute("SELECT hashes FROM vectors WHERE person = ? AND model = ?", (person, model))
    return {name for (names,) in rows for name in _split(names)}


def _append(
    connection: Connection, person: int, model: str, hashes: list[bytes], values: NDArray[np.float16]
) -> None:
    room = _SMALL - len(hashes)
    small = None
    if room > 0:
        small = connection.execute(
            "SELECT number, hashes, vectors FROM vectors WHERE person = ? AND model = ? AND count <= ? "
            "LIMIT 1",
            (person, model, room),
        ).fetchone()
    if small is None:
        connection.execute(
            "INSERT INTO vectors(person, model, count, hashes, vectors) VALUES (?, ?, ?, ?, ?)",
            (person, model, len(hashes), b"".join(hashes), values.tobytes()),
        )
        return
    number, before, body = small
    connection.execute(
        "UPDATE vectors SET count = count + ?, hashes = ?, vectors = ? WHERE number = ?",
        (len(hashes), before + b"".join(hashes), body + values.tobytes(), number),
    )


def drop(connection: Connection, person: int, model: str | None, hashes: Sequence[bytes] | None) -> None:
    """Drop one model's vectors or all, of the given texts or all."""
    where, values = "person = ?", [person]  # type: str, list[object]
    if model is not None:
        where += " AND model = ?"
        values.append(model)
    if hashes is None:
        connection.execute(f"DELETE FROM vectors WHERE {where}", values)
        return
    unwanted = set(hashes)
    rows = connection.execute(f"SELECT number, hashes FROM vectors WHERE {where}", values).fetchall()
    for number, names in rows:
        run = _split(names)
        stay = [place for place, name in enumerate(run) if name not in unwanted]
        if len(stay) == len(run):
            continue
        (body,) = connection.execute("SELECT vectors FROM vectors WHERE number = ?", (number,)).fetchone()
        left = np.frombuffer(body, dtype=np.float16).reshape(len(run), -1)[stay]
        if stay:
            connection.execute(
                "UPDATE vectors SET count = ?, hashes = ?, vectors = ? WHERE number = ?",
                (len(stay), b"".join(run[place] for place in stay), left.tobytes(), number),
            )
        else:
            connection.execute("DELETE FROM vectors WHERE number = ?", (number,))


def _split(names: bytes) -> list[bytes]:
    return [names[at : at + HASH_BYTES] for at in range(0, len(names), HASH_BYTES)]


def read(connection: Connection, user: str, query: VectorsOf) -> StoredVectors:
    nothing = StoredVectors([], np.zeros((0, 0), dtype=np.float32))
    known = sql_reads.person(connection, user)
    if known is None:
        return nothing
    wanted = None if query.hashes is None else set(query.hashes)
    hashes: list[bytes] = []
    runs: list[NDArray[np.float16]] = []
    for count, names, body in connection.execute(
        "SELECT count, hashes, vectors FROM vectors WHERE person = ? AND model = ? ORDER BY number",
        (known.number, query.model),
    ):
        if len(names) != count * HASH_BYTES or not count or len(body) % (2 * count):
            raise StoreError(
                "A row of derived embeddings is damaged.", hint="Rebuild them: mnemon verify --repair"
            )
        run = _split(names)
        values = np.frombuffer(body, dtype=np.float16).reshape(count, -1)
        if wanted is not None:
            places = [place for place, name in enumerate(run) if name in wanted]
            run = [run[place] for place in places]
            values = values[places]
        if run:
            hashes += run
            runs.append(values)
    if not runs:
        return nothing
    if len({run.shape[1] for run in runs}) > 1:
        raise StoreError(
            f"Embeddings of {query.model!r} have different lengths.", hint="Rebuild them: mnemon reindex"
        )
    return StoredVectors(hashes, half(np.concatenate(runs)))


def half(vectors: NDArray[np.generic]) -> NDArray[np.float32]:
    """Vectors as they come back from here: rounded to float16, then of unit length again in float32."""
    values = np.asarray(vectors, dtype=np.float16).astype(np.float32)
    squares = np.einsum("ij,ij->i", values, values)  # no copy of a hundred thousand rows
    values *= (1 / np.sqrt(np.where(squares > 0, squares, 1)))[:, np.newaxis]
    return values
