"""Rankers that leave a conversation out, and what a head adds to one."""

from pathlib import Path

import numpy as np
import pytest

from mnemon.errors import DataError
from mnemon.evals.benchmark import Opening
from mnemon.evals.held_out import Asked, head_gain, held_out, pools
from mnemon.evals.locomo import LoCoMo
from mnemon.retrievers.features import FEATURES
from mnemon.retrievers.synthetic import histories
from mnemon.retrievers.train import Question, Recipe, adapt, index, train_trunk, turn_questions
from mnemon.retrievers.trunk import Trunk
from mnemon.testing import HashEmbedder

SMALL = Recipe(hidden=4, epochs=20, networks=1, rank=2, decay=0.01, unseen=0.0)
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    made = turn_questions(index(histories(3, seed=8), None))
    return [Asked(question, question.history) for question in made]


def test_each_conversation_is_ranked_by_a_ranker_that_never_saw_it(
    asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def noting(trunk: Trunk, data: list[Question]) -> Trunk:
        seen.append({question.history for question in data})
        return adapt(trunk, data)

    monkeypatch.setattr("mnemon.evals.held_out.adapt", noting)
    blank = train_trunk([one.question for one in asked], Recipe(hidden=4, epochs=0, networks=1, rank=2))
    found = held_out(asked, blank)
    names = {one.cluster for one in asked}
    assert [names - part for part in seen] == [{name} for name in sorted(names)]
    assert found.questions == len(asked)
    assert set(found.by_conversation) == names
    assert 0.3 < found.recall.value <= 1.0


def test_a_head_learns_what_its_person_means(asked: list[Asked]) -> None:
    """Everybody's evidence is what follows a turn that matches; the trunk knows nothing at all."""
    trunk = train_trunk([one.question for one in asked], SMALL)
    blank = train_trunk([one.question for one in asked], Recipe(hidden=4, epochs=0, networks=1, rank=2))
    ignorant = head_gain(asked, blank, choices=20)
    taught = head_gain(asked, trunk, choices=20)
    assert ignorant.people == 3
    assert ignorant.gain.value > 0.02
    assert ignorant.gain.value > taught.gain.value
    assert ignorant.head == pytest.approx(ignorant.trunk + ignorant.gain.value)
    with pytest.raises(DataError, match="choices"):
        head_gain(asked, trunk, choices=1000)


def test_pools_hold_the_evidence_of_a_benchmark() -> None:
    found = pools(LoCoMo(Opening(path=DATA / "locomo_tiny.json")), HashEmbedder(dimension=32))
    assert found
    for one in found:
        assert one.question.features.shape[1] == len(FEATURES)
        assert np.sum(one.question.gold) <= one.question.wanted
