"""Reward heads: a linear reward on a model's hidden states, learnt from pairs by Bradley and Terry's rule.

P(chosen over rejected) = σ(r(chosen) − r(rejected)) with r(h) = w·h. A head belongs to the model whose hidden
states it was fitted on. Knows vectors; reading texts is `mnemon.agent.reward_training`'s business.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mnemon.agent.decoding.steering import Floats, StepView
from mnemon.errors import DataError, UsageError

_NEWTON_STEPS = 50
DEFAULT_RIDGE = 300.0  # of 10 to 3,000, by cross-validation on people's pairs (evals/LOG.md)


@dataclass(frozen=True, kw_only=True)
class HeadCard:
    """What a head is, and how well it does on pairs that it did not see, by how much of a reply it reads.

    Pairs are held out by turns: the accuracy is of heads fitted in the same way on all the others.
    """

    model: str
    pairs: int
    held_out_pairs: int
    accuracy: float  # on whole held-out replies
    accuracy_stderr: float
    accuracy_by_prefix: dict[str, float] = field(default_factory=dict)
    ridge: float = 1.0
    seed: int = 0
    source: str = ""


class RewardHead:
    """Scores candidates by the hidden state each would leave behind: a `CandidateReward`."""

    def __init__(self, weight: Floats, card: HeadCard) -> None:
        self.weight, self.card = np.asarray(weight, dtype=np.float64), card

    @property
    def hidden_size(self) -> int:
        return len(self.weight)

    @property
    def model(self) -> str:
        return self.card.model

    def score_hidden(self, view: StepView, hidden: Floats) -> Floats:  # noqa: ARG002  all that is needed
        scores: Floats = hidden @ self.weight
        return scores

    def save(self, file: Path) -> None:
        from safetensors.numpy import save_file

        card = json.dumps(asdict(self.card), ensure_ascii=False)
        check_writable(file)
        save_file({"weight": self.weight}, file, metadata={"kind": "mnemon-reward-head", "card": card})

    @classmethod
    def load(cls, file: Path) -> "RewardHead":
        from safetensors import SafetensorError, safe_open

        if not file.is_file():
            raise DataError(
                f"{str(file)!r} does not exist.", hint="Train one: mnemon reward train PAIRS.jsonl"
            )
        try:
            with safe_open(file, framework="numpy") as tensors:
                metadata = tensors.metadata() or {}
                if metadata.get("kind") != "mnemon-reward-head":
                    raise DataError(f"{str(file)!r} is no reward head.")
                return cls(tensors.get_tensor("weight"), HeadCard(**json.loads(metadata["card"])))
        except (SafetensorError, KeyError, TypeError, ValueError) as e:
            raise DataError(f"{str(file)!r} is damaged: {e}.", hint="Train the head again.") from e


def check_writable(file: Path) -> None:
    """Refuses a place where no head can be kept; asked before the pairs are read, too."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UsageError(f"No head can be written to {str(file)!r}: {e.strerror}.") from e
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise UsageError(
            f"No head can be written to {str(file)!r}.", hint="Name a file in a folder of yours: --out FILE"
        )


def check_head(reward: object, *, model: str, hidden: int) -> None:
    """Refuses a head that was fitted on another model's hidden states."""
    size = getattr(reward, "hidden_size", None)
    fitted_on = getattr(reward, "model", None)
    other = fitted_on is not None and str(fitted_on).partition("@")[0] != model.partition("@")[0]
    if other or (size is not None and size != hidden):
        raise UsageError(
            f"The reward head belongs to {fitted_on or f'a model with {size} hidden units'}; "
            f"{model!r} has {hidden} and is another.",
            hint="Train one for this model: mnemon reward train PAIRS.jsonl --model NAME",
        )


def fit_bradley_terry(chosen: Floats, rejected: Floats, *, ridge: float = 1.0) -> Floats:
    """w that maximises Σ log σ(w·(chosen − rejected)) − ridge/2·|w|² in standardised units, by Newton's rule.

    chosen, rejected: (pairs, hidden). The penalty is on features scaled to unit spread, because hidden states
    differ a thousandfold in scale from one unit to the next.
    """
    check_ridge(ridge)
    if len(chosen) != len(rejected) or not len(chosen):
        raise UsageError(f"{len(chosen)} chosen and {len(rejected)} rejected vectors are no pairs.")
    scale = np.concatenate([chosen, rejected]).std(axis=0)
    scale = np.where(scale > 1e-12, scale, np.inf)  # a unit that never varies gets no weight
    x = (chosen - rejected) / scale  # (pairs, hidden)
    w = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        lost = 1 / (1 + np.exp(np.clip(x @ w, -500, 500)))  # 1 − σ
        gradient = x.T @ lost - ridge * w
        curvature = (x * (lost * (1 - lost))[:, None]).T @ x + ridge * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient)
        w = w + step
        if np.abs(step).max() < 1e-8:
            break
    fitted: Floats = w / scale
    return fitted


def check_ridge(ridge: float) -> None:
    if not ridge > 0:
        raise UsageError(f"ridge={ridge!r} must be above 0: it keeps weights finite where pairs are few.")


def ordered_rightly(weight: Floats, chosen: Floats, rejected: Floats) -> Floats:
    """Per pair 1 where the head prefers the chosen one, 0 where it does not, ½ for a tie."""
    margin = (chosen - rejected) @ weight
    right: Floats = (margin > 0) + 0.5 * (margin == 0)
    return right


def share_right(right: Floats) -> tuple[float, float]:
    """Share of pairs ordered rightly, and its standard error with two pairs of each kind added
    (Agresti and Coull 1998), which is not 0 where all of a few pairs are right."""
    n = len(right)
    likely = (float(right.sum()) + 2) / (n + 4)
    return float(right.mean()), float(np.sqrt(likely * (1 - likely) / (n + 4)))
