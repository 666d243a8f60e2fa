"""A history's index as bytes and back: opening a long history without reading it again.

A state holds what was worked out of the texts (terms, names, marks, sessions), not the vectors: whoever keeps
those gives them back in the order in which they were embedded. It is valid only for the code that made it,
which `CODE` names. Reading admits a fixed list of plain types, so a state from a stranger's file can be wrong
but cannot act.
"""

import gc
import hashlib
import io
import pickle
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import DataError
from mnemon.retrievers.windows import Rows

_SOURCES = (
    "history.py",
    "windows.py",
    "columns.py",
    "piece_vectors.py",
    "timing.py",
    "text.py",
    "stopwords.txt",
    "entities.py",
    "seams.py",
    "history_state.py",
)
_ADMITTED = {
    ("array", "_array_reconstructor"),
    ("array", "array"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("collections", "defaultdict"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("mnemon.retrievers.seams", "Document"),
    ("mnemon.retrievers.windows", "Rows"),
}


@cache
def code() -> str:
    """Changes with anything that could change what a state holds or means."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((files("mnemon.retrievers") / name).read_bytes())
    return digest.hexdigest()[:16]


def dump(rows: Rows, owners: NDArray[np.int64]) -> bytes:
    """Rows, and the row of each vector."""
    kept, rows._frozen, rows._columns = (rows._frozen, rows._columns), None, None  # made again in a moment
    try:
        return pickle.dumps((rows, owners.astype(np.int64).tobytes()), protocol=5)
    finally:
        rows._frozen, rows._columns = kept


def load(state: bytes, count: int) -> tuple[Rows, NDArray[np.int64]]:
    """Rows, and the row of each of `count` vectors; `DataError` for anything else."""
    collecting = gc.isenabled()
    gc.disable()  # a hundred thousand new objects, none of them garbage: half the time
    try:
        rows, body = _Reader(io.BytesIO(state)).load()
        owners = np.frombuffer(body, dtype=np.int64)
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"The state of an index cannot be read: {error}.", hint="Build it again.") from error
    finally:
        if collecting:
            gc.enable()
    if not isinstance(rows, Rows) or len(owners) != count:
        raise DataError(
            f"The state of an index has {len(owners)} vectors, {count} were given.", hint="Build it again."
        )
    return rows, owners


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a state")
        return super().find_class(module, name)
