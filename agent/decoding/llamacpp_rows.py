"""Rows on llama.cpp: the weights as they are quantised.

A reply has a context of its own: rows are its sequences, what they share is read once, and candidates are
sequences that share all of their row. Where tokens go through the network one by one, each row has a context
until candidates are looked at. Earlier replies are kept as bytes, in the same store as on torch.
No adapters and no styles: llama.cpp applies one to a whole decode, not to a row of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnemon.agent.decoding.llamacpp import BATCH, MOST_SEQUENCES, Apart, Context, Logits, Weights
from mnemon.agent.decoding.rows import (
    SHORTEST_REUSE,
    PrefixStore,
    RowCounts,
    RowPrompt,
    check_prompts,
    common_prefix,
)
from mnemon.errors import ModelError, UsageError

SCORED_AT_ONCE = 64  # tokens of a continuation per decode: bounds the logits


@dataclass
class KnownState:
    """One computed row: its tokens, its sequence as bytes, and the logits that follow it."""

    ids: tuple[int, ...]
    state: NDArray[np.uint8]
    logits: Logits  # (vocabulary)

    @property
    def bytes(self) -> int:
        return self.state.nbytes + self.logits.nbytes


class LlamaCppRowModel:
    """Rows over a GGUF file. `gpu` wants a build of llama.cpp for one."""

    def __init__(
        self,
        file: Path,
        *,
        name: str | None = None,
        gpu: bool = False,
        threads: int | None = None,
        store: PrefixStore[KnownState] | None = None,
    ) -> None:
        self.weights = Weights(file, gpu=gpu)
        self.threads = threads or torch.get_num_threads()
        self.store: PrefixStore[KnownState] = store if store is not None else PrefixStore()
        self.name = f"{name or file.stem}@{self.weights.kind} (llama.cpp)"
        self.vocabulary = self.weights.vocabulary
        self.hidden_size = self.weights.hidden_size
        self.context_length = self.weights.context_length

    @property
    def adapters(self) -> frozenset[str]:
        return frozenset()

    @property
    def parameters(self) -> int:
        return self.weights.parameters

    def prefill(self, prompts: Sequence[RowPrompt], *, room: int) -> "LlamaCppRows":
        check_prompts(prompts, self)
        longest = max(len(prompt.ids) for prompt in prompts)
        try:
            context = self.open_rows(cells=longest + room, rows=len(prompts))
        except ModelError as e:
            doing = f"reading {len(prompts)} prompts of up to {longest} tokens"
            raise ModelError(f"Out of memory while {doing}.", hint=e.hint) from e
        return LlamaCppRows(self, prompts, context)

    def open_rows(self, *, cells: int, rows: int) -> Context | Apart:
        """Room for rows of so many tokens each."""
        if self.weights.at_once == 1:
            return Apart(self.weights, cells=cells, sequences=rows, threads=self.threads)
        return self.open_context(cells=cells * rows, sequences=rows)

    def open_context(self, *, cells: int, sequences: int, outputs: int | None = None) -> Context:
        if sequences > MOST_SEQUENCES:
            raise UsageError(
                f"{sequences} rows and candidates at once; llama.cpp takes {MOST_SEQUENCES}.",
                hint="Use fewer traits or a shorter shortlist, or engine='transformers'.",
            )
        return Context(
            self.weights,
            cells=cells,
            sequences=sequences,
            outputs=sequences if outputs is None else outputs,
            threads=self.threads,
        )

    def log_likelihoods(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[float]:
        """log p(continuation | prompt) in nats, summed over its tokens; the prompt is read once."""
        row = RowPrompt(tuple(prompt))
        check_prompts([row], self)
        for continuation in continuations:
            check_continuation(row.ids, continuation, self)
        n, longest = len(row.ids), max((len(c) for c in continuations), default=0)
        context = self.open_context(cells=n + longest, sequences=2, outputs=SCORED_AT_ONCE)
        try:
            first = torch.from_numpy(read_row(self, context, row, 0, counts=RowCounts())).double()
            return [self._score(context, n, continuation, first) for continuation in continuations]
        finally:
            context.close()

    def _score(self, context: Context, n: int, continuation: Sequence[int], first: Tensor) -> float:
        total = float(first.log_softmax(-1)[continuation[0]])
        context.copy(0, 1)
        for start in range(0, len(continuation) - 1, SCORED_AT_ONCE):
            ids = continuation[start : min(start + SCORED_AT_ONCE, len(continuation) - 1)]
            positions = range(n + start, n + start + len(ids))
            logits, _ = context.decode(ids, positions, [1] * len(ids))
            targets = torch.tensor(continuation[start + 1 : start + 1 + len(ids)])
            log_p = torch.from_numpy(logits).double().log_softmax(-1)
            total += float(log_p.gather(-1, targets[:, None]).sum())
        context.cut(1)
        return total

    def close(self) -> None:
        """Frees the weights now. Replies that are being written must be closed before."""
        self.store.clear()
        self.weights.close()


class LlamaCppRows:
    """The rows of one reply: the first sequences of its context; behind them those of candidates."""

    def __init__(
        self, model: LlamaCppRowModel, prompts: Sequence[RowPrompt], context: Context | Apart
    ) -> None:
        self.counts = RowCounts()
        self._model, self._prompts, self._context = model, list(prompts), context
        self._lengths = [len(prompt.ids) for prompt in prompts]
        self._written: list[int] = []
        self._looked: tuple[Tensor, Logits] | None = None
        logits: list[Logits] = []
        for row, prompt in enumerate(prompts):
            logits.append(self._read(row, prompt, logits))
        self.logits = torch.from_numpy(np.stack(logits))

    def _read(self, row: int, prompt: RowPrompt, earlier: Sequence[Logits]) -> Logits:
        """One prompt, from another row of this reply if that shares more than anything known."""
        shares = [common_prefix(self._prompts[other].ids, prompt.ids) for other in range(row)]
        other = int(np.argmax(shares)) if shares else -1
        shared = shares[other] if shares else 0
        n = len(prompt.ids)
        if shared < SHORTEST_REUSE:
            return read_row(self._model, self._context, prompt, row, counts=self.counts)
        if shared == n == self._lengths[other]:
            self._context.copy(other, row)
            self.counts.reused += n
            return earlier[other]
        if self._model.store.longest(prompt)[1] > shared:
            return read_row(self._model, self._context, prompt, row, counts=self.counts)
        shared = min(shared, n - 1)
        self._context.copy(other, row, end=shared)
        self.counts.reused += shared
        return read_on(self._model, self._context, prompt, row, start=shared, counts=self.counts)

    def step(self, token: int) -> Tensor:
        self._drop_candidates()
        rows = len(self._lengths)
        self._check_room(1)
        logits, _ = self._context.decode([token] * rows, self._positions(), range(rows))
        self.counts.forwards += 1
        self.counts.rows += rows
        self._written.append(token)
        self.logits = torch.from_numpy(logits)
        return self.logits

    def look(self, candidates: Tensor) -> Tensor:
        self._drop_candidates()
        ids = [int(token) for token in candidates]
        rows, k = len(self._lengths), len(ids)
        self._check_room(k, sequences=rows * (1 + k))
        sequences = range(rows, rows * (1 + k))
        for place, sequence in enumerate(sequences):
            self._context.copy(place // k, sequence)
        positions = [position for position in self._positions() for _ in ids]
        found = [
            self._context.decode(
                (ids * rows)[start : start + BATCH],
                positions[start : start + BATCH],
                sequences[start : start + BATCH],
                hidden=True,
            )
            for start in range(0, rows * k, BATCH)
        ]
        self.counts.forwards += 1
        self.counts.rows += rows * k
        logits = np.concatenate([part for part, _ in found]).reshape(rows, k, -1)
        self._looked = (candidates, logits)
        return torch.from_numpy(np.concatenate([part for _, part in found]).reshape(rows, k, -1))

    def take(self, index: int) -> Tensor:
        if self._looked is None:
            raise UsageError("take() follows look(); there are no candidates to take from.")
        candidates, logits = self._looked
        k = len(candidates)
        for row, position in enumerate(self._positions()):
            self._context.copy(len(self._lengths) + row * k + index, row, start=position)
        self._drop_candidates()
        self._written.append(int(candidates[index]))
        self.logits = torch.from_numpy(logits[:, index].copy())
        return self.logits

    def close(self) -> None:
        if self._context.closed:
            return
        self._drop_candidates()
        if self._written:
            self._remember()
        self._context.close()

    def _remember(self) -> None:
        for row, prompt in enumerate(self._prompts):
            ids = prompt.ids + tuple(self._written)
            known = KnownState(ids, self._context.state(row), self.logits[row].numpy().copy())
            self._model.store.add(None, known)

    def _positions(self) -> list[int]:
        """Where the next token of each row stands."""
        return [n + len(self._written) for n in self._lengths]

    def _drop_candidates(self) -> None:
        if self._looked is None:
            return
        rows = len(self._lengths)
        for sequence in range(rows, rows * (1 + len(self._looked[0]))):
            self._context.cut(sequence)
        self._looked = None

    def _check_room(self, tokens: int, *, sequences: int = 0) -> None:
        """Moves the rows to a larger context when they outgrow theirs, and to a common one for candidates."""
        old, rows = self._context, len(self._lengths)
        if old.closed:
            raise UsageError("These rows are closed; prefill() opens new ones.")
        common = not old.apart or sequences > rows
        # In a common one, cells that rows share are counted twice, to be safe.
        needed = sum(self._positions()) + tokens * rows if common else max(self._positions()) + tokens
        there = old.cells * rows if common and old.apart else old.cells
        sequences = max(sequences, old.sequences)
        if needed <= there and sequences == old.sequences:
            return
        cells = there if needed <= there else max(needed, 2 * there)
        larger: Context | Apart
        if common:
            larger = self._model.open_context(cells=cells, sequences=sequences)
        else:
            larger = self._model.open_rows(cells=cells, rows=rows)
        for row in range(rows):
            larger.restore(row, old.state(row))
        old.close()
        self._context = larger


def read_row(
    model: LlamaCppRowModel, context: Context | Apart, prompt: RowPrompt, row: int, *, counts: RowCounts
) -> Logits:
    """One prompt into a sequence, from its longest known prefix. Returns the logits that follow it."""
    base, shared = model.store.longest(prompt)
    n = len(prompt.ids)
    if base is not None:
        context.restore(row, base.state)
        if shared == n == len(base.ids):
            counts.reused += n
            return base.logits
        shared = min(shared, n - 1)  # the last token is computed again: its logits are needed
        context.cut(row, shared)
    counts.reused += shared
    return read_on(model, context, prompt, row, start=shared, counts=counts)


def read_on(
    model: LlamaCppRowModel,
    context: Context | Apart,
    prompt: RowPrompt,
    row: int,
    *,
    start: int,
    counts: RowCounts,
) -> Logits:
    """The rest of a prompt whose beginning is there; what was computed is remembered."""
    n = len(prompt.ids)
    counts.prefilled += n - start
    logits = np.empty((0, 0), np.float32)
    for begin in range(start, n, BATCH):
        end = min(n, begin + BATCH)
        wanted = [place == n - 1 for place in range(begin, end)]
        logits, _ = context.decode(
            prompt.ids[begin:end], range(begin, end), [row] * (end - begin), wanted=wanted
        )
    last: Logits = logits[0]
    model.store.add(None, KnownState(prompt.ids, context.state(row), last))
    return last


def check_continuation(prompt: Sequence[int], continuation: Sequence[int], model: LlamaCppRowModel) -> None:
    if not continuation:
        raise UsageError("A continuation is empty: it has no tokens, so no likelihood.")
    if len(prompt) + len(continuation) > model.context_length:
        raise UsageError(
            f"Prompt and continuation have {len(prompt) + len(continuation)} tokens; "
            f"{model.name!r} reads {model.context_length}.",
            hint="Shorten the prompt.",
        )
