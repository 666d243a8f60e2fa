"""What one person's choices say: a small posterior over the directions in which people differ.

Scores are θ̄·φ + φ·U·a. From choices "this rather than those" the head learns a by Bradley–Terry
(Plackett–Luce) with a Gaussian prior: Newton steps to the mode, the curvature there for the uncertainty
(Laplace). Generic over feature vectors: recalled turns, whole replies, or next tokens. With U the identity it
is a plain Bayesian logistic regression. Knows no text, and fits in milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import UsageError

Floats = NDArray[np.float64]
STEPS = 25  # Newton steps at most; three or four are usual
SETTLED = 1e-6


@dataclass(frozen=True)
class Comparison:
    """One choice: the features of what was chosen and of what was passed over."""

    chosen: NDArray[np.floating]  # (D,)
    rejected: NDArray[np.floating]  # (n, D)
    weight: float = 1.0  # how many clear choices it counts for: weak or old evidence counts for less than one


@dataclass(frozen=True)
class Head:
    """A Gaussian over a: mean and covariance. `pairs` is how many choices it has seen."""

    mean: Floats  # (R,)
    covariance: Floats  # (R, R)
    pairs: int = 0

    @classmethod
    def prior(cls, rank: int, *, mean: NDArray[np.floating] | None = None, variance: float = 1.0) -> Self:
        """Before any choice: the shared ranker, or what the person's history suggests (`mean`)."""
        start = np.zeros(rank) if mean is None else np.asarray(mean, np.float64)
        return cls(start, np.eye(rank) * variance)

    def fit(
        self,
        comparisons: Sequence[Comparison],
        *,
        base: NDArray[np.floating],
        basis: NDArray[np.floating],
        temperature: float = 1.0,
    ) -> "Head":
        """The posterior after these choices, with this head as the prior.

        base (D,) is θ̄, basis (D, R) is U. A choice among many is one softmax, not many pairs: the
        rejected should be all that could have been chosen. Given only the hardest of them, the head would
        learn to distrust whatever ranked them high.
        """
        if basis.shape != (base.size, self.mean.size):
            raise UsageError(
                f"A head of rank {self.mean.size} was given a basis of shape {basis.shape!r};"
                f" expected ({base.size}, {self.mean.size})."
            )
        used = [comparison for comparison in comparisons if len(comparison.rejected)]
        if not used:
            return self
        # All items in one table, each choice a run of rows with the chosen first.
        items = np.concatenate([row for one in used for row in (one.chosen[None], one.rejected)])
        first = np.cumsum([0] + [1 + len(one.rejected) for one in used[:-1]])
        run = np.repeat(np.arange(len(used)), np.diff(np.append(first, len(items))))
        weight = np.array([one.weight for one in used])
        fixed = items @ np.asarray(base, np.float64) / temperature
        moved = items @ np.asarray(basis, np.float64) / temperature
        precision = np.linalg.inv(self.covariance)
        a = self.mean.copy()
        hessian = precision
        for _ in range(STEPS):
            scores = fixed + moved @ a
            chance = np.exp(scores - np.maximum.reduceat(scores, first)[run])
            chance /= np.add.reduceat(chance, first)[run]
            average = np.add.reduceat(moved * chance[:, None], first)  # (choices, R)
            gradient = weight @ (moved[first] - average) - precision @ (a - self.mean)
            spread = (moved * (chance * weight[run])[:, None]).T @ moved
            hessian = precision + spread - (average * weight[:, None]).T @ average
            step = np.linalg.solve(hessian, gradient)
            a = a + step * min(1.0, 3.0 / max(float(np.linalg.norm(step)), 1e-12))
            if float(np.abs(step).max()) < SETTLED:
                break
        return Head(a, np.linalg.inv(hessian), self.pairs + len(used))

    def adjust(self, features: NDArray[np.floating], basis: NDArray[np.floating]) -> Floats:
        """What the head adds to each score. (n, D) → (n,)"""
        found: Floats = np.asarray(features @ basis, np.float64) @ self.mean
        return found

    def deviation(self, features: NDArray[np.floating], basis: NDArray[np.floating]) -> Floats:
        """How unsure the head is of each score, in the score's own unit. (n, D) → (n,)"""
        directions = np.asarray(features @ basis, np.float64)
        found: Floats = np.sqrt(np.einsum("nr,rs,ns->n", directions, self.covariance, directions))
        return found

    def state(self) -> dict[str, object]:
        """Plain lists, to be kept with the person."""
        return {"mean": self.mean.tolist(), "covariance": self.covariance.tolist(), "pairs": self.pairs}

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> Self:
        try:
            mean = np.array(state["mean"], np.float64)
            covariance = np.array(state["covariance"], np.float64)
            pairs = int(str(state["pairs"]))
        except (KeyError, ValueError) as error:
            raise UsageError(f"A head was given that cannot be read: {error}.") from error
        if covariance.shape != (mean.size, mean.size):
            raise UsageError(
                f"A head was given whose parts do not fit: {mean.shape!r}, {covariance.shape!r}."
            )
        return cls(mean, covariance, pairs)
