"""Asking: information against a slow sum over sampled weights, and pairs that are worth an answer."""

import numpy as np
import pytest

from mnemon.errors import UsageError
from mnemon.profiles.asking import Candidates, best_pair, chance, information, shipped_candidates
from mnemon.profiles.choices import Taste

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("margin", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("deviation", [0.1, 1.0, 3.0])
def test_information_is_the_slow_one(margin: float, deviation: float) -> None:
    """H[E p] − E H[p], over half a million draws of the weight."""
    draws = 1 / (1 + np.exp(-(margin + deviation * RNG.normal(size=500_000))))

    def bits(p):
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))

    slow = float(bits(draws.mean()) - bits(draws).mean())
    fast = information(np.array([[1.0]]), np.array([margin]), np.array([[deviation**2]]))[0]
    assert fast == pytest.approx(slow, abs=0.02)
    foreseen = chance(np.array([margin]), np.array([deviation**2]))[0]
    assert foreseen == pytest.approx(float(draws.mean()), abs=0.02)


def test_what_is_known_and_what_is_alike_tells_nothing() -> None:
    mean, covariance = np.array([8.0, 0.0]), np.diag([0.01, 1.0])
    alike, known, open_ = information(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), mean, covariance)
    assert alike == pytest.approx(0.0, abs=1e-9)
    assert known < 0.01 < open_


def test_the_best_pair_is_the_best_of_all() -> None:
    groups = [Candidates(str(number), [f"{number}{letter}" for letter in "abcd"]) for number in range(3)]
    rows = [RNG.normal(size=(4, 3)) for _ in groups]
    mean, covariance = RNG.normal(size=3), np.diag([1.0, 0.2, 2.0])
    found = best_pair([*groups, Candidates("alone", ["x"])], [*rows, np.zeros((1, 3))], mean, covariance)
    every = {
        (group.replies[i], group.replies[j]): float(
            information((table[i] - table[j])[None], mean, covariance)[0]
        )
        for group, table in zip(groups, rows, strict=True)
        for i in range(4)
        for j in range(i + 1, 4)
    }
    assert every[found.first, found.second] == pytest.approx(max(every.values()))
    assert found.bits == pytest.approx(max(every.values()))
    assert found.first.startswith(found.question)


def test_without_two_replies_there_is_nothing_to_ask() -> None:
    with pytest.raises(UsageError, match="no two replies"):
        best_pair([Candidates("q", ["one"])], [np.zeros((1, 2))], np.zeros(2), np.eye(2))


def test_every_answer_leads_to_another_question() -> None:
    taste, asked = Taste(), set()
    for _ in range(4):
        pair = taste.next_pair()
        assert (pair.first, pair.second) not in asked
        assert pair.first != pair.second
        asked.add((pair.first, pair.second))
        taste.update(pair.first, pair.second, query=pair.question)
    mine = [Candidates("How?", ["Do it now.", "Perhaps you could do it, if you like, one day, or not."])]
    assert taste.next_pair(mine).question == "How?"


def test_shipped_replies_differ_in_form_and_are_the_same_for_a_seed() -> None:
    groups = shipped_candidates(each=5, seed=3)
    assert len(groups) >= 16
    assert all(len(set(group.replies)) == 5 for group in groups)
    assert groups == shipped_candidates(each=5, seed=3)
    assert groups != shipped_candidates(each=5, seed=4)
