"""The shipped rankers, their files, and training from made-up histories."""

from pathlib import Path

import numpy as np
import pytest

from mnemon.errors import DataError, UsageError
from mnemon.retrievers import Document, Query
from mnemon.retrievers.features import FEATURES
from mnemon.retrievers.history import Choice, HistoryRetriever
from mnemon.retrievers.pairs import History, as_question, load_histories
from mnemon.retrievers.synthetic import histories
from mnemon.retrievers.train import (
    Question,
    Recipe,
    index,
    recall,
    train_rankers,
    train_trunk,
    turn_questions,
)
from mnemon.retrievers.trunk import load_trunk, shipped_session_trunk, shipped_trunk

SMALL = Recipe(hidden=4, epochs=20, networks=1, rank=2, decay=0.01, unseen=0.0)


@pytest.fixture(scope="module")
def made_up() -> list[History]:
    return list(histories(3, seed=5))


def questions(made_up: list[History]) -> list[Question]:
    return turn_questions(index(made_up, None))


def test_shipped_rankers_fit_this_version_and_are_small() -> None:
    trunk, sessions = shipped_trunk(), shipped_session_trunk()
    assert trunk.features == FEATURES
    assert trunk.rank >= 1
    assert sessions.weights.size > 0
    folder = Path(__file__).parents[2] / "retrievers" / "data"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5_000_000


def test_shipped_ranker_beats_the_plain_lane_on_made_up_histories(made_up: list[History]) -> None:
    """By words alone, on seeds that it has not seen."""
    data = questions(made_up)
    place = FEATURES.index("lex_turn")
    plain = [q.gold[np.argsort(-q.features[:, place], kind="stable")[:10]].sum() / q.wanted for q in data]
    assert recall(data, shipped_trunk()) > float(np.mean(plain)) + 0.05


def test_training_is_repeatable_and_learns(made_up: list[History], tmp_path: Path) -> None:
    data = questions(made_up[:2])
    recipe = Recipe(hidden=4, epochs=30, rank=2)
    trunk = train_trunk(data, recipe)
    again = train_trunk(data, recipe)
    assert np.array_equal(trunk.weights, again.weights)
    assert recall(questions(made_up[2:]), trunk) > 0.5
    trunk.save(tmp_path / "t.npz")
    loaded = load_trunk(tmp_path / "t.npz", features=FEATURES)
    assert np.array_equal(loaded.basis, trunk.basis)


def test_foreign_or_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"bad\.npz"):
        load_trunk(tmp_path / "bad.npz", features=FEATURES)
    shipped_trunk().save(tmp_path / "t.npz")
    with pytest.raises(DataError, match="other features"):
        load_trunk(tmp_path / "t.npz", features=FEATURES[:-1])


def test_choices_move_the_ranking_of_this_person() -> None:
    def history() -> HistoryRetriever:
        retriever = HistoryRetriever()
        retriever.add(
            [
                Document(
                    id=f"{who}{n}",
                    text=f"tea number {n} was {word}",
                    speaker=who,
                    session=f"s{n}",
                    position=at,
                )
                for n, word in enumerate(["mild", "strong", "green", "black", "red", "white", "cold", "hot"])
                for at, who in enumerate(("user", "assistant"))
            ]
        )
        return retriever

    retriever = history()
    before = {hit.id: hit.score for hit in retriever.search(Query(text="tea", k=16))}
    head = retriever.learn(
        [Choice(Query(text=f"tea number {n}"), [f"assistant{n}"], [f"user{n}"]) for n in range(6)]
    )
    assert head.pairs == 6
    hits = retriever.search(Query(text="tea", k=16))
    moved = {hit.id: hit.score - before[hit.id] for hit in hits}
    assert np.mean([moved[f"assistant{n}"] - moved[f"user{n}"] for n in (6, 7)]) > 0
    assert float(hits[0].why["head_deviation"]) > 0
    with pytest.raises(UsageError):
        HistoryRetriever(trunk="hand-set").learn([])


def test_made_up_histories_are_repeatable_and_their_evidence_exists(made_up: list[History]) -> None:
    again = list(histories(3, seed=5))
    assert again == made_up
    for history in made_up:
        present = {document.id for document in history.documents}
        assert len(history.examples) > 20
        assert all(set(example.gold) <= present for example in history.examples)


def test_questions_never_hold_the_whole_statement() -> None:
    import random

    rng = random.Random(0)
    statement = "User keeps three goats in a barn near Salzburg because the milk is good"
    for _ in range(50):
        question = as_question(statement, "Ana", rng)
        assert question is not None
        assert question.endswith("?")
        assert not set(statement.lower().split()) <= set(question.lower().rstrip("?").split())
    assert as_question("Too short", "Ana", rng) is None


def test_jsonl_histories(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(
        '{"name": "x", "documents": [{"id": "a", "text": "tea", "time": "2023-01-01T00:00:00"}],'
        ' "examples": [{"text": "what?", "gold": ["a"]}]}\n'
    )
    (history,) = load_histories(path)
    assert history.documents[0].time is not None
    assert history.documents[0].time.tzinfo is not None
    path.write_text('{"name": "x"}\n')
    with pytest.raises(DataError):
        list(load_histories(path))
    with pytest.raises(DataError, match="holds no training data"):
        list(load_histories(tmp_path / "none"))


def test_rankers_say_what_they_reach_on_people_left_out(made_up: list[History]) -> None:
    people = [
        History(f"{who}-1", *history[1:]) for who, history in zip(("ana", "ben"), made_up, strict=False)
    ]
    trained = train_rankers(people, None, recipe=SMALL, source="s")
    held_out = trained.card["held_out"]
    assert isinstance(held_out, dict)
    assert set(held_out["turn_recall_at_10"]) == {"ana", "ben"}
    assert all(0.2 < share <= 1.0 for share in held_out["turn_recall_at_10"].values())
    assert trained.turns.card["source"] == trained.sessions.card["source"] == "s"


def test_a_history_varies_along_every_live_feature_and_along_what_was_learnt(made_up: list[History]) -> None:
    trunk = train_trunk(questions(made_up), Recipe(hidden=4, epochs=1, networks=1, rank=2))
    learnt, own = trunk.basis[:, :2], trunk.basis[:, 2:]
    assert np.linalg.norm(learnt) > 0
    assert own.shape[1] == len(FEATURES)
    assert ((own.max(0) > 0) == (trunk.scale > 0)).all()
