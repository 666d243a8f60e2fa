"""The head: recovers tastes, is unsure where it has seen nothing, and is kept as plain lists."""

import time
from dataclasses import replace

import numpy as np
import pytest

from mnemon.errors import UsageError
from mnemon.retrievers.head import Comparison, Head

RNG = np.random.default_rng(0)
BASE = np.zeros(8)
BASIS = np.eye(8)[:, :3]
TASTE = np.array([2.0, -1.5, 0.0])


def choices(count: int, *, seed: int = 1) -> list[Comparison]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        items = rng.normal(size=(6, 8))
        best = int(np.argmax(items[:, :3] @ TASTE + rng.gumbel(size=6) * 0.3))
        found.append(Comparison(items[best], np.delete(items, best, axis=0)))
    return found


def test_choices_teach_the_taste_behind_them() -> None:
    head = Head.prior(3).fit(choices(60), base=BASE, basis=BASIS)
    assert head.pairs == 60
    assert float(head.mean @ TASTE) / np.linalg.norm(head.mean) / np.linalg.norm(TASTE) > 0.95


def test_mode_is_where_the_posterior_is_highest() -> None:
    data = choices(10)
    head = Head.prior(3).fit(data, base=BASE, basis=BASIS)

    def log_posterior(a: np.ndarray) -> float:
        total = -0.5 * float(a @ a)
        for item in data:
            margins = (item.rejected - item.chosen) @ BASIS @ a
            total -= float(np.log1p(np.exp(margins).sum()))
        return total

    top = log_posterior(head.mean)
    for _ in range(50):
        assert log_posterior(head.mean + RNG.normal(size=3) * 0.05) <= top


def test_a_weight_counts_choices() -> None:
    data = choices(8)
    twice = Head.prior(3).fit([*data, *data], base=BASE, basis=BASIS)
    heavy = Head.prior(3).fit([replace(one, weight=2.0) for one in data], base=BASE, basis=BASIS)
    assert heavy.mean == pytest.approx(twice.mean, abs=1e-5)
    assert heavy.covariance == pytest.approx(twice.covariance, abs=1e-5)
    nothing = Head.prior(3).fit([replace(one, weight=0.0) for one in data], base=BASE, basis=BASIS)
    assert nothing.mean == pytest.approx(np.zeros(3))
    assert nothing.covariance == pytest.approx(np.eye(3))


def test_choices_of_unequal_length_are_each_one_softmax() -> None:
    few, many = choices(1)[0], choices(2)[1]
    data = [Comparison(few.chosen, few.rejected[:1]), many]
    mode = Head.prior(3).fit(data, base=BASE, basis=BASIS).mean
    pull = np.zeros(3)  # at the mode, what the choices pull equals what the prior holds back
    for one in data:
        items = np.vstack([one.chosen, one.rejected])[:, :3]
        chance = np.exp(items @ mode) / np.exp(items @ mode).sum()
        pull += items[0] - chance @ items
    assert pull == pytest.approx(mode, abs=1e-5)


def test_doubt_shrinks_only_where_something_was_seen() -> None:
    rng = np.random.default_rng(2)
    seen = [Comparison(np.r_[rng.normal(), np.zeros(7)], np.zeros((1, 8))) for _ in range(40)]
    head = Head.prior(3).fit(seen, base=BASE, basis=BASIS)
    doubt = head.deviation(np.eye(8)[:3], BASIS)
    assert doubt[0] < 0.7
    assert doubt[1:] == pytest.approx([1.0, 1.0])


def test_before_any_choice_nothing_is_added() -> None:
    head = Head.prior(3)
    assert head.adjust(RNG.normal(size=(5, 8)), BASIS) == pytest.approx(np.zeros(5))
    assert head.fit([], base=BASE, basis=BASIS) is head


def test_state_comes_back_as_it_was() -> None:
    head = Head.prior(3).fit(choices(5), base=BASE, basis=BASIS)
    again = Head.from_state(head.state())
    assert np.array_equal(again.mean, head.mean)
    assert np.array_equal(again.covariance, head.covariance)
    assert again.pairs == head.pairs


@pytest.mark.parametrize("state", [{}, {"mean": [0.0], "covariance": [[1.0, 0.0]], "pairs": 0}])
def test_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Head.from_state(state)


def test_wrong_basis_is_refused() -> None:
    with pytest.raises(UsageError, match="rank 3"):
        Head.prior(3).fit(choices(1), base=BASE, basis=np.eye(8))


def test_fitting_twenty_choices_takes_milliseconds() -> None:
    data = choices(20)
    start = time.process_time()
    Head.prior(3).fit(data, base=BASE, basis=BASIS)
    assert time.process_time() - start < 0.25
