"""Replies of several threads through one network at once: what waits for a step goes in the next forward.

A step of one reply reads every weight to make one token; that of eight replies reads them once for all.
While a forward runs, other replies choose their tokens and queue up; whoever comes first when it ends takes
all that wait along, and gives those of the last forward a moment to come too, or else the replies would fall
into two halves that never meet. A reply that is alone waits for nobody and runs as it would without this, bit
for bit. In company its sums are rounded in another order, so of two all but equal tokens it may take the
other.

Knows a trunk and its caches, no replies. Adapters are not offered: their choice is one for the whole network.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemon.agent.decoding.rows import Known, PrefixStore, RowPrompt, TrunkRowModel
from mnemon.agent.decoding.trunk import KeyValueCache, Trunk

MOST_ROWS = 64  # in one forward; more gain nothing and make everybody wait
PATIENCE = 0.5  # of the last forward's time: how long those that were in it are waited for


@dataclass(eq=False)
class _Step:
    """One reply's next token: ids and positions (rows, 1), and what comes of them."""

    ids: Tensor
    positions: Tensor
    cache: KeyValueCache
    mask: Tensor | None
    hidden: Tensor | None = None
    logits: Tensor | None = None
    error: BaseException | None = None

    @property
    def rows(self) -> int:
        return self.ids.shape[0]

    @property
    def done(self) -> bool:
        return self.hidden is not None or self.error is not None


class Together:
    """A trunk that many threads may use. Steps of one token are joined; anything else has its turn alone."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk
        self.name, self.shape = trunk.name, trunk.shape
        self.dtype, self.device = trunk.dtype, trunk.device
        self._turn = threading.Condition()
        self._busy = False
        self._waiting: list[_Step] = []
        self._own = threading.local()  # the step that this thread took last
        self._company: frozenset[int] = frozenset()  # whose caches were in the last forward
        self._took = 0.0  # seconds
        self.forwards = self.rows = 0  # joined steps, and rows in them: their ratio is the company

    def forward(self, ids: Tensor, positions: Tensor, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        if ids.shape[1] > 1:
            with self._alone():
                return self._trunk.forward(ids, positions, cache, mask)
        step = _Step(ids, positions.expand(ids.shape[0], 1), cache, mask)
        self._take(step)
        if step.error is not None:
            raise step.error
        assert step.hidden is not None, "a step that did not fail has hidden states"
        self._own.step = step
        return step.hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Those of this thread's last step were computed with everybody's."""
        step: _Step | None = getattr(self._own, "step", None)
        self._own.step = None
        if step is not None and step.logits is not None and step.hidden is not None:
            last = step.hidden[:, 0]
            if hidden.data_ptr() == last.data_ptr() and hidden.shape == last.shape:
                return step.logits
        with self._alone():
            return self._trunk.logits(hidden)

    def _take(self, step: _Step) -> None:
        """Wait until the step is done by somebody, or the network is free; then do all that wait."""
        with self._turn:
            self._waiting.append(step)
            self._turn.notify_all()
            self._turn.wait_for(lambda: step.done or not self._busy)
            if step.done:
                return
            self._busy = True
        try:
            with self._turn:
                self._turn.wait_for(self._all_here, timeout=PATIENCE * self._took)
                steps = self._some(step)
            began = time.perf_counter()
            self._run(steps)
            self._took = time.perf_counter() - began
        finally:
            self._free()

    def _all_here(self) -> bool:
        """Whether all of the last forward wait again. One whose reply has ended is missed once."""
        return self._company <= {id(step.cache) for step in self._waiting}

    def _some(self, own: _Step) -> list[_Step]:
        """This thread's step, and as many of the others as there is room for, those first that came first."""
        room, taken = MOST_ROWS - own.rows, [own]
        for step in self._waiting:
            if step is not own and step.rows <= room:
                taken.append(step)
                room -= step.rows
        self._waiting = [step for step in self._waiting if step not in taken]
        self._company = frozenset(id(step.cache) for step in taken)
        return taken

    def _run(self, steps: Sequence[_Step]) -> None:
        try:
            hidden = self._forward(steps)
            logits = self._trunk.logits(hidden[:, 0])
        except BaseException as error:  # noqa: BLE001  whoever waits for it must hear of it
            for step in steps:
                step.error = error
            return
        start = 0
        for step in steps:
            step.logits = logits[start : start + step.rows]
            step.hidden = hidden[start : start + step.rows]
            start += step.rows
        self.forwards += 1
        self.rows += start

    def _forward(self, steps: Sequence[_Step]) -> Tensor:
        if len(steps) == 1:
            (one,) = steps
            return self._trunk.forward(one.ids, one.positions, one.cache, one.mask)
        joined = _Joined(steps)
        ids = torch.cat([step.ids for step in steps])
        positions = torch.cat([step.positions for step in steps])
        return self._trunk.forward(ids, positions, joined, joined.mask)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The network for this thread alone."""
        with self._turn:
            self._turn.wait_for(lambda: not self._busy)
            self._busy = True
        try:
            yield
        finally:
            self._free()

    def _free(self) -> None:
        with self._turn:
            self._busy = False
            self._turn.notify_all()


class _Joined(KeyValueCache):
    """The caches of several replies as one: each keeps its own keys and values, attention sees them side by
    side, the shorter ones filled up with columns that the mask hides."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        first = steps[0].cache
        self.shape, self._steps = first.shape, steps
        self.rows = sum(step.rows for step in steps)
        self.length = max(step.cache.length for step in steps)
        block = first.blocks[0]
        columns = self.length + 1
        # One pair for all layers: what lies beyond a reply's own columns stays zero.
        self._pair = block.new_zeros(2, self.rows, self.shape.kv_heads, columns, self.shape.head_dim)
        self.mask = block.new_full((self.rows, 1, 1, columns), float("-inf"))
        start = 0
        for step in steps:
            own = self.mask[start : start + step.rows, :, :, : step.cache.length + 1]
            own.copy_(torch.zeros_like(own) if step.mask is None else step.mask.expand_as(own))
            start += step.rows

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        start = 0
        for step in self._steps:
            end, columns = start + step.rows, step.cache.length + 1
            pair = step.cache.write(layer, keys[start:end], values[start:end])
            self._pair[0, start:end, :, :columns] = pair[0]
            self._pair[1, start:end, :, :columns] = pair[1]
            start = end
        return self._pair[0], self._pair[1]


class SharedStore(PrefixStore[Known]):
    """Known prefixes that many threads look up and add to."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._lock = threading.Lock()

    def longest(self, prompt: RowPrompt) -> tuple[Known | None, int]:
        with self._lock:
            return super().longest(prompt)

    def add(self, adapter: str | None, known: Known) -> None:
        with self._lock:
            super().add(adapter, known)


def shared(model: TrunkRowModel) -> TrunkRowModel:
    """The same network for many threads, with prefixes of its own."""
    return TrunkRowModel(Together(model.trunk), store=SharedStore(model.store.limit), fixed=False)
