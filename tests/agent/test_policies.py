"""λ policies: the KL budget against a fine grid, and what each policy promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.agent.decoding.budget import divergence, lambda_for_divergence, tilted
from mnemon.agent.decoding.policies import (
    BestOfSet,
    BudgetBandit,
    EntropyGated,
    Fixed,
    KLBudget,
    LeakyBucket,
    ReplyBudget,
    Scheduled,
)
from mnemon.agent.decoding.steering import Floats, PolicyStep
from mnemon.errors import UsageError


def step(
    seed: int = 0, *, k: int = 20, spread: float = 2.0, openness: float = 1.0, t: int = 0, mass: float = 1.0
) -> PolicyStep:
    dice = np.random.default_rng(seed)
    return PolicyStep(t, log_softmax(dice.normal(size=k) * spread), dice.normal(size=k), mass, openness)


def log_softmax(x: Floats) -> Floats:
    result: Floats = x - x.max() - np.log(np.exp(x - x.max()).sum())
    return result


def spent(at: PolicyStep, lam: float) -> float:
    return divergence(at.log_p, at.reward, lam)


@pytest.mark.parametrize("epsilon", [0.001, 0.05, 0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(8))
def test_the_budget_is_met_as_a_fine_grid_says(epsilon: float, seed: int) -> None:
    at = step(seed, spread=0.5 + seed)
    lam = lambda_for_divergence(at.log_p, at.reward, epsilon, lam_max=50.0)
    grid = np.linspace(0, 50, 5001)
    scores = at.log_p + grid[:, None] * at.reward  # (grid, k)
    log_pi = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    kl = (np.exp(log_pi) * (log_pi - at.log_p)).sum(axis=1)
    assert spent(at, lam) <= epsilon * (1 + 1e-9)
    if kl[-1] > epsilon:
        assert lam >= grid[kl <= epsilon].max() - 0.01  # one step of the grid
    else:  # saturated: nearly all that can be spent is
        assert spent(at, lam) >= 0.98 * kl[-1]


def assert_same_whatever_scale_and_shift(
    b: Floats, reward: Floats, epsilon: float, *, scale: float, shift: float
) -> None:
    lam = lambda_for_divergence(b, reward, epsilon, lam_max=1e6)
    moved = reward * scale + shift
    other = lambda_for_divergence(b, moved, epsilon, lam_max=1e6 / scale)
    assert divergence(b, reward, lam) <= epsilon * (1 + 1e-9)
    assert divergence(b, moved, other) <= epsilon * (1 + 1e-9)
    np.testing.assert_allclose(np.exp(tilted(b, reward, lam)), np.exp(tilted(b, moved, other)), atol=2e-3)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-12, 12), min_size=2, max_size=64),
    st.integers(0, 2**16),
    st.floats(1e-4, 5.0),
    st.floats(1e-3, 1e3),
    st.floats(-1e3, 1e3),
)
def test_the_budget_holds_whatever_scale_and_shift_a_reward_has(
    logits: list[float], seed: int, epsilon: float, scale: float, shift: float
) -> None:
    reward = np.random.default_rng(seed).normal(size=len(logits))
    assert_same_whatever_scale_and_shift(
        log_softmax(np.array(logits)), reward, epsilon, scale=scale, shift=shift
    )


@pytest.mark.parametrize("kind", ["plain", "two all but equal", "few values", "one token has the mass"])
def test_the_budget_is_as_indifferent_in_thousands_of_draws(kind: str) -> None:
    dice = np.random.default_rng(11)
    for _ in range(1500):
        k = int(dice.integers(2, 65))
        logits, reward = dice.uniform(-12, 12, size=k), dice.normal(size=k)
        if (
            kind == "two all but equal"
        ):  # KL is flat between the λ that reaches both and the one that parts them
            logits[:] = dice.normal()
            reward[0] = reward.max() + 10 ** dice.uniform(-4, -1)
        elif kind == "few values":
            reward = dice.choice([-2.0, 0.0, 0.0, 1.0], size=k)
        elif kind == "one token has the mass":
            logits[0] = 40.0
        assert_same_whatever_scale_and_shift(
            log_softmax(logits),
            reward,
            float(10 ** dice.uniform(-4, 0.7)),
            scale=float(10 ** dice.uniform(-3, 3)),
            shift=float(dice.uniform(-1e3, 1e3)),
        )


def test_rewards_that_differ_only_by_rounding_do_nothing() -> None:
    b = step(0).log_p
    noise = 0.1 * np.ones(20) + 1e-17 * np.arange(20)
    assert lambda_for_divergence(b, 3.3 * noise, 0.1, lam_max=1e6) == 0
    assert lambda_for_divergence(b, np.zeros(20), 0.1, lam_max=1e6) == 0


def test_divergence_is_the_sum_that_defines_it() -> None:
    at = step(4)
    pi, p = np.exp(tilted(at.log_p, at.reward, 1.3)), np.exp(at.log_p)
    assert divergence(at.log_p, at.reward, 1.3) == pytest.approx(float((pi * np.log(pi / p)).sum()))


def test_a_budget_that_cannot_be_spent_is_not_chased() -> None:
    at = step(1, k=2, spread=0.01)
    lam = KLBudget(10.0).choose(at).lam
    assert lam < 0.5 * KLBudget(10.0).lam_max
    assert spent(at, lam) == pytest.approx(0.99 * spent(at, 1000.0), rel=1e-3)


def test_a_largest_lambda_is_kept() -> None:
    at = step(1)
    assert spent(at, 0.3) < 0.5
    assert KLBudget(0.5, lam_max=0.3).choose(at).lam == 0.3


def test_a_reward_that_says_nothing_does_nothing() -> None:
    flat = step(2)._replace(reward=np.ones(20))
    assert KLBudget(0.5).choose(flat).lam == 0


def test_the_budget_counts_the_share_of_the_distribution_that_is_steered() -> None:
    at = step(3, mass=0.5)
    inner = spent(at, KLBudget(0.1).choose(at).lam)
    assert 0.5 * inner == pytest.approx(0.1, rel=1e-3)


def test_a_runner_up_with_a_tenth_can_win_under_half_a_nat() -> None:
    """The greedy bound that the budget stands for: a two-way flip costs −log(2√(p·q))."""
    for share, wins in ((0.11, True), (0.095, False)):
        log_p = np.log(np.array([1 - share, share]))
        at = PolicyStep(0, log_p, np.array([0.0, 1.0]), 1.0, 1.0)
        pi = tilted(log_p, at.reward, KLBudget(0.5).choose(at).lam)
        assert (pi[1] > pi[0]) == wins


@pytest.mark.parametrize(
    "policy",
    [
        Fixed(1.0),
        EntropyGated(1.0),
        KLBudget(0.1),
        ReplyBudget(0.1),
        Scheduled.decaying(1.0, 0.9),
        BestOfSet((1.0,)),
    ],
)
def test_a_closed_gate_means_no_steering(policy: Fixed) -> None:
    assert policy.start().choose(step(openness=0.0)).lam == 0


def test_gates_may_be_half_open() -> None:
    assert Fixed(2.0).choose(step(openness=0.5)).lam == 1.0
    half = KLBudget(0.2).choose(step(openness=0.5)).lam
    assert half == pytest.approx(KLBudget(0.1).choose(step()).lam, rel=1e-3)


def test_schedules() -> None:
    assert [Scheduled.decaying(2.0, 0.5).choose(step(t=t)).lam for t in range(3)] == [2.0, 1.0, 0.5]
    assert [Scheduled.first(2.0, 2).choose(step(t=t)).lam for t in range(4)] == [2.0, 2.0, 0.0, 0.0]


def test_a_sure_model_is_left_alone() -> None:
    sure = EntropyGated(1.0).choose(step(0, spread=12.0)).lam
    unsure = EntropyGated(1.0).choose(step(0, spread=0.1)).lam
    assert sure < 0.2 < 0.95 < unsure <= 1.0
    gated = KLBudget(0.1, entropy_gated=True)
    assert spent(step(0, spread=12.0), gated.choose(step(0, spread=12.0)).lam) < 0.02


def test_a_bucket_saves_what_was_not_spent_and_never_more_than_it_holds() -> None:
    bucket = LeakyBucket(capacity=1.0, refill=0.1).start()
    total = 0.0
    for t in range(40):
        at = step(t)
        kl = spent(at, bucket.choose(at).lam)
        bucket.spent(kl)
        total += kl
        assert 0 <= bucket.level <= 1.0
        assert total <= 1.0 + 0.1 * (t + 1) + 1e-6
    for _ in range(20):
        bucket.spent(0.0)
    assert bucket.level == 1.0


def test_each_reply_starts_with_a_full_bucket() -> None:
    policy = LeakyBucket(capacity=1.0, refill=0.0)
    first = policy.start()
    first.spent(1.0)
    assert policy.start().level == 1.0


def test_panda_repaired_weighs_gain_against_divergence() -> None:
    at = step(6)
    free, dear = BestOfSet((0.0, 1.0, 4.0), cost=0.0), BestOfSet((0.0, 1.0, 4.0), cost=100.0)
    assert free.choose(at).lam == 4.0
    assert dear.choose(at).lam == 0.0


def test_a_bandit_learns_which_strength_is_liked() -> None:
    bandit = BudgetBandit([0.0, 0.1, 1.0], dimension=2, seed=1)
    dice = np.random.default_rng(0)
    liked = {0: np.array([0.2, 0.2]), 1: np.array([1.0, 0.0]), 2: np.array([0.0, 1.0])}
    late = []
    for n in range(400):
        context = np.eye(2)[n % 2]
        arm, policy = bandit.choose_arm(context)
        assert policy.epsilon == bandit.arms[arm]
        bandit.learn(arm, context, float(liked[arm] @ context) + dice.normal() * 0.1)
        if n >= 300:
            late.append(arm == (1 if n % 2 == 0 else 2))
    assert np.mean(late) > 0.9
    copy = BudgetBandit([0.0, 0.1, 1.0], dimension=2, seed=1)
    copy.restore(bandit.to_dict())  # type: ignore[arg-type]
    np.testing.assert_array_equal(copy.precision[1], bandit.precision[1])


def test_what_is_never_going_to_steer_says_so() -> None:
    for policy in (Fixed(0.0), EntropyGated(0.0), KLBudget(0.0), LeakyBucket(0.0, 0.0), BestOfSet((0.0,))):
        assert policy.never
    for policy in (Fixed(0.1), KLBudget(0.1), LeakyBucket(1.0, 0.0), Scheduled(lambda t: 1.0)):
        assert not policy.never


@pytest.mark.parametrize(
    "make",
    [
        lambda: KLBudget(-0.1),
        lambda: KLBudget(float("nan")),
        lambda: LeakyBucket(-1.0),
        lambda: BestOfSet(()),
        lambda: BudgetBandit([], dimension=1),
        lambda: Scheduled.decaying(1.0, 1.5),
    ],
)
def test_impossible_policies_are_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


def test_a_reply_never_spends_more_than_its_tokens_have_brought() -> None:
    for epsilon in (0.02, 0.1, 1.0):
        running = ReplyBudget(epsilon).start()
        total = 0.0
        for t in range(200):
            at = step(t, spread=1.0 + t % 5, mass=0.3 + 0.7 * (t % 2))
            kl = at.mass * spent(at, running.choose(at).lam)
            running.spent(kl)
            total += kl
            assert total <= epsilon * (t + 1) * (1 + 1e-6)
        if epsilon <= 0.1:
            assert total >= 0.8 * epsilon * 200  # and it is not hoarded


def test_what_is_saved_goes_to_the_step_that_has_a_say() -> None:
    """Nine steps that a rule has nothing to say about, then one: it gets what ten have brought."""
    silent = step(0)._replace(reward=np.zeros(20))
    running, per_step = ReplyBudget(0.05).start(), KLBudget(0.05)
    for _ in range(9):
        assert running.choose(silent).lam == 0
        running.spent(0.0)
    at = step(1)
    assert 0.05 < spent(at, running.choose(at).lam) <= 0.5 * (1 + 1e-6)
    assert spent(at, per_step.choose(at).lam) <= 0.05


def test_a_reply_budget_needs_numbers_that_make_sense() -> None:
    assert ReplyBudget(0.0).never
    for wrong in ({"epsilon": -1.0}, {"epsilon": float("nan")}, {"reserve": 0.0}):
        with pytest.raises(UsageError):
            ReplyBudget(**wrong)
