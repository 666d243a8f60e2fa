"""What the rows need of a network: hidden states from tokens and a cache, logits from hidden states.

A trunk knows weights. It knows no prompts, no branches and no rewards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mnemon.errors import ModelError


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turns a processor's or an accelerator's lack of memory into a ModelError."""
    try:
        yield
    except RuntimeError as e:  # torch.OutOfMemoryError is one; processors raise a plain one
        if not isinstance(e, torch.OutOfMemoryError) and "allocate memory" not in str(e):
            raise
        raise ModelError(
            f"Out of memory while {doing}.",
            hint="Use a smaller model, fewer traits, or a shorter conversation.",
        ) from e


class Shape(NamedTuple):
    """What a cache and a caller must know about a network."""

    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    context_length: int


class KeyValueCache:
    """Preallocated keys and values of all rows: per layer one (2, rows, kv_heads, capacity, head_dim) block.

    Columns [0, length) are filled. A forward of q tokens writes columns [length, length + q); the caller then
    moves `length`. Writing in place costs nothing per step; concatenation would copy the whole cache.
    """

    def __init__(
        self, shape: Shape, *, rows: int, capacity: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.shape = shape
        self.length = 0
        self.rows = rows
        # One piece of memory, so that a column of all layers is moved by one operation.
        self._all = torch.zeros(
            shape.layers, 2, rows, shape.kv_heads, capacity, shape.head_dim, dtype=dtype, device=device
        )
        self.blocks: list[Tensor] = list(self._all)

    @property
    def capacity(self) -> int:
        return self.blocks[0].shape[3]

    @property
    def bytes(self) -> int:
        return sum(block.numel() * block.element_size() for block in self.blocks)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Stores keys and values (rows, kv_heads, q, head_dim); returns all filled columns of the layer."""
        block, start = self.blocks[layer], self.length
        end = start + keys.shape[2]
        block[0, :, :, start:end] = keys
        block[1, :, :, start:end] = values
        return block[0, :, :, :end], block[1, :, :, :end]

    def reserve(self, columns: int) -> None:
        """Makes room for `columns` in all, at least doubling when it must grow."""
        if columns <= self.capacity:
            return
        columns = max(columns, 2 * self.capacity)
        wider = self._all.new_zeros(*self._all.shape[:4], columns, self.shape.head_dim)
        wider[..., : self.length, :] = self._all[..., : self.length, :]
        self._all = wider
        self.blocks = list(wider)

    def keep_column(self, column: int) -> None:
        """Of the columns just written, keeps one: it becomes column `length`, and length grows by one."""
        if column != self.length:
            self._all[..., self.length, :] = self._all[..., column, :]
        self.length += 1


class Trunk(Protocol):
    """A causal language model without its loop. `name` identifies weights and precision."""

    name: str
    shape: Shape
    dtype: torch.dtype
    device: torch.device

    def forward(self, ids: Tensor, positions: Tensor, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        """Final-norm hidden states (rows, q, hidden) of ids (rows, q) at positions (rows, q).

        `mask` is additive, (rows or 1, 1, q, cache.length + q); None lets every token see every column, which
        is right for one unpadded row and one token.
        """
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., vocabulary) from hidden states (..., hidden), in float32."""
        ...
