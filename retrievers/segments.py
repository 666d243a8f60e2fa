"""Sums over neighbours and the best of each group, without sorting by value: what a query does over all rows.

Knows rows and numbers only.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


DENSE = 3  # a row that is looked up costs about as much as three in a row


def near_sums(
    links: Mapping[int, Ints], found: Ints, held: Floats, kernel: Sequence[float], scratch: Floats
) -> tuple[Ints | slice, Floats]:
    """Rows within the kernel's reach of `found` (unique rows), and what is held in that reach.

    A row may come several times, each time with its whole sum; where many rows are near, all come.
    `links[step]` is the row so many steps on, (rows + 1,), injective but for `rows`, which means none.
    `scratch` is (rows + 1,) zeros, and is zeros again afterwards, so that it can serve the next word.
    """
    none = len(scratch) - 1
    near = []
    for step, weight in enumerate(kernel):
        for signed in {step, -step}:
            near.append(links[signed][found])
            # No row occurs twice in one step, so plain indexing adds each once.
            scratch[near[-1]] += weight * held
            scratch[none] = 0.0
    if DENSE * len(near) * found.size > len(scratch):
        sums = scratch.copy()
        scratch.fill(0.0)
        return slice(None), sums
    touched = np.concatenate(near)
    sums = scratch[touched]
    scratch[touched] = 0.0
    return touched, sums


class Groups(NamedTuple):
    """Rows that count, those of one group side by side."""

    rows: Ints  # (counted,)
    starts: Ints  # (groups that have rows,) where each begins in `rows`
    sizes: Ints
    owner: Ints  # their numbers
    place: Ints  # (counted,) of each row, its group's place in `starts`
    of: int  # groups, those without rows too


def groups_of(group: Ints, count: int, counted: NDArray[np.bool_]) -> Groups:
    rows = np.flatnonzero(counted)
    rows = rows[np.argsort(group[rows], kind="stable")]  # they stand nearly in this order: quick
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
    sizes = np.diff(starts, append=rows.size)
    return Groups(rows, starts, sizes, group[rows[starts]], np.repeat(np.arange(starts.size), sizes), count)


def mean_of_best(values: Floats, groups: Groups, top: int) -> Floats:
    """Mean of the `top` highest values of each group's rows, of all if fewer, 0 if none. (groups,)"""
    result = np.zeros(groups.of)
    if not groups.rows.size:
        return result
    left = values[groups.rows]
    total = np.zeros(groups.starts.size)
    for _ in range(top):
        peak = np.maximum.reduceat(left, groups.starts)
        total += np.where(peak > -np.inf, peak, 0.0)
        # Strike out one row that has the peak: the first.
        at_peak = np.flatnonzero(left == peak[groups.place])
        left[at_peak[np.flatnonzero(np.diff(groups.place[at_peak], prepend=-1))]] = -np.inf
    result[groups.owner] = total / np.minimum(groups.sizes, top)
    return result
