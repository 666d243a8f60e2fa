"""What steering is made of: branches, rewards, a lambda policy, and the sum that joins them.

Every method here is one line, `l* = Σ_j a_j·l_j + λ·r`, over a shortlist of tokens: `l_j` are the
log-probabilities of branches (the same network under other prompts, adapters, or a smaller network), `r` a
weighted sum of rewards, `λ` what a policy allows at this step. Arrays over the shortlist are numpy in
float64; only the network and the choice of the shortlist touch tensors of the size of the vocabulary.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mnemon.agent.seams import Message
from mnemon.errors import UsageError

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Normalise = Literal["none", "center", "zscore", "minmax"]

BASE = "base"


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A way to read the conversation. Without anything but a name it is the conversation itself.

    `instruction` is added to the system text; `messages` or `ids` replace the prompt altogether.
    """

    name: str
    instruction: str = ""
    messages: tuple[Message, ...] | None = None
    ids: tuple[int, ...] | None = None
    model: str = BASE
    adapter: str | None = None

    def __post_init__(self) -> None:
        if sum([bool(self.instruction), self.messages is not None, self.ids is not None]) > 1:
            raise UsageError(
                f"Branch {self.name!r} has more than one of instruction, messages and ids; give one."
            )


class StepView(Protocol):
    """What a reward may read at one step. It never runs a network itself."""

    t: int  # tokens written so far
    candidates: Ids  # (k)
    log_p: Floats  # (k) the unsteered model, normalised over the candidates

    def logits(self, branch: str) -> Floats:
        """(k) of a branch at the candidates; defined up to a constant."""
        ...

    def written(self) -> Sequence[int]:
        """The reply's tokens so far."""
        ...

    def text(self) -> str:
        """The reply's text so far."""
        ...

    def candidate_texts(self) -> list[str]:
        """What each candidate would add."""
        ...


class TokenReward(Protocol):
    """Scores the next-token candidates from the branches it declares. Higher is better."""

    @property
    def branches(self) -> tuple[Branch, ...]: ...

    def score(self, view: StepView) -> Floats: ...  # (k)


@runtime_checkable
class CandidateReward(Protocol):
    """Scores candidates by the hidden state each would leave behind; all k in one forward."""

    @property
    def hidden_size(self) -> int: ...

    def score_hidden(self, view: StepView, hidden: Floats) -> Floats: ...  # (k, hidden) -> (k)


class PolicyStep(NamedTuple):
    """What a policy decides from. `reward` is the weighted sum, centred unless its terms say otherwise."""

    t: int
    log_p: Floats  # (k) normalised over the tokens that may be steered
    reward: Floats  # (k)
    mass: float  # share of the base distribution that these tokens hold
    openness: float  # 0 where a gate forbids steering, 1 where none objects


class Choice(NamedTuple):
    """`scores` is given only by rules that are not of the form log p + λ·r."""

    lam: float
    scores: Floats | None = None


class RunningPolicy(Protocol):
    """A policy within one reply."""

    def choose(self, step: PolicyStep) -> Choice: ...

    def spent(self, kl: float) -> None: ...


class LambdaPolicy(Protocol):
    """How hard to steer. `never` is true when it is known beforehand that λ stays 0."""

    @property
    def never(self) -> bool: ...

    def start(self) -> RunningPolicy: ...


class RunningGate(Protocol):
    def push(self, piece: str) -> None: ...

    def openness(self) -> float: ...


class Gate(Protocol):
    """Where steering has no business, such as inside code."""

    def start(self) -> RunningGate: ...


@dataclass(frozen=True, kw_only=True)
class Term:
    """One named part of the reward. With a policy that fixes the KL, weights are relative importances."""

    name: str
    reward: TokenReward | CandidateReward
    weight: float = 1.0
    normalise: Normalise = "zscore"

    def __post_init__(self) -> None:
        if not np.isfinite(self.weight):
            raise UsageError(f"Term {self.name!r} has the weight {self.weight!r}; give a finite number.")


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """Which tokens may be steered: the `top` likeliest that have `plausibility` × the best's probability.

    `rest="keep"` leaves every other token the probability it had; "drop" forbids it, as published methods
    do. `top=None` is the whole vocabulary.
    """

    top: int | None = 64
    plausibility: float = 0.0
    rest: Literal["keep", "drop"] = "keep"
    judge: str | None = None  # the branch whose probabilities decide; None: the mixture itself

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise UsageError(f"Shortlist(top={self.top!r}) is empty; give 1 or more, or None for all tokens.")
        if not 0 <= self.plausibility <= 1:
            raise UsageError(f"plausibility={self.plausibility!r} must lie in [0, 1].")


@dataclass(frozen=True, kw_only=True)
class Steering:
    """A whole method: `Σ mix_j·l_j + λ·Σ weight_i·reward_i`, and when to hold back.

    `temperature` divides every branch's logits before they are mixed; `scale` multiplies the result (GenARM).
    """

    name: str
    policy: LambdaPolicy
    terms: tuple[Term, ...] = ()
    mix: Mapping[str, float] = field(default_factory=lambda: {BASE: 1.0})
    branches: tuple[Branch, ...] = ()  # beyond those that the terms declare
    shortlist: Shortlist = field(default_factory=Shortlist)
    gates: tuple[Gate, ...] = ()
    freeze_end: bool = False  # the reply ends when the base model would end it
    temperature: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        twice = sorted(name for name, n in Counter(term.name for term in self.terms).items() if n > 1)
        if twice:
            raise UsageError(
                f"Steering {self.name!r} has several terms called {twice[0]!r}; the trace would mix them up.",
                hint="Rename one of them.",
            )
        numbers = {**self.mix, "temperature": self.temperature, "scale": self.scale}
        wrong = {name: number for name, number in numbers.items() if not np.isfinite(number)}
        if wrong or not self.temperature > 0 or not self.mix:
            raise UsageError(
                f"Steering {self.name!r} mixes {dict(self.mix)} at temperature {self.temperature!r} and "
                f"scale {self.scale!r}; at least one finite share and a temperature above 0 were expected."
            )

    def all_branches(self) -> dict[str, Branch]:
        """By name; the base conversation is always there as "base"."""
        found = {BASE: Branch(name=BASE)}
        declared = [b for term in self.active_terms() for b in getattr(term.reward, "branches", ())]
        for branch in (*self.branches, *declared):
            if found.setdefault(branch.name, branch) != branch and branch.name != BASE:
                raise UsageError(f"Two different branches are called {branch.name!r}; rename one.")
            if branch.name == BASE:
                found[BASE] = branch
        return found

    def active_terms(self) -> tuple[Term, ...]:
        return () if self.policy.never else tuple(term for term in self.terms if term.weight != 0)

    @property
    def idle(self) -> bool:
        """Nothing can differ from the base model: no reward, or λ = 0, and nothing mixed in."""
        plain = dict(self.mix) == {BASE: 1.0} and self.temperature == 1.0 and self.scale == 1.0
        whole = self.shortlist.rest == "keep" or self.shortlist.top is None
        return plain and not self.active_terms() and whole

    def used_branches(self) -> dict[str, Branch]:
        """Only the branches whose logits are read; the others would cost rows for nothing."""
        every = self.all_branches()
        names = set(self.mix) | ({self.shortlist.judge} if self.shortlist.judge else set())
        for term in self.active_terms():
            names |= {branch.name for branch in getattr(term.reward, "branches", ())}
        unknown = sorted(names - set(every))
        if unknown:
            raise UsageError(
                f"Steering {self.name!r} names the branches {unknown}, which nothing declares; "
                f"there are {sorted(every)}."
            )
        if any(isinstance(term.reward, CandidateReward) for term in self.active_terms()):
            names.add(BASE)
        return {name: branch for name, branch in every.items() if name in names}


LogitsProcessor = Callable[[Sequence[int], Floats], Floats]
