"""The forms in which other methods were released, rewritten to be timed on the same weights.

Each does what its code does per token and no more: prompts one after the other, read anew for every token
where no cache is kept, over the whole vocabulary where no shortlist is taken. All give the seconds of each
token. Rewards are random directions, because speed does not depend on them. PANDA and Drift have no public
code; theirs are the loops of the papers.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

CANDIDATES = 10  # as ARGS, PAD and PANDA have it
UNCACHED = 6  # tokens of a form that reads everything anew: more would tell no more
CACHED = 24  # of one that keeps caches but takes a network call for each row
AMULET_STEPS = 60

Clock = Callable[[], float]


class ReleasedForms:
    """`model` is transformers' own; `prompts` are token ids, of one row each, the plain one first."""

    def __init__(self, model: Any, prompts: Sequence[Tensor], *, new: int, clock: Clock = time.perf_counter):
        self._model, self._prompts, self._new, self._clock = model, prompts, new, clock
        self._weight = torch.randn(model.config.hidden_size, dtype=model.dtype)

    def cases(self) -> dict[str, Callable[[], list[float]]]:
        return {
            "transformers generate": self.generate,
            "CFG, transformers' own": self.guided_generate,
            "CoS: two generate calls": self.context_steering,
            "AMULET: uncached, 60 steps": self.amulet,
            "PAD: uncached, shortlist": self.pad,
            "Drift: seven, one by one": self.drift,
            "ARGS: two networks, cached": self.args,
            "PANDA: uncached": self.panda,
        }

    def generate(self, **options: object) -> list[float]:
        times: list[float] = []

        def note_time(_: Tensor, scores: Tensor) -> Tensor:
            times.append(self._clock())
            return scores

        self._model.generate(
            self._prompts[0],
            max_new_tokens=self._new,
            min_new_tokens=self._new,
            do_sample=False,
            pad_token_id=0,
            logits_processor=[note_time],
            **options,
        )
        return np.diff(times).tolist()

    def guided_generate(self) -> list[float]:
        return self.generate(guidance_scale=1.5, negative_prompt_ids=self._prompts[1])

    def context_steering(self) -> list[float]:
        """Every token is a call of `generate` for each prompt, which reads it anew."""

        def scores(text: Tensor) -> Tensor:
            output = self._model.generate(
                text,
                attention_mask=torch.ones_like(text),
                max_new_tokens=1,
                do_sample=False,
                pad_token_id=0,
                output_logits=True,
                return_dict_in_generate=True,
            )
            return _log_p(output.logits[0])

        def token(texts: Sequence[Tensor]) -> Tensor:
            plain, wanted = map(scores, texts)
            return (wanted + 1.5 * (wanted - plain)).argmax(-1)

        return self._uncached(token)

    def amulet(self) -> list[float]:
        def token(texts: Sequence[Tensor]) -> Tensor:
            plain, wanted = map(self._read, texts)
            policy, utilities = wanted.clone(), torch.zeros_like(wanted)
            for t in range(1, AMULET_STEPS + 1):
                utilities += 2.0 * (policy - plain)
                policy = _log_p((utilities / t + 2.0 * wanted + policy / (10.0 * t)) / (2.0 + 1 / (10.0 * t)))
            return policy.argmax(-1)

        return self._uncached(token)

    def pad(self) -> list[float]:
        def token(texts: Sequence[Tensor]) -> Tensor:
            plain, wanted = map(self._read, texts)
            best = plain.topk(CANDIDATES).indices
            base, reward = (_log_p(read.gather(-1, best)) for read in (plain, wanted))
            return best.gather(-1, (base + 1.0 * (reward - base)).argmax(-1, keepdim=True))[:, 0]

        return self._uncached(token)

    @torch.inference_mode()
    def drift(self) -> list[float]:
        """Each attribute's prompt is a network call of its own, with a cache of its own."""
        outputs = [self._model(prompt) for prompt in self._prompts]
        times = [self._clock()]
        for _ in range(min(self._new, CACHED)):
            neutral, *attributes = (output.logits[:, -1].float() for output in outputs)
            moved = sum((one - neutral for one in attributes), start=neutral)
            token = moved.argmax(-1, keepdim=True)
            outputs = [self._model(token, past_key_values=output.past_key_values) for output in outputs]
            times.append(self._clock())
        return np.diff(times).tolist()

    @torch.inference_mode()
    def args(self) -> list[float]:
        """A step of the model, then ten rows of a reward network of its size."""
        model, prompt = self._model, self._prompts[0]
        judge, output = model(prompt).past_key_values, model(prompt)
        times = [self._clock()]
        for _ in range(min(self._new, CACHED)):
            best = output.logits[0, -1].float().topk(CANDIDATES)
            judge.batch_repeat_interleave(CANDIDATES)
            states = model.base_model(best.indices[:, None], past_key_values=judge).last_hidden_state[:, -1]
            winner = (best.values + 1.5 * (states @ self._weight).float()).argmax()
            judge.batch_select_indices(winner[None])
            output = model(best.indices[winner][None, None], past_key_values=output.past_key_values)
            times.append(self._clock())
        return np.diff(times).tolist()

    @torch.inference_mode()
    def panda(self) -> list[float]:
        """Algorithm 1 word for word: every candidate's whole text is read."""
        text, times = self._prompts[0], [self._clock()]
        for _ in range(min(self._new, UNCACHED // 2)):
            best = self._read(text)[0].exp().topk(CANDIDATES)
            longer = [torch.cat([text, token[None, None]], dim=1) for token in best.indices]
            rewards = [self._model.base_model(one).last_hidden_state[0, -1] @ self._weight for one in longer]
            text = longer[int((best.values + torch.stack(rewards).float()).argmax())]
            times.append(self._clock())
        return np.diff(times).tolist()

    def _read(self, text: Tensor) -> Tensor:
        return _log_p(self._model(text, use_cache=False).logits[:, -1])

    @torch.inference_mode()
    def _uncached(self, token_of: Callable[[Sequence[Tensor]], Tensor]) -> list[float]:
        """Two prompts, both whole for every token."""
        texts, times = list(self._prompts[:2]), [self._clock()]
        for _ in range(min(self._new, UNCACHED)):
            token = token_of(texts)[:, None]
            texts = [torch.cat([text, token], dim=1) for text in texts]
            times.append(self._clock())
        return np.diff(times).tolist()


def _log_p(logits: Tensor) -> Tensor:
    return logits.float().log_softmax(-1)
