"""The shared ranker: what all people's questions have in common, as a few kilobytes of weights run by numpy.

A pair's features x are standardised and clipped, then seen through one small tanh layer:
φ(x) = [x, tanh(xW + b)]. The trunk's score is θ̄·φ. A person's head moves θ̄ along directions U (`head`):
θ_u = θ̄ + U a_u. Before there is feedback a_u is 0.

After HYDRA (Zhuang et al. 2024, arXiv:2406.02888): a shared trunk and a head per user, here linear. Knows no
text; `train.py` makes it.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import DataError

Array = NDArray[np.float32]
CLIP = 4.0  # standard deviations: a history unlike those trained on must not run away with the score
FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """Weights by name. `features` fixes the order of the columns it was trained on."""

    features: tuple[str, ...]  # F names
    mean: Array  # (F,)
    scale: Array  # (F,) one over the standard deviation; 0 switches a feature off
    hidden: Array  # (F, H)
    bias: Array  # (H,)
    weights: Array  # (F + H,) θ̄
    basis: Array  # (F + H, R) U, scaled so that a_u has about unit variance over people
    card: dict[str, object] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return int(self.basis.shape[1])

    def represent(self, matrix: Array) -> Array:
        """φ of each row. (n, F) → (n, F + H)"""
        scaled = np.clip((matrix - self.mean) * self.scale, -CLIP, CLIP)
        found: Array = np.concatenate([scaled, np.tanh(scaled @ self.hidden + self.bias)], axis=1)
        return found

    def scores(self, represented: Array) -> Array:
        """θ̄·φ of each row. (n, F + H) → (n,)"""
        found: Array = represented @ self.weights
        return found

    def save(self, path: Path) -> None:
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        meta = {"format": FORMAT, "features": list(self.features), "card": self.card}
        text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
        with path.open("wb") as file:
            np.savez(file, meta=text, **arrays)


_ARRAYS = ("mean", "scale", "hidden", "bias", "weights", "basis")


def load_trunk(path: Path, *, features: tuple[str, ...]) -> Trunk:
    """Read a trunk and check that it was trained on the features that this version computes."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes().decode())
            arrays = {name: np.asarray(stored[name], np.float32) for name in _ARRAYS}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{str(path)!r} is not a ranker's trunk: {error}.",
            hint="Train one with: mnemon rerank train PATHS... --output trunk.npz",
        ) from error
    if meta.get("format") != FORMAT or tuple(meta["features"]) != features:
        raise DataError(
            f"The trunk {str(path)!r} was trained on other features than this version of mnemon computes.",
            hint="Train it again with: mnemon rerank train PATHS... --output trunk.npz",
        )
    return Trunk(features=features, card=meta["card"], **arrays)


@cache
def shipped_trunk() -> Trunk:
    """The trunk that comes with mnemon; its card is `retrievers/data/trunk.json`."""
    from mnemon.retrievers.features import FEATURES

    return _shipped("trunk.npz", FEATURES)


@cache
def shipped_session_trunk() -> Trunk:
    """The ranker of whole sessions that comes with mnemon."""
    from mnemon.retrievers.sessions import SESSION_FEATURES

    return _shipped("sessions.npz", SESSION_FEATURES)


def _shipped(name: str, features: tuple[str, ...]) -> Trunk:
    with as_file(files(__package__).joinpath(f"data/{name}")) as path:
        return load_trunk(path, features=features)
