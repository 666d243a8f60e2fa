"""The table of words that go together: made, kept, shipped, and what ranking makes of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mnemon.errors import DataError
from mnemon.retrievers import Document, Query
from mnemon.retrievers.features import AKIN_BESIDE, INDEX
from mnemon.retrievers.history import HistoryRetriever
from mnemon.retrievers.kin import LEAST, NONE, load, make, shipped_kin, vocabulary
from mnemon.retrievers.seams import Vectors
from mnemon.retrievers.text import Tokenizer


class Given:
    """An embedder that knows the vectors of a few words."""

    name, dimension = "given", 2

    def __init__(self, degrees: dict[str, float]) -> None:
        self._degrees = degrees

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        angles = np.deg2rad([self._degrees[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    embed_queries = embed_texts


def test_relatives_are_those_near_enough_the_least_alike_first() -> None:
    kin = make(
        ["sport", "soccer", "boat", "rowing"], Given({"sport": 0, "soccer": 20, "rowing": 50, "boat": 100})
    )
    found = dict(kin.of("sport"))
    assert list(found) == ["row", "soccer"]
    assert found["soccer"] == pytest.approx((np.cos(np.deg2rad(20)) - NONE) / (1 - NONE), abs=1 / 255)
    assert np.cos(np.deg2rad(50)) > LEAST > np.cos(np.deg2rad(100))
    assert list(kin.of("unheard")) == []


def test_the_commonest_word_speaks_for_its_stem() -> None:
    kin = make(["boats", "boat", "ship"], Given({"boats": 0, "ship": 30, "boat": 90}))
    assert len(kin) == 2
    assert [relative.stem for relative in kin.of("boat")] == ["ship"]


def test_a_table_is_the_same_after_a_file(tmp_path: Path) -> None:
    kin = make(["sport", "soccer", "boat"], Given({"sport": 0, "soccer": 20, "boat": 40}))
    kin.save(tmp_path / "kin.npz")
    again = load(tmp_path / "kin.npz")
    for stem in ("sport", "soccer", "boat"):
        assert list(again.of(stem)) == list(kin.of(stem))
    (tmp_path / "other.npz").write_bytes(b"no table")
    with pytest.raises(DataError, match="not a table") as raised:
        load(tmp_path / "other.npz")
    assert "mnemon rerank kin" in str(raised.value.hint)


def test_vocabulary_is_whole_words_in_order(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(
        '{"model": {"vocab": {"[PAD]": 0, "the": 1, "of": 2, "boat": 3, "##ing": 4, "café": 5}}}',
        encoding="utf-8",
    )
    assert vocabulary(tmp_path) == ["the", "boat"]
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        vocabulary(tmp_path / "nowhere")


def test_the_shipped_table_knows_kinds_and_examples() -> None:
    kin, stem = shipped_kin(), Tokenizer("english")
    for kind, example in (("sports", "basketball"), ("city", "chicago"), ("pet", "dog"), ("book", "novel")):
        assert stem(example)[0] in dict(kin.of(stem(kind)[0])), kind
    assert all(0 < relative.likeness < 1 for relative in kin.of(stem("sports")[0]))


def test_shares_of_related_words_equal_brute_force() -> None:
    texts = [
        "We went to see the soccer final.",
        "Nice one.",
        "A boat trip.",
        "My favourite sport is chess.",
        "Hm.",
    ]
    retriever = HistoryRetriever(trunk="hand-set")
    retriever.add(
        [Document(id=str(place), text=text, session="s", position=place) for place, text in enumerate(texts)]
    )
    pool = retriever.describe(Query(text="Which sports does Ana like?"))
    kin, tokenize = shipped_kin(), Tokenizer()
    terms = tokenize("Which sports does Ana like?")
    present = len(texts)
    bags = [set(tokenize(text)) for text in texts]
    alike = np.zeros((len(terms), present + 2))  # a row of nothing before and after
    weight = np.zeros(len(terms))
    for at, term in enumerate(terms):
        holding = sum(term in bag for bag in bags)
        weight[at] = np.log1p((present - holding + 0.5) / (holding + 0.5))
        values = {**dict(kin.of(term)), term: 1.0}
        alike[at, 1:-1] = [max((values.get(word, 0.0) for word in bag), default=0.0) for bag in bags]
    beside = np.maximum(alike[:, 1:-1], AKIN_BESIDE * np.maximum(alike[:, :-2], alike[:, 2:]))
    order = [int(id_) for id_ in pool.ids]
    here = pool.features[:, INDEX["kin_turn"]]
    assert here[order.index(0)] > 0  # soccer
    assert np.allclose(here, (weight @ alike[:, 1:-1] / weight.sum())[order], atol=1e-6)
    assert np.allclose(
        pool.features[:, INDEX["kin_near"]], (weight @ beside / weight.sum())[order], atol=1e-6
    )
