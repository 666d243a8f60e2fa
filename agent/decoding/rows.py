"""Rows: several prompts that grow by the same tokens, one forward per token for all of them.

A row is one prompt under one adapter. The rows of a reply are one left-padded batch with one cache. Rows
know tokens and logits; what a row means (base, persona, expert) is the engine's business.

Prompts are prefilled one by one, without padding, each from the longest prefix that is already known (a
system prompt, a persona, the thread so far), and only then laid into the batch: padding is never computed.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from mnemon.agent.decoding.fixed import FixedForward, fixed_capacity, fixed_width
from mnemon.agent.decoding.trunk import KeyValueCache, Trunk, memory_errors
from mnemon.errors import UsageError

PREFILL_CHUNK = 512  # tokens per forward: bounds the attention mask of a long prompt
STORE_BYTES = 256 * 2**20  # keys and values of known prefixes that are kept
SHORTEST_REUSE = 8  # tokens; copying less than this saves nothing


class RowPrompt(NamedTuple):
    """The tokens of one row, and the adapter it runs under (None: the model itself)."""

    ids: tuple[int, ...]
    adapter: str | None = None


@dataclass
class RowCounts:
    """What was computed: `forwards` of the network after prefill, `rows` of tokens through it in those."""

    forwards: int = 0
    rows: int = 0
    prefilled: int = 0
    reused: int = 0


class Rows(Protocol):
    """The rows of one reply. `logits` belong to the token that comes next."""

    logits: Tensor  # (rows, vocabulary), float32
    counts: RowCounts

    def step(self, token: int) -> Tensor:
        """Appends one token to every row; returns the new logits."""
        ...

    def look(self, candidates: Tensor) -> Tensor:
        """Hidden states (rows, k, hidden) after each of k candidate tokens, in one forward."""
        ...

    def take(self, index: int) -> Tensor:
        """Appends the candidate of that index of the last `look`; no forward is needed. Returns logits."""
        ...

    def close(self) -> None:
        """Remembers what was computed, so that the next turn starts from it."""
        ...


class RowModel(Protocol):
    """Where rows come from. `adapters` may be named in a RowPrompt."""

    name: str
    vocabulary: int
    hidden_size: int
    context_length: int

    @property
    def adapters(self) -> frozenset[str]: ...

    def prefill(self, prompts: Sequence[RowPrompt], *, room: int) -> Rows:
        """Reads the prompts; `room` tokens will follow."""
        ...


@dataclass
class Known:
    """One computed row: its tokens and their keys and values, per layer (2, kv_heads, n, head_dim)."""

    ids: tuple[int, ...]
    blocks: list[Tensor]
    last: Tensor  # hidden state of the last token, (hidden)

    @property
    def bytes(self) -> int:
        return sum(block.numel() * block.element_size() for block in self.blocks)


class Entry(Protocol):
    """One computed row, in whatever form a backend keeps it."""

    ids: tuple[int, ...]

    @property
    def bytes(self) -> int: ...


K = TypeVar("K", bound=Entry)


@dataclass
class PrefixStore(Generic[K]):
    """Rows computed earlier, by adapter; least recently used are dropped beyond `limit` bytes."""

    limit: int = STORE_BYTES
    _known: OrderedDict[tuple[str | None, tuple[int, ...]], K] = field(default_factory=OrderedDict)

    def longest(self, prompt: RowPrompt) -> tuple[K | None, int]:
        best, shared = None, 0
        for (adapter, ids), known in self._known.items():
            if adapter == prompt.adapter:
                n = common_prefix(ids, prompt.ids)
                if n > shared:
                    best, shared = known, n
        if best is None or shared < SHORTEST_REUSE:
            return None, 0
        self._known.move_to_end((prompt.adapter, best.ids))
        return best, shared

    def add(self, adapter: str | None, known: K) -> None:
        if known.bytes > self.limit:
            return
        # A row that goes on where another ends holds all that the other knew.
        for key in [k for k in self._known if k[0] == adapter and k[1] == known.ids[: len(k[1])]]:
            del self._known[key]
        self._known[(adapter, known.ids)] = known
        self._known.move_to_end((adapter, known.ids))
        while sum(entry.bytes for entry in self._known.values()) > self.limit:
            self._known.popitem(last=False)

    def clear(self) -> None:
        self._known.clear()


class TrunkRowModel:
    """Rows over a `Trunk`. `fixed`: forwards of fixed shapes; None: on a GPU, which can replay them."""

    def __init__(
        self, trunk: Trunk, *, store: PrefixStore[Known] | None = None, fixed: bool | None = None
    ) -> None:
        self.trunk = trunk
        self.fixed = trunk.device.type == "cuda" if fixed is None else fixed
        self.store: PrefixStore[Known] = store if store is not None else PrefixStore()
        self.name = trunk.name
        self.vocabulary = trunk.shape.vocabulary
        self.hidden_size = trunk.shape.hidden
        self.context_length = trunk.shape.context_length

    @property
    def adapters(self) -> frozenset[str]:
        return getattr(self.trunk, "adapters", frozenset())

    def prefill(self, prompts: Sequence[RowPrompt], *, room: int) -> "TrunkRows":
        check_prompts(prompts, self)
        counts = RowCounts()
        longest = max(len(prompt.ids) for prompt in prompts)
        with memory_errors(f"reading {len(prompts)} prompts of up to {longest} tokens"):
            known = [self.read(prompt, counts) for prompt in prompts]
            return TrunkRows(self, prompts, known, room=room, counts=counts)

    def read(self, prompt: RowPrompt, counts: RowCounts) -> Known:
        """One prompt, computed from its longest known prefix."""
        base, shared = self.store.longest(prompt)
        n = len(prompt.ids)
        if base is not None and shared == n == len(base.ids):
            counts.reused += n
            return base
        shared = min(shared, n - 1)  # the last token is computed again: its hidden state is needed
        trunk = self.trunk
        cache = KeyValueCache(trunk.shape, rows=1, capacity=n, dtype=trunk.dtype, device=trunk.device)
        if base is not None and shared:
            for block, source in zip(cache.blocks, base.blocks, strict=True):
                block[:, 0, :, :shared] = source[:, :, :shared]
            cache.length = shared
        counts.reused += shared
        counts.prefilled += n - shared
        ids = torch.tensor([prompt.ids], device=trunk.device)
        hidden = torch.empty(0)
        for start in range(shared, n, PREFILL_CHUNK):
            end = min(n, start + PREFILL_CHUNK)
            positions = torch.arange(start, end, device=trunk.device)[None]
            with adapted(trunk, [prompt.adapter]):
                hidden = trunk.forward(ids[:, start:end], positions, cache, causal_mask(start, end, trunk))
            cache.length = end
        known = Known(prompt.ids, [block[:, 0] for block in cache.blocks], hidden[0, -1])
        self.store.add(prompt.adapter, known)
        return known


class TrunkRows:
    """The rows of one reply over a `Trunk`: one left-padded batch, one cache."""

    def __init__(
        self,
        model: TrunkRowModel,
        prompts: Sequence[RowPrompt],
        known: Sequence[Known],
        *,
        room: int,
        counts: RowCounts,
    ) -> None:
        trunk = model.trunk
        self.counts = counts
        self._model, self._trunk = model, trunk
        self._prompts = list(prompts)
        self._adapters = [prompt.adapter for prompt in prompts]
        self._lengths = [len(prompt.ids) for prompt in prompts]
        self._written: list[int] = []
        longest = max(self._lengths)
        rows = len(prompts)
        # Which row runs under which adapter is decided outside of the network, where no graph sees it.
        self._fixed = model.fixed and not any(self._adapters)
        capacity = fixed_capacity(longest + room) if self._fixed else longest + room
        cache = KeyValueCache(
            trunk.shape, rows=rows, capacity=capacity, dtype=trunk.dtype, device=trunk.device
        )
        for row, (entry, n) in enumerate(zip(known, self._lengths, strict=True)):
            for block, source in zip(cache.blocks, entry.blocks, strict=True):
                block[:, row, :, longest - n : longest] = source[:, :, :n]
        cache.length = longest
        self._cache = cache
        self._offsets = torch.tensor([[n - longest] for n in self._lengths], device=trunk.device)
        self._mask = self._padding_mask(longest)
        self._looked: tuple[Tensor, Tensor] | None = None
        self._forwards: dict[int, FixedForward] = {}  # by width
        self.hidden = torch.stack([entry.last for entry in known])
        self.logits = trunk.logits(self.hidden)

    def _padding_mask(self, longest: int) -> Tensor | None:
        """(rows, 1, 1, capacity) additive; None when no row is padded."""
        if len(set(self._lengths)) == 1:
            return None
        mask = torch.zeros(
            len(self._lengths),
            1,
            1,
            self._cache.capacity,
            dtype=self._trunk.dtype,
            device=self._trunk.device,
        )
        for row, n in enumerate(self._lengths):
            mask[row, :, :, : longest - n] = float("-inf")
        return mask

    def _seen(self, columns: int) -> Tensor | None:
        if self._mask is None:
            return None
        if self._mask.shape[-1] < columns:  # the reply outgrew its room: new columns are visible
            self._mask = torch.nn.functional.pad(self._mask, (0, self._cache.capacity - self._mask.shape[-1]))
        return self._mask[..., :columns]

    def step(self, token: int) -> Tensor:
        cache, trunk = self._cache, self._trunk
        rows = len(self._lengths)
        with adapted(trunk, self._adapters), memory_errors(f"writing token {len(self._written)}"):
            cache.reserve(cache.length + 1)
            if self._fixed:
                hidden = self._fixed_forward(torch.full((1,), token, device=trunk.device))
            else:
                ids = torch.full((rows, 1), token, device=trunk.device)
                hidden = trunk.forward(ids, self._offsets + cache.length, cache, self._seen(cache.length + 1))
        cache.length += 1
        self._count(rows)
        self._written.append(token)
        self.hidden = hidden[:, 0]
        self.logits = trunk.logits(self.hidden)
        return self.logits

    def look(self, candidates: Tensor) -> Tensor:
        cache, trunk = self._cache, self._trunk
        k, rows = candidates.shape[0], len(self._lengths)
        with memory_errors(f"looking at {k} candidates"):
            cache.reserve(cache.length + (fixed_width(k) if self._fixed else k))
            if self._fixed:
                hidden = self._fixed_forward(candidates.to(trunk.device))
            else:
                hidden = self._forward_siblings(candidates)
        self._count(rows * k)
        self._looked = (candidates, hidden)
        return hidden

    def _fixed_forward(self, ids: Tensor) -> Tensor:
        width = fixed_width(len(ids))
        forward = self._forwards.get(width)
        if forward is None or not forward.fits(self._cache):
            forward = FixedForward(self._trunk, self._cache, self._lengths, width=width)
            self._forwards[width] = forward
        return forward(ids, self._cache.length)

    def _forward_siblings(self, candidates: Tensor) -> Tensor:
        """Candidates are siblings: each sees the prefix and itself, all at the same position."""
        trunk = self._trunk
        k, rows, start = candidates.shape[0], len(self._lengths), self._cache.length
        mask = torch.full((1, 1, k, start + k), float("-inf"), dtype=trunk.dtype, device=trunk.device)
        mask[..., :start] = 0
        mask[..., range(k), range(start, start + k)] = 0
        padding = self._seen(start + k)
        if padding is not None:
            mask = mask + padding
        ids = candidates.to(trunk.device)[None].expand(rows, k)
        with adapted(trunk, self._adapters):
            return trunk.forward(ids, (self._offsets + start).expand(rows, k), self._cache, mask)

    def take(self, index: int) -> Tensor:
        if self._looked is None:
            raise UsageError("take() follows look(); there are no candidates to take from.")
        candidates, hidden = self._looked
        self._looked = None
        self._cache.keep_column(self._cache.length + index)
        self._written.append(int(candidates[index]))
        self.hidden = hidden[:, index]
        self.logits = self._trunk.logits(self.hidden)
        return self.logits

    def _count(self, rows: int) -> None:
        self.counts.forwards += 1
        self.counts.rows += rows

    def close(self) -> None:
        longest = max(self._lengths)
        total = longest + len(self._written)
        if not self._written:
            return
        for row, (prompt, n) in enumerate(zip(self._prompts, self._lengths, strict=True)):
            blocks = [block[:, row, :, longest - n : total].clone() for block in self._cache.blocks]
            ids = prompt.ids + tuple(self._written)
            self._model.store.add(prompt.adapter, Known(ids, blocks, self.hidden[row].clone()))
        self._written = []


def causal_mask(start: int, end: int, trunk: Trunk) -> Tensor | None:
    """(1, 1, end - start, end), additive; None for a single token, which sees everything."""
    if end - start == 1:
        return None
    mask = torch.full((end - start, end), float("-inf"), dtype=trunk.dtype, device=trunk.device)
    return mask.triu(start + 1)[None, None]


class adapted:  # noqa: N801  reads as a statement: with adapted(trunk, adapters)
    """Tells a trunk that has adapters which row runs under which; does nothing for one that has none."""

    def __init__(self, trunk: Trunk, adapters: Sequence[str | None]) -> None:
        self._select = getattr(trunk, "select_adapters", None)
        self._adapters = adapters

    def __enter__(self) -> None:
        if self._select is not None:
            self._select(self._adapters)

    def __exit__(self, *_: object) -> None:
        if self._select is not None:
            self._select(None)


def check_prompts(prompts: Sequence[RowPrompt], model: RowModel) -> None:
    if not prompts:
        raise UsageError("There are no prompts to read; give at least one.")
    for prompt in prompts:
        if not prompt.ids:
            raise UsageError("A prompt is empty: it has no tokens.", hint="Give at least one token or word.")
        if len(prompt.ids) >= model.context_length:
            raise UsageError(
                f"A prompt has {len(prompt.ids)} tokens; {model.name!r} reads {model.context_length} in all.",
                hint="Shorten the conversation or the recalled memories, or use a model that reads more.",
            )
        if max(prompt.ids) >= model.vocabulary or min(prompt.ids) < 0:
            raise UsageError(
                f"Token {max(prompt.ids)} is not in the vocabulary of {model.name!r} ({model.vocabulary}).",
                hint="The tokens come from another model's tokenizer.",
            )
        if prompt.adapter is not None and prompt.adapter not in model.adapters:
            raise UsageError(
                f"{model.name!r} has no adapter {prompt.adapter!r}; it has {sorted(model.adapters)}.",
                hint="Give it when the model is opened: LocalChatModel.open(..., adapters={name: folder}).",
            )


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading tokens that two sequences share."""
    n = min(len(a), len(b))
    for i in range(n):
        if a[i] != b[i]:
            return i
    return n
