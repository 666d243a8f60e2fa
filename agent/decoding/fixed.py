"""Forwards whose shapes never change, so that a GPU can replay them as one CUDA graph.

A step of a small batch on a GPU spends its time between kernels; a graph launches all of them at once. It
wants the same buffers and shapes every time: attention runs over the whole preallocated cache here, and what
is not written yet is hidden by a mask. On a processor that is work for nothing, so only GPUs take this path.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mnemon.agent.decoding.trunk import KeyValueCache, Trunk

_WIDTHS = 8  # candidates are looked at in multiples of this: one graph serves shortlists of several lengths
_WARMING = 2  # forwards before a capture: libraries allocate their workspaces in the first ones


class _WholeCache(KeyValueCache):
    """A cache as a forward of fixed shapes sees it: it writes at given columns and returns all there are.

    `length` is what a trunk may know of it: all columns but the new ones, whatever is in them.
    """

    def __init__(self, cache: KeyValueCache, columns: Tensor) -> None:
        self.shape, self.rows, self.blocks = cache.shape, cache.rows, cache.blocks
        self.length = cache.capacity - len(columns)
        self._columns = columns

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        block = self.blocks[layer]
        block[0].index_copy_(2, self._columns, keys)
        block[1].index_copy_(2, self._columns, values)
        return block[0], block[1]


class FixedForward:
    """Forwards of up to `width` sibling tokens: each sees what its row holds, and itself.

    With one that is a step, with more a look at candidates. `lengths` are those of the rows' prompts. Hidden
    states are overwritten by the next call.
    """

    def __init__(self, trunk: Trunk, cache: KeyValueCache, lengths: Sequence[int], *, width: int) -> None:
        self._trunk, self._capacity = trunk, cache.capacity
        device, longest = trunk.device, max(lengths)
        rows = len(lengths)
        self._offsets = torch.tensor([[n - longest] for n in lengths], device=device)
        self._ids = torch.zeros(rows, width, dtype=torch.long, device=device)
        self._columns = torch.zeros(width, dtype=torch.long, device=device)
        self._siblings = torch.arange(width, device=device)
        self._every = torch.arange(cache.capacity, device=device)
        self._padded = self._every[None] < -self._offsets  # (rows, capacity)
        self._cache = _WholeCache(cache, self._columns)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._captures = device.type == "cuda"
        self._hidden = torch.empty(0)

    def fits(self, cache: KeyValueCache) -> bool:
        """Whether it was made for the cache as it is now."""
        return self._capacity == cache.capacity

    @torch.inference_mode()
    def __call__(self, ids: Tensor, length: int) -> Tensor:
        """Hidden states (rows, n, hidden) of ids (n), written to the columns from `length` on."""
        n = len(ids)
        self._ids[:, :n] = ids  # siblings do not see each other, so what stands beyond n does no harm
        self._columns.copy_(self._siblings + length)
        if self._captures:
            self._captures = False
            self._capture()
        if self._graph is not None:
            self._graph.replay()
        else:
            self._hidden = self._run()
        return self._hidden[:, :n]

    def _run(self) -> Tensor:
        """Reads only tensors that stay where they are: a replay must see what is written to them."""
        start = self._columns[0]
        earlier = (self._every < start) & ~self._padded  # (rows, capacity)
        itself = self._every == self._columns[:, None]  # (width, capacity)
        seen = earlier[:, None, None] | itself
        mask = torch.zeros(seen.shape, dtype=self._trunk.dtype, device=self._trunk.device)
        positions = (self._offsets + start).expand(self._ids.shape)
        return self._trunk.forward(self._ids, positions, self._cache, mask.masked_fill(~seen, float("-inf")))

    def _capture(self) -> None:
        """The forward as a graph. It writes the columns that the real one writes, so warming does no harm."""
        try:
            graph = torch.cuda.CUDAGraph()
            stream: Any = torch.cuda.Stream(self._trunk.device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(self._trunk.device))
            with torch.cuda.stream(stream):
                for _ in range(_WARMING):
                    self._run()
            torch.cuda.current_stream(self._trunk.device).wait_stream(stream)
            # On this device's own stream, wherever others are; and other threads may go on using the GPU.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._hidden = self._run()
            self._graph = graph
        except RuntimeError as e:  # an operation of this network waits for the device, or allocates there
            warnings.warn(
                f"{self._trunk.name!r} runs kernel by kernel, without a CUDA graph: {str(e).splitlines()[0]}",
                RuntimeWarning,
                stacklevel=2,
            )


def fixed_width(n: int) -> int:
    return 1 if n == 1 else -(-n // _WIDTHS) * _WIDTHS


def fixed_capacity(columns: int) -> int:
    """Room for a last look of more columns than candidates; GPUs want masks whose rows begin at multiples."""
    return -(-columns // _WIDTHS) * _WIDTHS + _WIDTHS
