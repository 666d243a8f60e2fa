"""The divergence of a tilted distribution, and the λ that spends a given amount of it.

π_λ ∝ exp(b + λ·r). With A(λ) = log Σ exp(b + λ·r): KL(π_λ ‖ b) = λ·A'(λ) − A(λ), and
dKL/dλ = λ·Var_{π_λ}(r) ≥ 0, so the largest λ within a budget is the root of an increasing function.
"""

import numpy as np

from mnemon.agent.decoding.steering import Floats

_STEPS = 200  # Newton's rule needs 4 to 7; bisection, where KL is flat, as many as a double has bits
_TOLERANCE = 1e-9
_FLAT = 1e-12  # rewards that differ by less, as a share of the largest, differ by rounding


def tilted(log_p: Floats, reward: Floats, lam: float) -> Floats:
    """log π_λ."""
    scores = log_p + lam * (reward - reward.max())  # a constant in r must not round away what differs
    top = float(scores.max())
    result: Floats = scores - (top + float(np.log(np.exp(scores - top).sum())))
    return result


def divergence(log_p: Floats, reward: Floats, lam: float) -> float:
    """KL(π_λ ‖ base) in nats."""
    return _divergence_and_variance(log_p, reward, lam)[0]


def _divergence_and_variance(log_p: Floats, reward: Floats, lam: float) -> tuple[float, float]:
    log_pi = tilted(log_p, reward, lam)
    pi = np.exp(log_pi)
    mean = float(pi @ reward)
    spread = reward - mean
    # Σ π·(log π − b), without 0·(−inf)
    kl = float(np.where(pi > 0, pi * (log_pi - log_p), 0.0).sum())
    return max(kl, 0.0), float(pi @ (spread * spread))


def lambda_for_divergence(log_p: Floats, reward: Floats, epsilon: float, *, lam_max: float) -> float:
    """The largest λ in [0, lam_max] with KL(π_λ ‖ base) ≤ epsilon, to a relative `_TOLERANCE` of epsilon.

    Where the budget cannot be spent because one token has all the mass, the λ that gives it 99 % of the
    divergence there is.

    Solved for rewards between −1 and 0, so that neither scale nor shift of the reward has a say in when to
    stop: only λ·(r − max r) is ever computed, which no constant in r can drown.
    """
    spread = float(np.ptp(reward))
    if epsilon <= 0 or len(log_p) < 2 or spread <= _FLAT * max(1.0, float(np.abs(reward).max())):
        return 0.0
    unit = (reward - reward.max()) / spread
    limit = lam_max * spread
    most = divergence(log_p, unit, limit)
    if most <= epsilon:
        if divergence(log_p, unit, limit / 2) < 0.999 * most:
            return lam_max
        # All mass is on the best token long before lam_max. A λ far beyond that changes nothing but
        # the trace, where it would dwarf every other step; so take the one that gets there.
        epsilon = 0.99 * most
    return _root(log_p, unit, epsilon, limit) / spread


def _root(log_p: Floats, unit: Floats, epsilon: float, limit: float) -> float:
    """Newton's rule from the second-order start √(2ε/Var), kept inside a bracket that halves when it leaves
    it. Two nearly equal best tokens make KL almost flat before it rises again; there a small error in KL
    is a large one in π (about its square root), so the tolerance is far below what a budget would need.
    """
    variance = _divergence_and_variance(log_p, unit, 0.0)[1]
    low, high = 0.0, limit
    lam = limit / 2 if variance == 0 else min(float(np.sqrt(2 * epsilon / variance)), limit / 2)
    for _ in range(_STEPS):
        kl, variance = _divergence_and_variance(log_p, unit, lam)
        if kl <= epsilon:
            low = lam
            if epsilon - kl <= _TOLERANCE * epsilon:
                break
        else:
            high = lam
        slope = lam * variance
        # Aim just inside the budget, so that Newton's last step lands on the permitted side.
        step = lam - (kl - epsilon * (1 - _TOLERANCE / 2)) / slope if slope > 0 else -1.0
        lam = step if low < step < high else (low + high) / 2
        if high - low <= 1e-15 * high:
            break
    return low
