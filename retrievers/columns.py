"""What a history's rows say, as arrays that grow in place: a turn that is added costs what it holds, not what
the history holds.

Knows rows and numbers only; `windows.Rows` keeps the texts and says what changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
T = TypeVar("T")

REACH = 3  # neighbours to each side that a window may take in
NONE = -1  # the row that stands for "no neighbour": as an index it is the last place, whatever the length
LEAST_ROOM = 1024


@dataclass(frozen=True)
class Columns:
    """Views of the first n rows. Arrays of n + 1 end with what holds for "no neighbour"; valid until the next
    row is added."""

    alive: NDArray[np.bool_]  # (n,)
    turn: NDArray[np.bool_]  # (n,) alive turns
    fact: NDArray[np.bool_]  # (n,)
    summary: NDArray[np.bool_]  # (n,)
    session: Ints  # (n,)
    sessions: int
    length: Floats  # (n + 1,) in terms
    time: Floats  # (n,) seconds since 1970, nan where not known
    told: Floats  # (n, 2) start and end of the time the text speaks of, nan where it speaks of none
    marks: Ints  # (n + 1,) what the text shows, entities.Mark
    speaker: Ints  # (n + 1,) code; -1 for no neighbour
    position: Ints  # (n,) place in its session
    links: Mapping[int, Ints]  # step → (n + 1,) the row so many turns later in the session, or NONE
    _worked_out: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, work: Callable[[], T]) -> T:
        """What follows from the rows alone, by name: worked out by the first query after a change."""
        if name not in self._worked_out:
            self._worked_out[name] = work()
        found: T = self._worked_out[name]
        return found

    def spread(self, values: Floats, kernel: Sequence[float]) -> Floats:
        """Each row's value plus its neighbours', weighed by distance. (n + 1,) → (n + 1,); the last is 0."""
        total: Floats = kernel[0] * values
        for step, weight in enumerate(kernel[1:], start=1):
            total = total + weight * (values[self.links[step]] + values[self.links[-step]])
        return total


# name → (type, what stands at "no neighbour"; None: no such place)
_KINDS: Mapping[str, tuple[type, float | None]] = {
    "alive": (np.bool_, None),
    "turn": (np.bool_, None),
    "fact": (np.bool_, None),
    "summary": (np.bool_, None),
    "session": (np.int64, None),
    "length": (np.float64, 0.0),
    "time": (np.float64, None),
    "told": (np.float64, None),
    "marks": (np.int64, 0),
    "speaker": (np.int64, -1),
    "position": (np.int64, None),
}


class GrowingColumns:
    """The arrays behind `Columns`, with room for more rows."""

    def __init__(self) -> None:
        self.count = 0
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._links: dict[int, Ints] = {}
        self._reserve(LEAST_ROOM)

    def extend(self, parts: Mapping[str, NDArray[np.generic]], count: int) -> None:
        """Rows up to `count`; `parts` hold what the new ones say, by column."""
        if count + 1 > len(self._arrays["alive"]):
            self._reserve(2 * (count + 1))
        for name, values in parts.items():
            self._arrays[name][self.count : count] = values
        for line in self._links.values():
            line[self.count : count + 1] = NONE
        self.count = count

    def drop(self, rows: Sequence[int]) -> None:
        for name in ("alive", "turn", "fact", "summary", "length", "position"):
            self._arrays[name][rows] = 0
        for line in self._links.values():
            line[rows] = NONE

    def link(self, line: Sequence[int], start: int) -> None:
        """Neighbours in one session, `line` being its turns in order, those before `start` as they were."""
        first = max(start - REACH, 0)
        rows = np.array(line[first:], np.int64)
        for step in range(1, REACH + 1):
            self._links[step][rows[:-step]] = rows[step:]
            self._links[step][rows[-step:]] = NONE
            self._links[-step][rows[step:]] = rows[:-step]
            if first == 0:
                self._links[-step][rows[:step]] = NONE

    def columns(self, sessions: int) -> Columns:
        n = self.count
        views = {}
        for name, (_, none) in _KINDS.items():
            if none is not None:
                self._arrays[name][n] = none
            views[name] = self._arrays[name][: n + (none is not None)]
        links = {step: line[: n + 1] for step, line in self._links.items()}
        links[0] = np.arange(n + 1)
        return Columns(sessions=sessions, links=links, **views)  # type: ignore[arg-type]

    def _reserve(self, room: int) -> None:
        for name, (kind, _) in _KINDS.items():
            shape = (room, 2) if name == "told" else (room,)
            wider: NDArray[np.generic] = np.zeros(shape, kind)
            if self.count:
                wider[: self.count] = self._arrays[name][: self.count]
            self._arrays[name] = wider
        for step in range(-REACH, REACH + 1):
            if step:
                line = np.full(room, NONE, np.int64)
                if self.count:
                    line[: self.count] = self._links[step][: self.count]
                self._links[step] = line
