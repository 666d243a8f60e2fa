"""What of vLLM a logits processor meets, by its published signatures, and an engine that follows its rules.

Signatures: vllm-project/vllm, vllm/v1/sample/logits_processor/interface.py at 18ebdd48 (the V1 engine's
interface with `needs_output_token_ids`; documented as such from v0.10.1 on). How a batch changes from step
to step: its docs/design/logits_processors.md. Written anew; none of its code is here.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class SamplingParams:
    extra_args: dict[str, Any] | None = None


class MoveDirectionality(Enum):
    UNIDIRECTIONAL = auto()
    SWAP = auto()


@dataclass(frozen=True)
class BatchUpdate:
    batch_size: int
    removed: Sequence[int]
    added: Sequence[tuple[int, SamplingParams, list[int] | None, list[int]]]
    moved: Sequence[tuple[int, int, MoveDirectionality]]


class LogitsProcessor(ABC):
    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        return None

    @abstractmethod
    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None: ...

    @abstractmethod
    def apply(self, logits: Tensor) -> Tensor: ...

    @abstractmethod
    def is_argmax_invariant(self) -> bool: ...

    def needs_output_token_ids(self) -> bool:
        return False

    @abstractmethod
    def update_state(self, batch_update: BatchUpdate | None) -> None: ...


def install(monkeypatch: Any) -> None:
    """Makes `import vllm` find this, for one test."""
    for name in ("vllm", "vllm.v1", "vllm.v1.sample", "vllm.v1.sample.logits_processor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    place = sys.modules["vllm.v1.sample.logits_processor"]
    for one in (LogitsProcessor, BatchUpdate, MoveDirectionality):
        monkeypatch.setattr(place, one.__name__, one, raising=False)
    monkeypatch.delitem(sys.modules, "mnemon.agent.vllm_plugin", raising=False)


def config(tokenizer: str) -> Any:
    return SimpleNamespace(model_config=SimpleNamespace(tokenizer=tokenizer, tokenizer_revision=None))


@dataclass(eq=False)
class Request:
    """`next_logits` gives the model's own logits after each token that is written."""

    name: str
    prompt: list[int]
    next_logits: Callable[[int | None], Tensor]  # the token that was written; None at first
    wanted: int
    params: SamplingParams = field(default_factory=SamplingParams)
    written: list[int] = field(default_factory=list)
    chunks: int = 1  # in which the prompt is read; what is sampled after all but the last is thrown away
    forbidden: Sequence[int] = ()
    rows: list[Tensor] = field(default_factory=list)  # as they were sampled from
    _logits: Tensor | None = None

    def logits(self) -> Tensor:
        if self._logits is None:
            self._logits = self.next_logits(None)
        row = self._logits.clone()
        row[list(self.forbidden)] = float("-inf")  # a grammar's mask comes before the processors
        return row

    def take(self, token: int) -> None:
        self.written.append(token)
        self._logits = self.next_logits(token)

    @property
    def done(self) -> bool:
        return len(self.written) >= self.wanted


class Engine:
    """The persistent batch: finished requests are replaced, the rest condensed, rows swapped as it likes."""

    def __init__(self, processor: LogitsProcessor, *, swaps: Callable[[int], tuple[int, int] | None]) -> None:
        self._processor, self._swaps = processor, swaps
        self.batch: list[Request] = []
        self._waiting: list[tuple[int, Request]] = []
        self._steps = 0
        self.moves = self.updates = 0

    def add(self, request: Request, *, at_step: int = 0) -> None:
        type(self._processor).validate_params(request.params)
        self._waiting.append((at_step, request))

    def run(self) -> None:
        while self.batch or self._waiting:
            self._processor.update_state(self._rearranged())
            self._steps += 1
            if not self.batch:
                continue
            logits = torch.stack([request.logits() for request in self.batch])
            logits = self._processor.apply(logits)
            for row, request in zip(logits, self.batch, strict=True):
                if request.chunks > 1:
                    request.chunks -= 1
                    continue
                request.rows.append(row.clone())
                request.take(int(row.argmax()))

    def _rearranged(self) -> BatchUpdate | None:
        places: list[Request | None] = [None if one.done else one for one in self.batch]
        new = [one for step, one in self._waiting if step <= self._steps]
        self._waiting = [(step, one) for step, one in self._waiting if step > self._steps]
        empty = [place for place, one in enumerate(places) if one is None]
        added = []
        for request in new:
            place = empty.pop(0) if empty else len(places)
            if place == len(places):
                places.append(None)
            places[place] = request
            added.append((place, request.params, request.prompt, request.written))
        removed = sorted(empty, reverse=True)
        moved = []
        for place in empty:
            while places and places[-1] is None:
                places.pop()
            if place >= len(places):
                break
            moved.append((len(places) - 1, place, MoveDirectionality.UNIDIRECTIONAL))
            places[place] = places.pop()
        swap = self._swaps(len(places))
        if swap is not None:
            a, b = swap
            places[a], places[b] = places[b], places[a]
            moved.append((a, b, MoveDirectionality.SWAP))
        self.batch = [one for one in places if one is not None]
        if not (removed or added or moved):
            return None
        self.updates += 1
        self.moves += len(moved)
        return BatchUpdate(batch_size=len(self.batch), removed=removed, added=added, moved=moved)
