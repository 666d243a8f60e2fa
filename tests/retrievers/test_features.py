"""Lanes against brute force.

A window's score is BM25 over the window's words, from postings of turns alone.
"""

import numpy as np
import pytest

from mnemon.retrievers import Document, Query
from mnemon.retrievers.entities import Mark, asked, marks, mentions, names
from mnemon.retrievers.features import (
    FEATURES,
    INDEX,
    KERNELS,
    Lanes,
    damping,
    lexical_lanes,
    rough,
    saturate,
    scale,
    scales,
    standard,
)
from mnemon.retrievers.history import HistoryRetriever
from mnemon.retrievers.windows import Rows, pieces

WORDS = ["sea", "boat", "net", "fish", "salt", "wind", "rope", "tide"]


def random_rows(seed: int) -> tuple[Rows, list[list[str]]]:
    rng = np.random.default_rng(seed)
    rows, texts = Rows(), []
    for place in range(60):
        text = [str(word) for word in rng.choice(WORDS, rng.integers(1, 6))]
        texts.append(text)
        session, position = f"s{place % 4}", place // 4
        rows.append(Document(id=f"d{place}", text=" ".join(text), session=session, position=position), text)
    for place in rng.choice(60, 8, replace=False).tolist():
        rows.drop(f"d{place}")
        texts[place] = []
    return rows, texts


@pytest.mark.parametrize("seed", range(5))
def test_window_scores_equal_brute_force(seed: int) -> None:
    rows, texts = random_rows(seed)
    columns = rows.columns()
    terms = {"boat": 1, "tide": 2}
    lanes, _, _ = lexical_lanes(rows, columns, terms)
    alive = [place for place in range(60) if texts[place]]
    lines = {s: [p for p in alive if p % 4 == s] for s in range(4)}
    for name, kernel in KERNELS.items():
        sums = np.zeros((60, len(WORDS)))
        for line in lines.values():
            for at, place in enumerate(line):
                for step in range(-len(kernel) + 1, len(kernel)):
                    if 0 <= at + step < len(line):
                        for word in texts[line[at + step]]:
                            sums[place, WORDS.index(word)] += kernel[abs(step)]
        lengths = sums.sum(1)
        expected = np.zeros(60)
        for word, repeats in terms.items():
            holding = sum(word in text for text in texts)
            weight = np.log1p((len(alive) - holding + 0.5) / (holding + 0.5))
            counts = sums[:, WORDS.index(word)]
            expected += repeats * weight * saturate(counts, damping(lengths, lengths.sum() / len(alive)))
        assert lanes[name][alive] == pytest.approx(expected[alive]), f"{name}, seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_scales_are_those_of_all_rows_that_are_there(seed: int) -> None:
    rows, _ = random_rows(seed)
    columns = rows.columns()
    lexical, _, _ = lexical_lanes(rows, columns, {"boat": 1, "tide": 2})
    for name, found in scales(columns, lexical, None).items():
        there = lexical[name][:-1][columns.alive]
        assert found == pytest.approx((there.mean(), there.std()))
        assert found.of(there) == pytest.approx((there - there.mean()) / there.std())
    lanes = Lanes(lexical, np.zeros(4), None, {}, columns.alive, scales(columns, lexical, None))
    obvious = standard(lexical["turn"], columns.alive) + standard(lexical["wide"], columns.alive)
    assert np.ptp((rough(lanes) - obvious)[:-1][columns.alive]) < 1e-9  # the same up to a constant
    flat = scale(np.full(61, 3.0), columns.alive)
    assert not flat.of(np.full(4, 3.0)).any()


def test_marks_and_what_is_asked() -> None:
    assert Mark.TIME in marks("We left on Sunday")
    assert Mark.ASKS in marks("Where did you go?")
    assert Mark.FIRST in marks("I sold my car")
    assert Mark.GREETS in marks("Hey Ana! Good to see you")
    assert Mark.PLACE in asked("Where does she live?")
    assert Mark.NUMBER in asked("How many cats has he?")
    assert names('We saw Anna Karenina and "Swan Lake" in Vienna.') >= {
        "anna karenina",
        "swan lake",
        "vienna",
    }


def test_mentioned_speakers() -> None:
    assert mentions("What did Ana's dog eat?", ["Ana", "Ben"]).speakers == {"Ana"}
    assert mentions("What did I say about you?", ["user", "assistant"]).speakers == {"user"}
    assert not mentions("What did Anabel eat?", ["Ana", "Ben"]).speakers


def test_features_say_who_spoke_and_when() -> None:
    retriever = HistoryRetriever(trunk="hand-set")
    retriever.add(
        [
            Document(id="a", text="I sold my boat on Sunday", speaker="Ana", session="s"),
            Document(id="b", text="Ana sold a boat", speaker="Ben", session="s", position=1),
        ]
    )
    pool = retriever.describe(Query(text="When did Ana sell the boat?"))
    by_id = dict(zip(pool.ids, pool.features, strict=True))
    assert by_id["a"][INDEX["speaker"]] == 1
    assert by_id["b"][INDEX["speaker_other"]] == 1
    assert by_id["a"][INDEX["when_time"]] > by_id["b"][INDEX["when_time"]]
    assert pool.features.shape == (2, len(FEATURES))
    assert np.isfinite(pool.features).all()


def test_pieces_keep_every_word_and_stay_short() -> None:
    text = "One sentence here. " * 80 + "x" * 2000
    found = pieces(text)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, found)) <= 480 * 1.6 + 1
    assert pieces("short") == ["short"]


@pytest.mark.parametrize(
    "text",
    [
        "Always give metric units.",
        "Thanks! From now on, keep it short.",
        "Please never use tables.",
        "Whenever I ask about rent, quote the law.",
        "I want you to always show the calculation.",
    ],
)
def test_a_standing_order_is_seen(text: str) -> None:
    assert Mark.ORDERS in marks(text)


@pytest.mark.parametrize(
    "text",
    [
        "Never mind, thanks.",
        "Always happy to help!",
        "I always travel with hand luggage only.",
        "What if I mention the gap?",
        "We talked about it when I was in Rome.",
    ],
)
def test_other_talk_is_no_order(text: str) -> None:
    assert Mark.ORDERS not in marks(text)


def test_the_orders_that_fit_best_are_looked_at_whatever_the_lanes_say() -> None:
    retriever = HistoryRetriever(trunk="hand-set", pool=3)
    said = [
        "Always answer in euros when I ask about prices.",
        *[f"The boat costs {n} euros." for n in range(30)],
    ]
    said += ["From now on, no tables.", "I always eat early."]
    retriever.add(
        [
            Document(id=str(place), text=text, speaker="user" if place != 5 else "assistant", position=place)
            for place, text in enumerate(said)
        ]
    )
    pool = retriever.describe(Query(text="How many euros for prices of boats?"))
    order = dict(zip(pool.ids, pool.features[:, INDEX["order"]].tolist(), strict=True))
    assert order.pop("0") == 1.0
    assert order.pop("31") == 0.5
    assert set(order.values()) == {0.0}


def test_friends_give_each_other_no_orders() -> None:
    retriever = HistoryRetriever(trunk="hand-set")
    retriever.add(
        [
            Document(id="a", text="Always call me when I ask about him.", speaker="Ana", position=0),
            Document(id="b", text="Sure.", speaker="Ben", position=1),
        ]
    )
    assert not retriever.describe(Query(text="When do I call?")).features[:, INDEX["order"]].any()
