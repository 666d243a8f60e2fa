"""The prior over people: found again from choices made under a known one, kept and refused."""

from pathlib import Path

import numpy as np
import pytest

from mnemon.errors import DataError, UsageError
from mnemon.profiles.population import Population, felt, fit_population, low_rank, shipped_population
from mnemon.profiles.variants import questions, replies


def made_people(count: int, *, seed: int = 0) -> list[list[tuple[str, str]]]:
    """All like it short; half of them like questions back and the other half do not."""
    rng = np.random.default_rng(seed)
    texts = [replies(question, 10, seed=2) for question in questions()[:6]]
    population = shipped_population()
    words, asks = population.features.index("words"), population.features.index("questions")
    people = []
    for number in range(count):
        choices = []
        for _ in range(30):
            group = texts[rng.integers(len(texts))]
            first, second = (group[place] for place in rng.choice(10, size=2, replace=False))
            difference = population.represent(first) - population.represent(second)
            liking = -1.5 * difference[words] + (2.0 if number % 2 else -2.0) * difference[asks]
            chosen = rng.random() < 1 / (1 + np.exp(-liking))
            choices.append((first, second) if chosen else (second, first))
        people.append(choices)
    return people


def test_what_people_share_and_where_they_differ_is_found() -> None:
    found = fit_population(made_people(40), rank=2, card={"why": "a test"})
    words, asks = found.features.index("words"), found.features.index("questions")
    assert found.mean[words] < -0.7
    assert found.mean[words] == found.mean.min()
    spread = np.diag(found.covariance)
    assert spread[asks] == spread.max()
    assert abs(found.mean[asks]) < 0.5
    assert found.card == {"people": 40, "choices": 1200, "why": "a test"}


def test_one_person_is_no_population() -> None:
    with pytest.raises(UsageError, match="two people"):
        fit_population([[("a", "b")], []])


def test_low_rank_and_rest_make_the_covariance() -> None:
    rng = np.random.default_rng(1)
    basis, rest = rng.normal(size=(9, 2)), rng.uniform(0.3, 0.6, size=9)
    found, residual = low_rank(basis @ basis.T + np.diag(rest), 2)
    assert found @ found.T + np.diag(residual) == pytest.approx(basis @ basis.T + np.diag(rest), abs=0.05)


def test_a_population_comes_back_as_it_was(tmp_path: Path) -> None:
    shipped = shipped_population()
    shipped.save(tmp_path / "p.npz")
    again = Population.load(tmp_path / "p.npz")
    assert again.digest == shipped.digest
    assert again.card == shipped.card


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"\x93NUMPY", b"text"])
def test_a_damaged_file_is_refused(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(body)
    with pytest.raises(DataError, match="no population"):
        Population.load(tmp_path / "p.npz")


def test_other_measures_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    replace(shipped_population(), features=("words",)).save(tmp_path / "p.npz")
    with pytest.raises(DataError, match="other measures"):
        Population.load(tmp_path / "p.npz")


def test_one_strange_reply_is_clipped() -> None:
    row = shipped_population().represent("!" * 5_000 + " word")
    assert np.abs(row).max() <= 4
    with pytest.raises(ValueError, match="read-only"):
        felt("a")[0] = 1.0
