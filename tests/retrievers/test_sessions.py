"""Ranking whole sessions: what goes along with the best matches, and the weights of their features."""

import numpy as np

from mnemon.retrievers.sessions import SESSION_FEATURES, _links
from mnemon.retrievers.train import Question, adapt, recall, train_sessions

PLACE = SESSION_FEATURES.index("thread")


def test_sessions_have_a_place_in_the_matter_of_the_best_match() -> None:
    """Four sessions, oldest first: two of one matter, two of another; what all share is large."""
    matters = np.array([[3.0, 1.0, 0.1], [3.0, 1.0, -0.1], [3.0, -1.0, 0.1], [3.0, -1.0, -0.1]], np.float32)
    means = matters / np.linalg.norm(matters, axis=1, keepdims=True)
    matching = np.array([0.0, 3.0, 0.0, 0.0])  # only the second says what the question says
    table = dict.fromkeys(("dense_mean", "lex", "turn_best"), matching)
    found = _links({**table, "age_log": np.log1p(np.array([3.0, 2.0, 1.0, 0.0])) / 3}, means)
    assert found["linked_since"][0] > found["linked_since"][1] > found["linked_since"][3] == 0.0
    assert found["begun_before"][1] > found["begun_before"][0] == 0.0
    assert found["taken_up_since"][0] > found["taken_up_since"][1] == 0.0


def test_weights_of_sessions_follow_the_evidence_and_few_questions_move_them_little() -> None:
    rng = np.random.default_rng(0)

    def asked(place: int) -> Question:
        features = rng.standard_normal((12, len(SESSION_FEATURES))).astype(np.float32)
        gold = np.zeros(12, np.bool_)
        gold[np.argmax(features[:, place])] = True
        return Question("a", features, gold, 1)

    data = [asked(PLACE) for _ in range(60)]
    trunk = train_sessions(data)
    assert np.argmax(trunk.weights) == PLACE
    assert recall(data, trunk, k=1) > 0.9
    moved = adapt(trunk, [asked(PLACE - 1) for _ in range(2)])
    assert 0 < moved.weights[PLACE - 1] - trunk.weights[PLACE - 1] < 0.5
    assert np.argmax(moved.weights) == PLACE
