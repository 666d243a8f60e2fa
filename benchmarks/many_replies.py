"""Replies to many prompts at once, for the benchmarks of quality: all prompts' rows are one batch.

The product writes one reply at a time; here dozens grow together, which is ten times quicker on a processor
with products of matrices. Each reply has its own `Steerer`, so what is measured is the product's own step.
Divergence is taken over the whole vocabulary against the plain conversation, whatever a method calls base.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mnemon.agent import LocalChatModel, Message
from mnemon.agent.decoding import Branch, Steering
from mnemon.agent.decoding.policies import Fixed
from mnemon.agent.decoding.rewards import Contrast
from mnemon.agent.decoding.rows import RowCounts, RowPrompt, TrunkRowModel, adapted
from mnemon.agent.decoding.steering import BASE, CandidateReward
from mnemon.agent.decoding.stepping import Outcome, Steerer, shortlisted
from mnemon.agent.decoding.trunk import KeyValueCache
from mnemon.agent.local import with_instruction

SteeringFor = Callable[[int], Steering | None]


@dataclass
class Written:
    """One reply and the divergence of each of its steps."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)  # of each token: steered, and under the plain model
    base_log_p: list[float] = field(default_factory=list)
    ended: bool = False

    def record(self, token: int, final: Tensor, base: Tensor, *, kl: float | None) -> None:
        """`kl` None: to be taken here, over the whole vocabulary."""
        if kl is None:
            log_pi, log_p = final.log_softmax(-1), base.log_softmax(-1)
            held = ~torch.isneginf(log_pi)
            kl = float((log_pi[held].exp() * (log_pi[held] - log_p[held])).sum())
        self.kl.append(max(0.0, kl))
        self.base_log_p.append(float(base[token] - base.logsumexp(-1)))
        same = final is base
        self.log_p.append(self.base_log_p[-1] if same else float(final[token] - final.logsumexp(-1)))
        self.ids.append(token)


def write_all(
    model: LocalChatModel,
    conversations: Sequence[Sequence[Message]],
    steering: Steering | SteeringFor | None,
    *,
    max_tokens: int,
    forced: Sequence[Sequence[int]] | None = None,
) -> list[Written]:
    """Greedy replies; `steering` may differ by the conversation's place. `forced` are replies to be read."""
    shares = _shares(steering) if isinstance(steering, Steering) and forced is None else None
    if shares is not None:
        return _write_mixed(model, conversations, steering, shares=shares, max_tokens=max_tokens)
    chosen = [steering(i) if callable(steering) else steering for i in range(len(conversations))]
    batch = _Batch(model, conversations, chosen, room=max_tokens)
    steerers = [
        None if one is None or one.idle else Steerer(one, model.codec.end_ids, _shown(model))
        for one in chosen
    ]
    replies = [Written() for _ in conversations]
    for t in range(max_tokens):
        tokens = []
        hidden = batch.look(chosen)
        for place, (reply, steerer) in enumerate(zip(replies, steerers, strict=True)):
            logits = batch.logits(place)
            final, kl = logits[BASE], 0.0 if steerer is None else None
            if steerer is not None and not reply.ended:
                outcome = steerer.decide(logits, None, lambda _, h=hidden, p=place: h[p])  # type: ignore[misc]
                final = outcome.logits
                kl = _known_divergence(chosen[place], outcome, final is logits[BASE])
            token = int(final.argmax()) if forced is None else forced[place][min(t, len(forced[place]) - 1)]
            tokens.append(token)
            if reply.ended:
                continue
            if steerer is not None:
                outcome.base_token = -1
                steerer.report(token, outcome)
            reply.record(token, final, logits[BASE], kl=kl)
            last = forced is not None and t + 1 == len(forced[place])
            reply.ended = token in model.codec.end_ids or last
        if all(reply.ended for reply in replies):
            break
        batch.step(tokens)
    return _finished(model, replies)


def _finished(model: LocalChatModel, replies: list[Written]) -> list[Written]:
    for reply in replies:
        if reply.ids and reply.ids[-1] in model.codec.end_ids:
            reply.ids.pop()
        reply.text = model.codec.decode(reply.ids)
    return replies


def _shares(steering: Steering) -> dict[str, float] | None:
    """c of the methods that are l* = Σ c_j·l_j over the whole vocabulary; None of all others."""
    whole = steering.shortlist.top is None and not steering.shortlist.plausibility
    plain = steering.scale == steering.temperature == 1.0 and not steering.gates and not steering.freeze_end
    if not (whole and plain and steering.shortlist.rest == "drop" and isinstance(steering.policy, Fixed)):
        return None
    shares = defaultdict(float, steering.mix)
    for term in steering.active_terms():
        if term.normalise != "none" or not isinstance(term.reward, Contrast):
            return None
        shares[term.reward.wanted.name] += steering.policy.lam * term.weight
        shares[term.reward.against.name] -= steering.policy.lam * term.weight
    return dict(shares)


def _write_mixed(
    model: LocalChatModel,
    conversations: Sequence[Sequence[Message]],
    steering: Steering,
    *,
    shares: Mapping[str, float],
    max_tokens: int,
) -> list[Written]:
    """The same as a `Steerer` for each reply, which would do the vocabulary's sums one by one in doubles."""
    batch = _Batch(model, conversations, [steering] * len(conversations), room=max_tokens)
    replies = [Written() for _ in conversations]
    for _ in range(max_tokens):
        base = batch.of_all(BASE).log_softmax(-1)
        mixed = sum(share * batch.of_all(name) for name, share in shares.items() if share)
        assert isinstance(mixed, Tensor)
        final = mixed.log_softmax(-1)
        kl = (final.exp() * (final - base)).sum(-1)
        tokens = [int(token) for token in final.argmax(-1)]
        for place, (reply, token) in enumerate(zip(replies, tokens, strict=True)):
            if reply.ended:
                continue
            reply.ids.append(token)
            reply.kl.append(max(0.0, float(kl[place])))
            reply.log_p.append(float(final[place, token]))
            reply.base_log_p.append(float(base[place, token]))
            reply.ended = token in model.codec.end_ids
        if all(reply.ended for reply in replies):
            break
        batch.step(tokens)
    return _finished(model, replies)


def _known_divergence(steering: Steering | None, outcome: Outcome, unchanged: bool) -> float | None:
    """What the step itself says, where it is exact: nothing else was mixed in, all other tokens are kept."""
    if unchanged:
        return 0.0
    assert steering is not None
    kept = dict(steering.mix) == {BASE: 1.0} and steering.shortlist.rest == "keep"
    return outcome.kl if kept and steering.scale == steering.temperature == 1.0 else None


class _Batch:
    """The rows of all replies in one left-padded batch."""

    def __init__(
        self,
        model: LocalChatModel,
        conversations: Sequence[Sequence[Message]],
        steerings: Sequence[Steering | None],
        *,
        room: int,
    ) -> None:
        rows = model.rows
        assert isinstance(rows, TrunkRowModel)
        self._trunk = trunk = rows.trunk
        self._places: list[dict[str, int]] = []
        prompts: list[RowPrompt] = []
        for conversation, steering in zip(conversations, steerings, strict=True):
            used = {} if steering is None or steering.idle else steering.used_branches()
            branches = {BASE: Branch(name=BASE), **used}
            self._places.append({name: len(prompts) + i for i, name in enumerate(branches)})
            prompts += [_row(model, branch, conversation) for branch in branches.values()]
        self._adapters = [prompt.adapter for prompt in prompts]
        known = [rows.read(prompt, RowCounts()) for prompt in prompts]
        lengths = [len(prompt.ids) for prompt in prompts]
        longest = max(lengths)
        self._cache = KeyValueCache(
            trunk.shape,
            rows=len(prompts),
            capacity=longest + room + 64,
            dtype=trunk.dtype,
            device=trunk.device,
        )
        self._mask = torch.zeros(len(prompts), 1, 1, self._cache.capacity, dtype=trunk.dtype)
        for row, (entry, n) in enumerate(zip(known, lengths, strict=True)):
            for block, source in zip(self._cache.blocks, entry.blocks, strict=True):
                block[:, row, :, longest - n : longest] = source[:, :, :n]
            self._mask[row, :, :, : longest - n] = float("-inf")
        self._cache.length = longest
        self._offsets = torch.tensor([[n - longest] for n in lengths])
        self._logits = trunk.logits(torch.stack([entry.last for entry in known]))

    def logits(self, place: int) -> Mapping[str, Tensor]:
        return {name: self._logits[row] for name, row in self._places[place].items()}

    def of_all(self, branch: str) -> Tensor:
        """(replies, vocabulary) of one branch."""
        return self._logits[[places[branch] for places in self._places]]

    def step(self, tokens: Sequence[int]) -> None:
        per_row = torch.empty(len(self._offsets), 1, dtype=torch.long)
        for places, token in zip(self._places, tokens, strict=True):
            per_row[list(places.values())] = token
        length = self._cache.length
        with adapted(self._trunk, self._adapters):
            hidden = self._trunk.forward(
                per_row, self._offsets + length, self._cache, self._mask[..., : length + 1]
            )
        self._cache.length += 1
        self._logits = self._trunk.logits(hidden[:, 0])

    def look(self, steerings: Sequence[Steering | None]) -> list[Tensor]:
        """Per reply, (k, hidden) of its shortlist, if its steering reads hidden states."""
        first = steerings[0]
        if first is None or not any(isinstance(t.reward, CandidateReward) for t in first.active_terms()):
            return []
        picked = [shortlisted(self._logits[places[BASE]], first.shortlist, None) for places in self._places]
        k, start = max(map(len, picked)), self._cache.length
        ids = torch.zeros(len(self._offsets), k, dtype=torch.long)
        for places, candidates in zip(self._places, picked, strict=True):
            ids[places[BASE], : len(candidates)] = candidates
        self._cache.reserve(start + k)
        mask = torch.full((1, 1, k, start + k), float("-inf"), dtype=self._trunk.dtype)
        mask[..., :start] = 0
        mask[..., range(k), range(start, start + k)] = 0
        seen = mask + self._mask[..., : start + k]
        hidden = self._trunk.forward(ids, (self._offsets + start).expand(-1, k), self._cache, seen)
        return [hidden[places[BASE], : len(p)] for places, p in zip(self._places, picked, strict=True)]


def _row(model: LocalChatModel, branch: Branch, conversation: Sequence[Message]) -> RowPrompt:
    messages = [dict(message) for message in branch.messages or conversation]
    if branch.instruction:
        messages = with_instruction(messages, branch.instruction)
    ids = branch.ids if branch.ids is not None else tuple(model.codec.prompt_ids(messages))
    return RowPrompt(ids, branch.adapter)


def _shown(model: LocalChatModel) -> Callable[[Sequence[int]], str]:
    return lambda ids: model.codec.token_text(ids[0]) if len(ids) == 1 else model.codec.decode(ids)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
