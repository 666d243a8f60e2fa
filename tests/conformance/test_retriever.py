"""Every Retriever keeps these promises. To hold a new one to them, add its maker to RETRIEVERS.

If one fails: filters (`units`, `allowed`, `before`) apply before the best k are taken, never after; scores
fall from the first hit to the last; a document added again replaces the one before it, wholly.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mnemon.retrievers import (
    BM25,
    ChromaIndex,
    DenseLane,
    Document,
    ExactIndex,
    FaissIndex,
    HistoryRetriever,
    Query,
    Retriever,
)
from mnemon.retrievers.cross_encoder import Reranked
from mnemon.testing import HashEmbedder

DIMENSION = 64
START = datetime(2024, 5, 1, tzinfo=UTC)


class SharedWords:
    """A PairScorer by the number of words that both hold."""

    def score(self, query, texts):
        import numpy as np

        asked = set(query.lower().split())
        return np.array([len(asked & set(text.lower().split())) for text in texts], np.float32)


def dense(index) -> Retriever:
    return DenseLane(HashEmbedder(dimension=DIMENSION), index)


RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "bm25": BM25,
    "bm25 positive": lambda: BM25(weighting="positive"),
    "dense exact": lambda: dense(ExactIndex(DIMENSION)),
    "dense faiss": lambda: dense(FaissIndex(DIMENSION)),
    "dense chroma": lambda: dense(ChromaIndex(DIMENSION)),
    "history": lambda: HistoryRetriever(HashEmbedder(dimension=DIMENSION)),
    "history by words alone": HistoryRetriever,
    "reranked": lambda: Reranked(dense(ExactIndex(DIMENSION)), SharedWords()),
}

STORY = {
    "beagle": "My beagle is called Biscuit and sleeps all day",
    "cello": "I practise the cello every Tuesday evening",
    "porto": "In spring we moved from Lyon to Porto",
    "bread": "The sourdough bread failed again because of the heat",
    "marathon": "I ran the marathon in under four hours",
    "exam": "Maria passed her chemistry exam with distinction",
}


def story() -> list[Document]:
    return [
        Document(
            id=id_, text=text, time=START + timedelta(days=day), session=f"s{day // 3}", position=day % 3
        )
        for day, (id_, text) in enumerate(STORY.items())
    ]


@pytest.fixture(params=RETRIEVERS.values(), ids=RETRIEVERS)
def make(request: pytest.FixtureRequest) -> Callable[[], Retriever]:
    return request.param


@pytest.fixture
def retriever(make: Callable[[], Retriever]) -> Retriever:
    made = make()
    made.add(story())
    return made


def ids(found) -> list[str]:
    return [hit.id for hit in found]


@pytest.mark.parametrize("id_", STORY)
def test_the_document_itself_is_found_first(retriever, id_):
    found = retriever.search(Query(text=STORY[id_], k=3))
    assert found[0].id == id_
    assert found[0].unit == "turn"


def test_scores_fall_and_say_why(retriever):
    found = retriever.search(Query(text="the beagle Biscuit and the cello on Tuesday", k=6))
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert all(hit.why for hit in found)


def test_an_empty_one_finds_nothing(make):
    assert make().search(Query(text="beagle")) == []


def test_no_more_than_k_and_no_more_than_there_are(retriever):
    query = "my beagle and the cello, the bread and the marathon, Maria in Porto"
    assert len(retriever.search(Query(text=query, k=2))) == 2
    found = retriever.search(Query(text=query, k=100))
    assert 0 < len(found) <= len(STORY)
    assert len(set(ids(found))) == len(found)
    assert retriever.search(Query(text=query, k=0)) == []


@pytest.mark.parametrize("text", ["", " ", "\ud800", "zzz qqq xxx", "?!", "beagle " * 5000])
def test_any_query_is_answered(retriever, text):
    assert len(retriever.search(Query(text=text, k=3))) <= 3


@pytest.mark.parametrize("text", ["", "\ud800 lone", "🍕", "x" * 100_000, "\x00"])
def test_any_text_can_be_held(retriever, text):
    retriever.add([Document(id="odd", text=text, time=START)])
    assert retriever.search(Query(text=STORY["beagle"], k=1))[0].id == "beagle"


def test_adding_again_replaces(retriever):
    retriever.add([Document(id="beagle", text="The violin stands in the attic", time=START)])
    assert retriever.search(Query(text="violin attic", k=1))[0].id == "beagle"
    assert "beagle" not in ids(retriever.search(Query(text="Biscuit sleeps all day", k=1)))


def test_of_a_batch_that_names_an_id_twice_the_last_counts(make):
    retriever = make()
    retriever.add(
        [
            Document(id="a", text="violin in the attic", time=START),
            Document(id="b", text="garden", time=START),
            Document(id="a", text="piano in the hall", time=START),
        ]
    )
    found = retriever.search(Query(text="piano in the hall", k=5))
    assert found[0].id == "a"
    assert len(set(ids(found))) == len(found)


def test_removing_removes_and_an_unknown_id_is_no_error(retriever):
    retriever.remove(["beagle", "never there", "beagle"])
    retriever.remove([])
    assert "beagle" not in ids(retriever.search(Query(text=STORY["beagle"], k=10)))
    retriever.add(story()[:1])
    assert retriever.search(Query(text=STORY["beagle"], k=1))[0].id == "beagle"


def test_only_the_allowed_and_still_k_of_them(retriever):
    allowed = ["beagle", "cello", "exam", "never there"]
    query = "my beagle, the cello, the marathon and the exam"
    found = retriever.search(Query(text=query, k=3, allowed=allowed))
    assert sorted(ids(found)) == ["beagle", "cello", "exam"]
    assert retriever.search(Query(text=query, k=3, allowed=[])) == []


def test_only_what_was_known_before(retriever):
    query = "my beagle, the cello, the marathon and the exam"
    found = retriever.search(Query(text=query, k=6, before=START + timedelta(days=1)))
    assert ids(found) == ["beagle"]
    assert retriever.search(Query(text=query, k=6, before=START)) == []


def test_only_the_units_asked_for(retriever):
    retriever.add([Document(id="fact", text="has a beagle called Biscuit", unit="fact", time=START)])
    query = "beagle called Biscuit"
    assert ids(retriever.search(Query(text=query, k=9, units=frozenset({"fact"})))) == ["fact"]
    assert "fact" not in ids(retriever.search(Query(text=query, k=9)))
    both = retriever.search(Query(text=query, k=2, units=frozenset({"fact", "turn"})))
    assert {hit.id: hit.unit for hit in both} == {"fact": "fact", "beagle": "turn"}


def test_a_document_without_a_time_can_be_found(retriever):
    retriever.add([Document(id="undated", text="The violin stands in the attic")])
    assert retriever.search(Query(text="violin attic", k=1, before=START))[0].id == "undated"


def test_it_repeats_itself(make):
    query = Query(text="my beagle, the bread, the marathon", k=6)
    first, second = make(), make()
    first.add(story())
    for document in story():
        second.add([document])
    assert ids(first.search(query)) == ids(first.search(query)) == ids(second.search(query))


def test_two_are_strangers(make):
    first, second = make(), make()
    first.add(story())
    second.add([Document(id="beagle", text="a violin in the attic", time=START)])
    assert len(second.search(Query(text="violin attic", k=9))) == 1
    assert first.search(Query(text=STORY["beagle"], k=1))[0].id == "beagle"
