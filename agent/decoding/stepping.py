"""One steered step: shortlist, rewards, λ, and the logits that come of it.

Knows branches' logits and a steering. Knows no network, no dice and no grammar, so every published rule can
be checked here against its formula.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnemon.agent.decoding.steering import (
    CandidateReward,
    Floats,
    Ids,
    Normalise,
    PolicyStep,
    RunningGate,
    Shortlist,
    Steering,
    Term,
)
from mnemon.agent.decoding.trace import TokenTrace
from mnemon.errors import UsageError

Flags = NDArray[np.bool_]
TextOf = Callable[[Sequence[int]], str]
Look = Callable[[Tensor], Tensor]  # candidates (k) -> hidden states (k, hidden)

_FLAT = 1e-9  # a reward that varies less than this says nothing


@dataclass
class Outcome:
    """What one step decided. `logits` is `base` itself when nothing was steered."""

    logits: Tensor  # (vocabulary)
    base: Tensor  # (vocabulary)
    allowed: Tensor | None  # (vocabulary) of a grammar
    lam: float = 0.0
    kl: float = 0.0
    candidates: Ids = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    contributions: dict[str, Floats] = field(default_factory=dict)  # (k) each
    note: str = ""
    base_token: int = -1


class View:
    """What rewards read: a `StepView`."""

    def __init__(
        self,
        t: int,
        candidates: Ids,
        log_p: Floats,
        *,
        gathered: Mapping[str, Floats],
        written: Sequence[int],
        text_of: TextOf,
    ) -> None:
        self.t, self.candidates, self.log_p = t, candidates, log_p
        self._gathered, self._written, self._text_of = gathered, written, text_of

    def logits(self, branch: str) -> Floats:
        return self._gathered[branch]

    def written(self) -> Sequence[int]:
        return self._written

    @cached_property
    def _text(self) -> str:
        return self._text_of(self._written)

    @cached_property
    def _candidate_texts(self) -> list[str]:
        return [self._text_of([int(token)]) for token in self.candidates]

    def text(self) -> str:
        return self._text

    def candidate_texts(self) -> list[str]:
        return self._candidate_texts


class Steerer:
    """A steering within one reply."""

    def __init__(self, steering: Steering, end_ids: frozenset[int], text_of: TextOf) -> None:
        self._steering, self._end_ids, self._text_of = steering, end_ids, text_of
        self._policy = steering.policy.start()
        self._gates: list[RunningGate] = [gate.start() for gate in steering.gates]
        self._terms = steering.active_terms()
        self._written: list[int] = []
        self._broken = ""

    def decide(self, logits: Mapping[str, Tensor], allowed: Tensor | None, look: Look) -> Outcome:
        steering = self._steering
        base = self._mixed(logits)
        outcome = Outcome(base, base, allowed)
        openness = min((gate.openness() for gate in self._gates), default=1.0)
        if openness <= 0:
            outcome.note = "gate closed"
            return outcome
        judge = base if steering.shortlist.judge is None else logits[steering.shortlist.judge]
        chosen = shortlisted(judge, steering.shortlist, allowed)
        log_z = float(base.logsumexp(-1))
        log_p = base[chosen].double().cpu().numpy() - log_z
        candidates = chosen.cpu().numpy()
        free = np.ones(len(candidates), dtype=bool)
        if steering.freeze_end:
            free = ~np.isin(candidates, list(self._end_ids))
        if free.sum() < (2 if steering.shortlist.rest == "keep" else 1):
            outcome.note = "one plausible token"
            return outcome
        mass = float(np.exp(log_p[free]).sum())
        inner = log_p[free] - _log_sum(log_p[free])
        rewards = self._rewards(logits, chosen, look, candidates[free], inner, free)
        if rewards is None:
            outcome.note = self._broken
            return outcome
        total = sum((reward * term.weight for term, reward in rewards), start=np.zeros(len(inner)))
        choice = self._policy.choose(PolicyStep(len(self._written), inner, total, mass, openness))
        if not np.isfinite(choice.lam):
            outcome.note = "λ was not a number; the base model's token was kept"
            return outcome
        outcome.lam, outcome.candidates = choice.lam, candidates[free]
        outcome.contributions = {term.name: choice.lam * term.weight * reward for term, reward in rewards}
        if choice.lam == 0 and choice.scores is None and steering.shortlist.rest == "keep":
            self._policy.spent(0.0)
            return outcome
        if choice.lam == 0 and choice.scores is None:
            outcome.logits = torch.full_like(base, float("-inf"))
            outcome.logits[chosen] = base[chosen]
            outcome.kl = max(0.0, -_log_sum(log_p))
            self._policy.spent(outcome.kl)
            return outcome
        scores = inner + choice.lam * total if choice.scores is None else choice.scores
        self._write(outcome, scores, inner, chosen, free, log_p, mass)
        self._policy.spent(outcome.kl)
        return outcome

    def _mixed(self, logits: Mapping[str, Tensor]) -> Tensor:
        steering = self._steering
        mixed: Tensor | None = None
        for name, share in steering.mix.items():
            part = logits[name] if steering.temperature == 1.0 else logits[name] / steering.temperature
            part = part if share == 1.0 else share * part
            mixed = part if mixed is None else mixed + part
        assert mixed is not None  # a steering mixes at least one branch
        return mixed if steering.scale == 1.0 else mixed * steering.scale

    def _rewards(
        self,
        logits: Mapping[str, Tensor],
        chosen: Tensor,
        look: Look,
        candidates: Ids,
        inner: Floats,
        free: Flags,
    ) -> list[tuple[Term, Floats]] | None:
        """Each active term's normalised reward; None when one of them is not a number."""
        scale = self._steering.scale / self._steering.temperature
        # All branches at once: a GPU is waited for once, and not for each.
        values = torch.stack([branch[chosen] for branch in logits.values()]).double().cpu().numpy()
        gathered = {name: (row * scale)[free] for name, row in zip(logits, values, strict=True)}
        view = View(
            len(self._written),
            candidates,
            inner,
            gathered=gathered,
            written=self._written,
            text_of=self._text_of,
        )
        hidden: Floats | None = None
        scored = []
        for term in self._terms:
            if isinstance(term.reward, CandidateReward):
                if hidden is None:
                    hidden = look(chosen).double().cpu().numpy()[free]
                reward = term.reward.score_hidden(view, hidden)
            else:
                reward = term.reward.score(view)
            if np.shape(reward) != inner.shape:
                raise UsageError(
                    f"Reward {term.name!r} gave scores of shape {np.shape(reward)}; one for each of the "
                    f"{len(inner)} candidates was expected."
                )
            if not np.isfinite(reward).all():
                self._broken = f"reward {term.name!r} was not a number; the base model's token was kept"
                return None
            scored.append((term, normalised(reward, inner, term.normalise)))
        return scored

    def _write(
        self,
        outcome: Outcome,
        scores: Floats,
        inner: Floats,
        chosen: Tensor,
        free: Flags,
        log_p: Floats,
        mass: float,
    ) -> None:
        """Puts steered log-probabilities into the vocabulary and notes how far they moved."""
        steered = scores - _log_sum(scores)
        probabilities = np.exp(steered)
        inner_kl = max(0.0, float((probabilities * (steered - inner)).sum()))
        where = chosen[torch.from_numpy(np.flatnonzero(free)).to(chosen.device)]
        if self._steering.shortlist.rest == "keep":
            outcome.kl = mass * inner_kl  # the rest, and the end of the reply, keep their probabilities
            logits = outcome.base - float(outcome.base.logsumexp(-1))
            values = steered + np.log(mass)
        else:
            outcome.kl = inner_kl - float(np.log(mass))
            logits = torch.full_like(outcome.base, float("-inf"))
            values = steered
            if not free.all():  # a frozen end keeps its share of the shortlist
                held = chosen[torch.from_numpy(np.flatnonzero(~free)).to(chosen.device)]
                share = log_p - _log_sum(log_p)
                logits[held] = torch.from_numpy(share[~free]).to(logits)
                values = steered + np.log(np.exp(share[free]).sum())
        logits[where] = torch.from_numpy(values).to(logits)
        outcome.logits = logits

    def note(self, token: int) -> str:
        """Takes a token as written and tells the gates; gives its text."""
        text = self._text_of([token])
        for gate in self._gates:
            gate.push(text)
        self._written.append(token)
        return text

    def report(self, token: int, outcome: Outcome) -> TokenTrace:
        """Notes the chosen token, and says what became of it."""
        text = self.note(token)
        place = np.flatnonzero(outcome.candidates == token)
        added = {
            name: float(values[place[0]]) if len(place) else 0.0
            for name, values in outcome.contributions.items()
        }
        changed = outcome.base_token not in (-1, token)
        return TokenTrace(
            token=token,
            text=text,
            base_probability=_probability(outcome.base, token),
            steered_probability=_probability(outcome.logits, token),
            lam=outcome.lam,
            kl=outcome.kl,
            contributions=added,
            changed=changed,
            instead_of=self._text_of([outcome.base_token]) if changed else "",
            note=outcome.note,
        )


def shortlisted(logits: Tensor, shortlist: Shortlist, allowed: Tensor | None) -> Tensor:
    """Ids of the tokens that may be steered, likeliest first (all of them in order when `top` is None)."""
    if allowed is not None:
        logits = logits.masked_fill(~allowed.to(logits.device), float("-inf"))
    if shortlist.top is None:
        ids = torch.arange(logits.shape[-1], device=logits.device)
        values = logits
    else:
        values, ids = logits.topk(min(shortlist.top, logits.shape[-1]))
    floor = float("-inf")
    if shortlist.plausibility > 0:
        floor = float(values.max()) + float(np.log(shortlist.plausibility))
    if allowed is not None or shortlist.plausibility > 0:
        ids = ids[(values >= floor) & ~torch.isneginf(values)]
    return ids


def normalised(reward: Floats, log_p: Floats, how: Normalise) -> Floats:
    """Centred under the base model, and scaled, so that rewards of any source can be added."""
    if how == "none":
        return reward
    p = np.exp(log_p)
    if how == "minmax":
        span = float(reward.max() - reward.min())
        reward = (reward - reward.min()) / span if span > _FLAT else np.zeros_like(reward)
    centred: Floats = reward - float(p @ reward)
    if how == "zscore":
        spread = float(np.sqrt(p @ centred**2))
        return centred / spread if spread > _FLAT else np.zeros_like(reward)
    return centred


def _log_sum(values: Floats) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))


def plain_trace(token: int, base: Tensor, text: str) -> TokenTrace:
    """Of a token that nothing steered."""
    p = _probability(base, token)
    return TokenTrace(token=token, text=text, base_probability=p, steered_probability=p)


def _probability(logits: Tensor, token: int) -> float:
    return float((logits[token] - logits.logsumexp(-1)).exp())
