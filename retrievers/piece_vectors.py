"""Vectors of pieces in one growing array; a row may own several, side by side.

What a whole turn is about is the mean of its pieces: nothing is embedded twice. Knows rows and numbers only.
"""

from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import UsageError
from mnemon.retrievers.columns import Columns, Floats, Ints
from mnemon.retrievers.seams import Vectors


class Cosines(NamedTuple):
    """Of each row, (rows + 1,), 0 where a row has no vector."""

    best: Floats  # its best piece
    whole: Floats  # the mean of its pieces
    first: Floats  # its first piece


class _Runs(NamedTuple):
    """What is known of the runs, as arrays."""

    rows: Ints
    borders: Ints  # (runs + 1,) where each begins, and where the last one ends
    norms: Floats
    at: Ints  # (highest row + 2,) the run of a row, -1 where it has none; the last for a row beyond
    plain: bool  # every row is a run of one piece, in order


class PieceVectors:
    """Not thread-safe: the retriever that owns it holds the lock."""

    def __init__(self) -> None:
        self._array: Vectors = np.zeros((0, 0), np.float32)
        self.size = 0  # vectors in use
        # By run, that is one row's pieces, as they came: row, first vector, norm of the sum.
        self._rows: array[int] = array("q")
        self._starts: array[int] = array("q")
        self._norms: array[float] = array("d")
        self._run_of: dict[int, int] = {}
        self._dropped: list[int] = []  # rows
        self._level: _Runs | None = None
        self._summed = 0  # runs that are in the sums
        self._sums: Vectors | None = None  # (sessions, dimension); None: to be summed anew
        self._means: Vectors = self._array

    def append(self, row: int, vectors: Vectors) -> None:
        count, dimension = vectors.shape
        if self._array.shape[1] not in (0, dimension):
            raise UsageError(
                f"Vectors of dimension {dimension} were added to an index of dimension "
                f"{self._array.shape[1]}."
            )
        if self.size + count > len(self._array):
            wider = np.zeros((max(1024, 2 * len(self._array), self.size + count), dimension), np.float32)
            if self.size:
                wider[: self.size] = self._array[: self.size]
            self._array = wider
        self._array[self.size : self.size + count] = vectors
        self._note(row, self.size, float(_norms(vectors, np.zeros(1, np.int64))[0]))
        self.size += count

    def _note(self, row: int, start: int, norm: float) -> None:
        self._run_of[row] = len(self._rows)
        self._rows.append(row)
        self._starts.append(start)
        self._norms.append(norm)
        self._level = None

    def _runs(self) -> _Runs:
        if self._level is None:
            rows, starts = np.array(self._rows, np.int64), np.array(self._starts, np.int64)
            at = np.full(int(rows.max(initial=-1)) + 2, -1, np.int64)
            at[rows] = np.arange(rows.size)
            at[self._dropped] = -1
            plain = self.size == rows.size and bool((rows == np.arange(rows.size)).all())
            borders = np.append(starts, self.size)
            self._level = _Runs(rows, borders, np.maximum(np.array(self._norms), 1e-9), at, plain)
        return self._level

    def owners(self) -> Ints:
        """The row of each vector, in order."""
        runs = self._runs()
        return np.repeat(runs.rows, np.diff(runs.borders))

    def take(self, vectors: Vectors, owners: Ints) -> None:
        """Hold these vectors, each of a row, those of one row side by side."""
        self.__init__()  # type: ignore[misc]
        self._array, self.size = vectors, len(owners)
        if not self.size:
            return
        starts = np.flatnonzero(np.diff(owners, prepend=owners[0] - 1))
        norms = _norms(vectors, starts)
        for start, norm in zip(starts.tolist(), norms.tolist(), strict=True):
            self._note(int(owners[start]), start, norm)

    def drop(self, row: int) -> None:
        if self._run_of.pop(row, None) is not None:
            self._dropped.append(row)
            self._sums = self._level = None

    def of(self, row: int) -> Vectors | None:
        run = self._run_of.get(row)
        if run is None:
            return None
        start = self._starts[run]
        end = self._starts[run + 1] if run + 1 < len(self._starts) else self.size
        return self._array[start:end].copy()

    def wholes(self, rows: Ints) -> Vectors:
        """Unit means of these rows' pieces, zeros where a row has none. (rows,) → (rows, dimension)"""
        runs = self._runs()
        mine = runs.at[np.minimum(rows, runs.at.size - 1)]
        found = np.zeros((rows.size, self._array.shape[1]), np.float32)
        have = np.flatnonzero(mine >= 0)
        if not have.size:
            return found
        places, begins = self._places(mine[have])
        sums = self._array[places]
        if places.size > begins.size:
            sums = np.add.reduceat(sums, begins, axis=0)
        lengths = np.sqrt(np.einsum("rd,rd->r", sums, sums))
        found[have] = sums / np.maximum(lengths, 1e-9)[:, None]
        return found

    def means(self, columns: Columns) -> Vectors:
        """Unit mean of each session's turns. (sessions, dimension)"""
        if self._sums is None:
            self._summed, self._sums = 0, np.zeros((0, self._array.shape[1]), np.float32)
            self._means = self._sums
        if len(self._sums) < columns.sessions:
            more = np.zeros((columns.sessions - len(self._sums), self._sums.shape[1]), np.float32)
            self._sums = np.concatenate([self._sums, more])
            self._means = np.concatenate([self._means, more])
        if self._summed < len(self._rows):
            rows, borders = (part[self._summed :] for part in self._runs()[:2])
            fresh = np.add.reduceat(self._array[borders[0] : self.size], borders[:-1] - borders[0], axis=0)
            turns = columns.turn[rows]
            session = columns.session[rows[turns]]
            np.add.at(self._sums, session, fresh[turns])
            touched = np.unique(session)
            norms = np.linalg.norm(self._sums[touched], axis=1, keepdims=True)
            self._means[touched] = self._sums[touched] / np.maximum(norms, 1e-9)
            self._summed = len(self._rows)
        return self._means

    def cosines(self, vector: NDArray[np.float32], rows: int) -> Cosines:
        """Likeness of all rows to a unit vector. An approximate index in its place was measured at 100,000
        turns: no faster, because what is usual over a history has to be known besides, and two of ten hits
        differed."""
        found = Cosines(*(np.zeros(rows + 1) for _ in range(3)))
        if not self.size:
            return found
        products = (self._array[: self.size] @ vector).astype(np.float64)
        runs = self._runs()
        if runs.plain:
            found.best[: products.size] = found.first[: products.size] = products
            np.divide(products, runs.norms, out=found.whole[: products.size])
            return found
        starts = runs.borders[:-1]
        found.best[runs.rows] = np.maximum.reduceat(products, starts)
        found.whole[runs.rows] = np.add.reduceat(products, starts) / runs.norms
        found.first[runs.rows] = products[starts]
        return found

    def _places(self, runs: Ints) -> tuple[Ints, Ints]:
        """Places of these runs' vectors, and where each run begins among them."""
        borders = self._runs().borders
        sizes = borders[runs + 1] - borders[runs]
        ends = np.cumsum(sizes)
        begins = ends - sizes
        return np.arange(ends[-1]) + np.repeat(borders[runs] - begins, sizes), begins


def _norms(vectors: Vectors, starts: Ints) -> NDArray[np.float32]:
    """Lengths of the sums of runs: the same way for one turn as for many, to the last bit."""
    return np.asarray(np.linalg.norm(np.add.reduceat(vectors, starts, axis=0), axis=1), np.float32)
