"""Which two replies to ask a person about next: those whose answer would tell most.

The expected information of an answer about the person's weights (BALD, Houlsby et al. 2011, arXiv:1112.5745):
large where the person is as likely to choose the one as the other and the learner does not know which, small
where it knows, and small where anybody would be torn. Under Gaussian weights each is an integral over one
margin, done by quadrature.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import UsageError
from mnemon.profiles.variants import questions, replies

Floats = NDArray[np.float64]
_NODES, _SHARES = np.polynomial.hermite_e.hermegauss(24)
_SHARES = _SHARES / _SHARES.sum()  # of a standard normal


class Pair(NamedTuple):
    """Two replies to one question, and the bits that an answer is expected to tell."""

    question: str
    first: str
    second: str
    bits: float


class Candidates(NamedTuple):
    """Replies to one question of which two may be shown."""

    question: str
    replies: Sequence[str]


def information(differences: Floats, mean: Floats, covariance: Floats) -> Floats:
    """Expected bits about the weights from a choice between replies that differ so. (n, D) → (n,)"""
    variance = np.einsum("nd,de,ne->n", differences, covariance, differences)
    chances = _chances(differences @ mean, variance)
    found: Floats = _entropy(chances @ _SHARES) - _entropy(chances) @ _SHARES
    return np.maximum(found, 0.0)


def chance(margin: Floats, variance: Floats) -> Floats:
    """P(first is chosen) under Gaussian weights. (n,), (n,) → (n,)"""
    found: Floats = _chances(margin, variance) @ _SHARES
    return found


def _chances(margin: Floats, variance: Floats) -> Floats:
    """The logistic at the nodes of the margin's normal. (n, nodes)"""
    margins = margin[:, None] + np.sqrt(variance)[:, None] * _NODES
    found: Floats = 1 / (1 + np.exp(-np.clip(margins, -500, 500)))
    return found


def _entropy(p: Floats) -> Floats:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    found: Floats = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return found


def best_pair(
    candidates: Sequence[Candidates], rows: Sequence[Floats], mean: Floats, covariance: Floats
) -> Pair:
    """The pair within one of the candidates that would tell most. rows: (replies, D) for each of them."""
    best: Pair | None = None
    for group, table in zip(candidates, rows, strict=True):
        places = list(combinations(range(len(group.replies)), 2))
        if not places:
            continue
        left, right = np.array(places).T
        bits = information(table[left] - table[right], mean, covariance)
        top = int(np.argmax(bits))
        if best is None or bits[top] > best.bits:
            first, second = places[top]
            best = Pair(group.question, group.replies[first], group.replies[second], float(bits[top]))
    if best is None:
        raise UsageError("There are no two replies to one question to ask about.")
    return best


def shipped_candidates(each: int = 12, *, seed: int = 0) -> list[Candidates]:
    """Replies to the shipped questions, for a person who has not been asked anything yet."""
    return [Candidates(one.ask, replies(one, each, seed=seed)) for one in questions()]
