"""From logits to one token: greedy or sampled, the same dice for the base and the steered distribution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mnemon.agent.decoding.steering import Floats, LogitsProcessor


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn. `temperature=0` takes the likeliest."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


class Picker:
    """Draws tokens by the Gumbel-max rule: argmax of logits/temperature + noise.

    One noise vector serves several distributions, so "would the base model have said this?" has an answer
    also when tokens are sampled: the two draws differ only where steering made the difference.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._dice = torch.Generator()
        if sampling.seed is None:
            self._dice.seed()
        else:
            self._dice.manual_seed(sampling.seed)

    def roll(self, vocabulary: int) -> Tensor | None:
        """The noise of one step; None when tokens are not sampled."""
        if self._sampling.temperature == 0:
            return None
        uniform = torch.rand(vocabulary, generator=self._dice).clamp_(1e-20, 1 - 1e-7)
        return uniform.log_().neg_().log_().neg_()

    def pick(self, logits: Tensor, noise: Tensor | None) -> int:
        """The token that these logits (vocabulary) and this noise choose."""
        if noise is None:
            return _likeliest(logits)
        scaled = logits.float() / self._sampling.temperature
        return int((nucleus(scaled, self._sampling.top_p) + noise.to(logits.device)).argmax())


def _likeliest(logits: Tensor) -> int:
    # torch wakes all its threads for this, and they stand in the way of llama.cpp's.
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return int(np.argmax(logits.numpy()))
    return int(logits.argmax())


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Keeps the fewest likeliest tokens whose probability reaches `top_p`; the others become −inf."""
    if top_p >= 1:
        return logits
    ordered, order = logits.softmax(dim=-1).sort(descending=True)
    dropped = ordered.cumsum(dim=-1) - ordered >= top_p  # the likeliest always stays
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), float("-inf"))


def from_transformers(processor: Callable[[Tensor, Tensor], Tensor]) -> LogitsProcessor:
    """A LogitsProcessor of transformers as one of ours. It sees the reply's tokens, without the prompt's."""

    def process(written: Sequence[int], values: Floats) -> Floats:
        ids = torch.tensor([list(written)], dtype=torch.long)  # (1, written)
        return processor(ids, torch.from_numpy(values)[None])[0].numpy()

    return process
