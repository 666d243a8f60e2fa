"""Rules over words on the rows of somebody else's batch: what `mnemon.agent.vllm_plugin` does in vLLM.

Knows logits, tokens and rows that come, go and change places; not vLLM. Each row is decided by the decoder's
own step, so that a budget means there what it means here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor

from mnemon.agent.codec import Codec
from mnemon.agent.decoding.linear import with_ends
from mnemon.agent.decoding.steering import BASE, Choice, LambdaPolicy, PolicyStep, RunningPolicy, Steering
from mnemon.agent.decoding.stepping import Steerer


class SteeredRows:
    """The steered rows of a batch by their place; the others are left alone."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._rows: dict[int, _Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, place: int, steering: Steering | None, written: Sequence[int]) -> None:
        """A new reply at a place. `written` is the list that its tokens are added to."""
        self._rows.pop(place, None)
        if steering is not None and not steering.idle:
            self._rows[place] = _Row(steering, self._codec, written)

    def drop(self, place: int) -> None:
        self._rows.pop(place, None)

    def move(self, source: int, target: int, *, swap: bool) -> None:
        moved, other = self._rows.pop(source, None), self._rows.pop(target, None)
        if moved is not None:
            self._rows[target] = moved
        if swap and other is not None:
            self._rows[source] = other

    def apply(self, logits: Tensor) -> Tensor:
        """Steers the rows (rows, vocabulary) in place."""
        for place, row in self._rows.items():
            if place < logits.shape[0]:
                row.steer(logits[place])
        return logits


@dataclass
class _Held:
    """A policy that counts a step's divergence only when its token has been written: a server may ask again
    for the same step, as after a part of a long prompt."""

    inner: RunningPolicy
    kl: float | None = None  # of the step that waits for its token; None where the policy was not asked

    @property
    def never(self) -> bool:
        return False

    def start(self) -> "_Held":
        return self

    def choose(self, step: PolicyStep) -> Choice:
        return self.inner.choose(step)

    def spent(self, kl: float) -> None:
        self.kl = kl

    def count(self) -> None:
        if self.kl is not None:
            self.inner.spent(self.kl)
        self.kl = None


class _Row:
    def __init__(self, steering: Steering, codec: Codec, written: Sequence[int]) -> None:
        policy: LambdaPolicy = steering.policy
        self._policy = _Held(policy.start())
        known = with_ends(steering, codec.end_ids)
        self._steerer = Steerer(replace(known, policy=self._policy), codec.end_ids, _text_of(codec))
        self._written = written
        self._noted = 0
        self._note_new()  # what a reply that comes back had already written

    def steer(self, logits: Tensor) -> None:
        """One row (vocabulary). What is −∞ there is forbidden already, by a grammar for instance."""
        self._note_new()
        base = logits.float() if logits.dtype != torch.float32 else logits
        outcome = self._steerer.decide({BASE: base}, ~torch.isneginf(base), _never_looks)
        if outcome.logits is not base:
            logits.copy_(outcome.logits)

    def _note_new(self) -> None:
        for token in self._written[self._noted :]:
            self._policy.count()
            self._steerer.note(int(token))
        self._noted = len(self._written)


def _text_of(codec: Codec) -> Any:
    def shown(ids: Sequence[int]) -> str:
        return codec.token_text(ids[0]) if len(ids) == 1 else codec.decode(ids)

    return shown


def _never_looks(_: Tensor) -> NoReturn:
    raise AssertionError("rules over words read no hidden states")
