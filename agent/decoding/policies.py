"""How hard to steer: fixed, scheduled, gated by entropy, a divergence budget per step or reply, a bandit.

Policies see log-probabilities and rewards of one shortlist (float64, small). They know no tokens and no text.
Notation: b = log p over the tokens that may be steered, r = the weighted reward, π_λ ∝ exp(b + λ·r).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mnemon.agent.decoding.budget import divergence, lambda_for_divergence, tilted
from mnemon.agent.decoding.steering import Choice, Floats, PolicyStep, RunningPolicy
from mnemon.errors import UsageError

# Nats per token. Keeps the perplexity of neutral text within 3 % of the base model's; 0.1 cost 7 %
# (evals/LOG.md, benchmarks/nothing_forgotten.py).
DEFAULT_EPSILON = 0.04
LAMBDA_MAX = 50.0  # in units of normalised reward; beyond it a choice is deterministic anyway


class _Stateless:
    """A policy that remembers nothing within a reply."""

    @property
    def never(self) -> bool:
        return False

    def start(self) -> RunningPolicy:
        return self  # type: ignore[return-value]  # subclasses add choose()

    def spent(self, kl: float) -> None:
        pass


def _check_strength(lam: float) -> None:
    if not np.isfinite(lam):
        raise UsageError(f"λ={lam!r} is no strength; give a finite number, or 0 for no steering.")


@dataclass(frozen=True)
class Fixed(_Stateless):
    """λ is a number; gates scale it."""

    lam: float

    def __post_init__(self) -> None:
        _check_strength(self.lam)

    @property
    def never(self) -> bool:
        return self.lam == 0

    def choose(self, step: PolicyStep) -> Choice:
        return Choice(self.lam * step.openness)


@dataclass(frozen=True)
class Scheduled(_Stateless):
    """λ is a function of the step. `decaying` and `first` make the usual ones."""

    schedule: Callable[[int], float]

    def choose(self, step: PolicyStep) -> Choice:
        return Choice(self.schedule(step.t) * step.openness)

    @classmethod
    def decaying(cls, lam: float, rate: float) -> "Scheduled":
        if not 0 < rate <= 1:
            raise UsageError(f"rate={rate!r} must lie in (0, 1]; 1 never decays.")
        return cls(lambda t: lam * rate**t)

    @classmethod
    def first(cls, lam: float, tokens: int) -> "Scheduled":
        """Style is set early: steer only the first tokens."""
        return cls(lambda t: lam if t < tokens else 0.0)


@dataclass(frozen=True)
class EntropyGated(_Stateless):
    """λ times the base model's normalised entropy: a sure model is left alone."""

    lam: float

    def __post_init__(self) -> None:
        _check_strength(self.lam)

    @property
    def never(self) -> bool:
        return self.lam == 0

    def choose(self, step: PolicyStep) -> Choice:
        return Choice(self.lam * relative_entropy(step) * step.openness)


@dataclass(frozen=True)
class KLBudget(_Stateless):
    """The default: the largest λ ≤ lam_max whose KL(π_λ ‖ base) stays within `epsilon` nats at every step.

    Invariant to the reward's scale and shift, so rewards are interchangeable; over a reply the divergence is
    at most epsilon per token. With two equally good continuations, 0.5 lets a runner-up win that holds a
    tenth. `entropy_gated` gives sure steps less of it.
    """

    epsilon: float = DEFAULT_EPSILON
    lam_max: float = LAMBDA_MAX
    entropy_gated: bool = False

    def __post_init__(self) -> None:
        if not self.epsilon >= 0:
            raise UsageError(f"epsilon={self.epsilon!r} is no budget; give 0 (no steering) or more nats.")

    @property
    def never(self) -> bool:
        return self.epsilon == 0 or self.lam_max == 0

    def choose(self, step: PolicyStep) -> Choice:
        epsilon = self.epsilon * step.openness
        if self.entropy_gated:
            epsilon *= relative_entropy(step)
        # Only `mass` of the distribution is steered, so its own divergence may be that much larger.
        return Choice(
            lambda_for_divergence(step.log_p, step.reward, epsilon / step.mass, lam_max=self.lam_max)
        )


@dataclass(frozen=True)
class LeakyBucket:
    """A budget per reply: unused divergence is saved up to `capacity`; a token brings `refill` nats."""

    capacity: float = 2.0
    refill: float = 0.1
    lam_max: float = LAMBDA_MAX

    def __post_init__(self) -> None:
        if self.capacity < 0 or self.refill < 0:
            raise UsageError(f"LeakyBucket({self.capacity!r}, {self.refill!r}): a budget cannot be negative.")

    @property
    def never(self) -> bool:
        return self.capacity == 0 or self.lam_max == 0

    def start(self) -> "RunningBucket":
        return RunningBucket(self)


class RunningBucket:
    def __init__(self, policy: LeakyBucket) -> None:
        self._policy = policy
        self.level = policy.capacity

    def choose(self, step: PolicyStep) -> Choice:
        epsilon = self.level * step.openness / step.mass
        return Choice(lambda_for_divergence(step.log_p, step.reward, epsilon, lam_max=self._policy.lam_max))

    def spent(self, kl: float) -> None:
        self.level = min(self._policy.capacity, max(0.0, self.level - kl) + self._policy.refill)


@dataclass(frozen=True)
class ReplyBudget:
    """A budget per reply, spent where it pays: λ rises with what was saved and falls with what was spent.

    The most reward for a reply's divergence comes of one λ for all its steps; what differs from step to step
    is how much there is to win. So λ is proportional to the saved nats and settles where the reply spends
    `epsilon` per token on the average. It is never above that: Σ KL_t ≤ epsilon × tokens. Rewards that seldom
    have a say (a sentence's end, a kind of word) get more than `epsilon` then and nothing in between.
    """

    epsilon: float = DEFAULT_EPSILON
    reserve: float = 2.0  # nats that may be saved
    full: float = 2.4  # λ when they are; in units of normalised reward

    def __post_init__(self) -> None:
        if not self.epsilon >= 0 or not self.reserve > 0:
            raise UsageError(
                f"ReplyBudget({self.epsilon!r}, reserve={self.reserve!r}): give nats, none of them negative."
            )

    @property
    def never(self) -> bool:
        return self.epsilon == 0 or self.full == 0

    def start(self) -> "RunningReplyBudget":
        return RunningReplyBudget(self)


class RunningReplyBudget:
    def __init__(self, policy: ReplyBudget) -> None:
        self._policy = policy
        self.saved = policy.epsilon

    def choose(self, step: PolicyStep) -> Choice:
        wanted = self._policy.full * self.saved / self._policy.reserve * step.openness
        if wanted <= 0 or not np.ptp(step.reward):  # rules mostly have nothing to say
            return Choice(0.0)
        allowed = self.saved / step.mass
        if divergence(step.log_p, step.reward, wanted) <= allowed:
            return Choice(wanted)
        return Choice(lambda_for_divergence(step.log_p, step.reward, allowed, lam_max=wanted))

    def spent(self, kl: float) -> None:
        self.saved = min(self._policy.reserve, max(0.0, self.saved - kl) + self._policy.epsilon)


@dataclass(frozen=True)
class BestOfSet(_Stateless):
    """PANDA repaired: from a given set, the λ that maximises E_{π_λ}[r] − cost·KL(π_λ ‖ base).

    The criterion does not contain λ as a gain, so the choice depends on the context and not on r's sign.
    """

    lambdas: tuple[float, ...]
    cost: float = 1.0

    def __post_init__(self) -> None:
        if not self.lambdas:
            raise UsageError("BestOfSet needs at least one λ to choose from.")

    @property
    def never(self) -> bool:
        return not any(self.lambdas)

    def choose(self, step: PolicyStep) -> Choice:
        def worth(lam: float) -> float:
            gained = float(np.exp(tilted(step.log_p, step.reward, lam)) @ step.reward)
            return gained - self.cost * divergence(step.log_p, step.reward, lam)

        return Choice(max(self.lambdas, key=worth) * step.openness)


@dataclass(frozen=True)
class PrintedPanda(_Stateless):
    """PANDA's Algorithm 1 as printed: argmax over tokens and Λ together of p(z) + λ·r(z).

    Kept for fidelity. λ ends at one edge of Λ by the sign of r alone, and a constant added to r changes the
    answer; use `BestOfSet` or `KLBudget` instead.
    """

    lambdas: tuple[float, ...]

    def choose(self, step: PolicyStep) -> Choice:
        scores = np.exp(step.log_p) + np.asarray(self.lambdas)[:, None] * step.reward  # (Λ, k)
        lam = self.lambdas[int(scores.max(axis=1).argmax())]
        return Choice(lam, scores.max(axis=0))


@dataclass
class BudgetBandit:
    """Chooses among budgets for a whole reply, by what the person liked before (Thompson sampling, linear).

    `context` describes person and task; `choose_arm` is called once per reply, `learn` with the feedback.
    """

    arms: Sequence[float]  # epsilons; 0 is "do not steer"
    dimension: int
    noise: float = 0.5  # standard deviation of feedback around its mean
    seed: int = 0
    precision: list[Floats] = field(init=False)  # per arm (dimension, dimension)
    evidence: list[Floats] = field(init=False)  # per arm (dimension)

    def __post_init__(self) -> None:
        if not self.arms:
            raise UsageError("A bandit needs at least one arm.")
        self.precision = [np.eye(self.dimension) for _ in self.arms]
        self.evidence = [np.zeros(self.dimension) for _ in self.arms]
        self._dice = np.random.default_rng(self.seed)

    def choose_arm(self, context: Floats) -> tuple[int, KLBudget]:
        drawn = []
        for precision, evidence in zip(self.precision, self.evidence, strict=True):
            covariance = np.linalg.inv(precision)
            weights = self._dice.multivariate_normal(covariance @ evidence, self.noise**2 * covariance)
            drawn.append(float(weights @ context))
        arm = int(np.argmax(drawn))
        return arm, KLBudget(self.arms[arm])

    def learn(self, arm: int, context: Floats, reward: float) -> None:
        self.precision[arm] += np.outer(context, context)
        self.evidence[arm] += reward * context

    def to_dict(self) -> dict[str, list[object]]:
        """The posterior, to be kept in the person's memory."""
        return {
            "precision": [p.tolist() for p in self.precision],
            "evidence": [e.tolist() for e in self.evidence],
        }

    def restore(self, posterior: dict[str, list[list[float]]]) -> None:
        self.precision = [np.asarray(p) for p in posterior["precision"]]
        self.evidence = [np.asarray(e) for e in posterior["evidence"]]


def relative_entropy(step: PolicyStep) -> float:
    """Entropy over the shortlist, 0 (sure) to 1 (uniform)."""
    if len(step.log_p) < 2:
        return 0.0
    p = np.exp(step.log_p)
    return float(-(p @ step.log_p) / np.log(len(p)))
