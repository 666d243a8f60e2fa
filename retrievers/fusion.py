"""Hand-set fusion: one weight per feature.

What runs where no trunk is given, and what a trunk is measured against.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mnemon.retrievers.features import FEATURES, INDEX

HAND_SET: Mapping[str, float] = {
    "lex_turn": 1.0, "lex_near": 0.5, "lex_wide": 1.0, "lex_session": 0.4,
    "dense_turn": 1.0, "dense_near": 0.8, "dense_session": 0.3,
    "speaker": 1.0, "kind": 0.3, "asks": -0.3, "in_time": 1.5, "fact": 0.3,
}  # fmt: skip


def hand_set_scores(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums. (pool, features) → (pool,)"""
    weights = np.zeros(len(FEATURES), np.float32)
    for name, weight in HAND_SET.items():
        weights[INDEX[name]] = weight
    scores: NDArray[np.float32] = features @ weights
    return scores
