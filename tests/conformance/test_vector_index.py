"""Every VectorIndex keeps these promises, the numpy reference first.

If one fails for a new backend, look first at the direction of its scores (a distance must be turned round),
at what it does when k exceeds what it holds, and at how it filters: never "the best k, filtered".
"""

import hashlib
import inspect
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.errors import StoreError, UsageError
from mnemon.retrievers import ChromaIndex, ExactIndex, FaissIndex, faiss_index
from mnemon.retrievers.pgvector_index import PgVectorIndex
from mnemon.retrievers.seams import VectorIndex
from tests import postgres

DIMENSION = 8


@dataclass(frozen=True)
class Backend:
    """How to make an index, how to leave it and find it again where it can be."""

    make: Callable[[Path], VectorIndex]
    kind: type
    reopen: Callable[[VectorIndex, Path], VectorIndex] | None = None
    close: Callable[[VectorIndex], None] = lambda index: None


def _save_and_open(index: VectorIndex, path: Path) -> VectorIndex:
    index.save(path / "vectors.index")
    return FaissIndex.open(path / "vectors.index")


def _close_and_open(index: VectorIndex, path: Path) -> VectorIndex:
    index.close()
    return ChromaIndex(DIMENSION, path=path)


def _through_a_client(path: Path) -> VectorIndex:
    import chromadb
    from chromadb.config import Settings

    client = chromadb.EphemeralClient(settings=Settings(anonymized_telemetry=False))
    # All in-memory clients of a process share one database.
    return ChromaIndex(DIMENSION, client=client, collection=f"c-{uuid.uuid4().hex}")


def _open_table(path: Path) -> VectorIndex:
    name = "c_" + hashlib.sha256(str(path).encode()).hexdigest()[:32]
    return PgVectorIndex(DIMENSION, url=postgres.empty(), collection=name)


def _open_table_again(index: VectorIndex, path: Path) -> VectorIndex:
    index.close()
    return _open_table(path)


BACKENDS = {
    "exact": Backend(lambda _: ExactIndex(DIMENSION), ExactIndex),
    "faiss": Backend(lambda _: FaissIndex(DIMENSION), FaissIndex, _save_and_open),
    "faiss lists": Backend(lambda _: FaissIndex(DIMENSION, exact_up_to=20), FaissIndex, _save_and_open),
    "chroma": Backend(lambda _: ChromaIndex(DIMENSION), ChromaIndex, close=lambda index: index.close()),
    "chroma client": Backend(_through_a_client, ChromaIndex, close=lambda index: index.close()),
    "chroma folder": Backend(
        lambda path: ChromaIndex(DIMENSION, path=path),
        ChromaIndex,
        _close_and_open,
        close=lambda index: index.close(),
    ),
    "pgvector": Backend(_open_table, PgVectorIndex, _open_table_again, close=lambda index: index.close()),
}


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param


@pytest.fixture
def index(backend: Backend, tmp_path: Path) -> Iterator[VectorIndex]:
    made = backend.make(tmp_path)
    yield made
    backend.close(made)


def axis(*weights: float) -> np.ndarray:
    vector = np.zeros(DIMENSION, np.float32)
    vector[: len(weights)] = weights
    return vector


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def names(found) -> list[str]:
    return [hit.id for hit in found]


def test_scores_are_cosines_and_the_nearest_comes_first(index):
    index.add(["same", "near", "across", "opposite"], np.stack([axis(2), axis(1, 1), axis(0, 3), axis(-1)]))
    found = index.search(axis(5), 4)
    assert names(found) == ["same", "near", "across", "opposite"]
    assert [hit.score for hit in found] == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-5)


def test_an_empty_index_finds_nothing(index):
    assert len(index) == 0
    assert index.search(axis(1), 5) == []
    assert index.search(axis(1), 5, allowed=["a"]) == []


def test_no_more_than_k_and_no_more_than_there_are(index):
    index.add(["a", "b", "c"], cloud(3))
    assert len(index.search(axis(1), 2)) == 2
    assert len(index.search(axis(1), 100)) == 3
    assert index.search(axis(1), 0) == []


def test_a_query_of_zeros_is_near_to_nothing(index):
    index.add(["a", "b"], cloud(2))
    found = index.search(axis(0), 5)
    assert sorted(names(found)) == ["a", "b"]
    assert [hit.score for hit in found] == pytest.approx([0, 0], abs=1e-6)


def test_a_vector_of_zeros_can_be_held(index):
    index.add(["zero", "one"], np.stack([axis(0), axis(1)]))
    assert names(index.search(axis(1), 2)) == ["one", "zero"]


def test_adding_again_replaces(index):
    index.add(["a", "b"], np.stack([axis(1), axis(0, 1)]))
    index.add(["a"], axis(0, 0, 1)[None])
    assert len(index) == 2
    assert index.search(axis(0, 0, 1), 1) == [("a", pytest.approx(1, abs=1e-5))]
    assert names(index.search(axis(0, 1), 5)) == ["b", "a"]


def test_of_a_batch_that_names_an_id_twice_the_last_counts(index):
    index.add(["a", "a"], np.stack([axis(1), axis(0, 1)]))
    assert len(index) == 1
    assert index.search(axis(0, 1), 5) == [("a", pytest.approx(1, abs=1e-5))]


def test_removing_removes_and_an_unknown_id_is_no_error(index):
    index.add(["a", "b", "c"], cloud(3))
    index.remove(["b", "never there", "b"])
    index.remove([])
    assert len(index) == 2
    assert sorted(names(index.search(axis(1), 5))) == ["a", "c"]
    index.add(["b"], axis(1)[None])
    assert names(index.search(axis(1), 1)) == ["b"]


def test_a_filter_yields_k_of_the_allowed(index):
    vectors = cloud(60)
    index.add([str(number) for number in range(60)], vectors)
    query = cloud(1, seed=1)[0]
    allowed = {str(number) for number in range(0, 60, 7)} | {"never there"}
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = sorted(range(0, 60, 7), key=lambda number: -float(units[number] @ query))
    assert names(index.search(query, 5, allowed=allowed)) == [str(number) for number in order[:5]]
    assert names(index.search(query, 50, allowed=sorted(allowed))) == [str(number) for number in order]
    assert index.search(query, 5, allowed=[]) == []
    assert index.search(query, 5, allowed=["never there"]) == []


def test_two_indexes_are_strangers(backend, tmp_path):
    (tmp_path / "other").mkdir()
    first, second = backend.make(tmp_path), backend.make(tmp_path / "other")
    first.add(["a"], axis(1)[None])
    second.add(["a", "b"], np.stack([axis(0, 1), axis(1)]))
    second.remove(["b"])
    assert first.search(axis(1), 5) == [("a", pytest.approx(1, abs=1e-5))]
    assert second.search(axis(1), 5) == [("a", pytest.approx(0, abs=1e-5))]
    backend.close(first)
    backend.close(second)


@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        (["a"], np.ones((1, DIMENSION + 1), np.float32)),
        (["a"], np.ones(DIMENSION, np.float32)),
        (["a", "b"], np.ones((1, DIMENSION), np.float32)),
        (["a"], np.full((1, DIMENSION), np.nan, np.float32)),
        (["a"], np.full((1, DIMENSION), np.inf, np.float32)),
        ([""], np.ones((1, DIMENSION), np.float32)),
        (["a"], np.array([["x"] * DIMENSION])),
    ],
    ids=["dimension", "flat", "count", "nan", "infinite", "empty id", "text"],
)
def test_what_cannot_be_added_is_refused_and_nothing_changes(index, ids, vectors):
    index.add(["kept"], axis(1)[None])
    with pytest.raises(UsageError):
        index.add(ids, vectors)
    assert names(index.search(axis(1), 5)) == ["kept"]


@pytest.mark.parametrize(
    "query", [np.ones(DIMENSION + 1), np.full(DIMENSION, np.nan)], ids=["dimension", "nan"]
)
def test_what_cannot_be_asked_is_refused(index, query):
    index.add(["a"], axis(1)[None])
    with pytest.raises(UsageError):
        index.search(query.astype(np.float32), 3)


def test_what_was_added_is_not_changed_from_outside(index):
    vectors = np.stack([axis(1), axis(0, 1)])
    index.add(["a", "b"], vectors)
    np.testing.assert_array_equal(vectors, np.stack([axis(1), axis(0, 1)]))
    vectors[:] = vectors[::-1]
    assert names(index.search(axis(1), 1)) == ["a"]


@pytest.mark.parametrize("id_", ["x" * 500, "名前", "a/b", "../x", "'; DROP TABLE", " ", "id with\nnewline"])
def test_any_name_is_an_id(index, id_):
    index.add([id_, "plain"], np.stack([axis(1), axis(0, 1)]))
    assert names(index.search(axis(1), 1)) == [id_]
    index.remove([id_])
    assert names(index.search(axis(1), 2)) == ["plain"]


def test_it_is_there_again_after_closing(backend, tmp_path):
    if backend.reopen is None:
        pytest.skip("declares no way to be kept; checked below")
    index = backend.make(tmp_path)
    index.add([str(number) for number in range(50)], cloud(50))
    index.remove(["3", "4"])
    before = index.search(axis(1), 50)
    again = backend.reopen(index, tmp_path)
    assert len(again) == 48
    after = again.search(axis(1), 50)
    assert names(after) == names(before)
    again.add(["new"], axis(1)[None])
    assert names(again.search(axis(1), 1)) == ["new"]
    backend.close(again)


def test_declared_abilities_are_those_that_it_has(backend):
    kind = backend.kind
    assert ("save" in kind.abilities) == (hasattr(kind, "save") and hasattr(kind, "open"))
    assert ("path" in kind.abilities) == ("path" in inspect.signature(kind).parameters)
    assert kind.abilities <= {"exact", "save", "path"}


def test_one_that_declares_exactness_equals_brute_force(backend, tmp_path):
    if "exact" not in backend.kind.abilities:
        pytest.skip("declares to be approximate")
    index, vectors = backend.make(tmp_path), cloud(20, seed=3)
    index.add([str(number) for number in range(20)], vectors)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for query in cloud(20, seed=4):
        scores = units @ (query / np.linalg.norm(query))
        found = index.search(query, 7)
        assert names(found) == [str(number) for number in np.argsort(-scores)[:7]]
        assert [hit.score for hit in found] == pytest.approx(sorted(scores, reverse=True)[:7], abs=1e-5)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove"]), st.lists(st.integers(0, 15), max_size=8)), max_size=12
    ),
    allowed=st.one_of(st.none(), st.sets(st.integers(0, 20))),
    k=st.integers(0, 20),
    lists=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_faiss_and_numpy_agree_after_any_sequence(steps, allowed, k, lists):
    """Filtered search is exact in both; without a filter only as long as FAISS compares with all."""
    vectors = cloud(16, seed=9)
    ours, reference = FaissIndex(DIMENSION, exact_up_to=4 if lists else 1000), ExactIndex(DIMENSION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faiss_index, "FEWEST_HOLES", 2)  # so that holes are squeezed out all the time
        for step, numbers in steps:
            for index in (ours, reference):
                ids = [str(number) for number in numbers]
                index.add(ids, vectors[numbers]) if step == "add" else index.remove(ids)
    assert len(ours) == len(reference)
    chosen = None if allowed is None else {str(number) for number in allowed}
    found, expected = (index.search(axis(1, -1), k, chosen) for index in (ours, reference))
    assert len(found) == len(expected)
    if chosen is not None or not ours.approximate:
        assert names(found) == names(expected)


def test_the_one_bad_vector_of_many_is_named():
    vectors = np.ones((20_000, DIMENSION), np.float32)
    vectors[17_123, 3] = np.nan
    with pytest.raises(UsageError, match="'id17123'"):
        ExactIndex(DIMENSION).add([f"id{number}" for number in range(20_000)], vectors)


@pytest.mark.slow
def test_lists_find_nearly_what_comparing_with_all_finds():
    random = np.random.default_rng(5)
    centres = random.normal(size=(200, 48))
    vectors = (centres[random.integers(0, 200, 20_000)] + 0.5 * random.normal(size=(20_000, 48))).astype(
        np.float32
    )
    ids = [str(number) for number in range(len(vectors))]
    exact, lists = FaissIndex(48), FaissIndex(48, exact_up_to=10_000)
    for index in (exact, lists):
        index.add(ids[:15_000], vectors[:15_000])
        index.add(ids[15_000:], vectors[15_000:])
    assert lists.approximate
    assert not exact.approximate
    queries = vectors[random.integers(0, len(vectors), 100)] + 0.3 * random.normal(size=(100, 48)).astype(
        np.float32
    )
    kept = [len(set(names(exact.search(q, 10))) & set(names(lists.search(q, 10)))) / 10 for q in queries]
    assert np.mean(kept) > 0.95


@pytest.mark.slow
def test_the_graph_keeps_its_recall_under_a_filter(tmp_path):
    random = np.random.default_rng(6)
    vectors = random.normal(size=(3000, DIMENSION)).astype(np.float32)
    ids = [str(number) for number in range(len(vectors))]
    exact, graph = ExactIndex(DIMENSION), _open_table(tmp_path)
    for index in (exact, graph):
        index.add(ids, vectors)
    for share in (1.0, 0.3, 0.02):
        allowed = None if share == 1.0 else set(random.choice(ids, int(share * len(ids)), replace=False))
        pairs = [(exact.search(q, 10, allowed), graph.search(q, 10, allowed)) for q in vectors[:40] + 0.3]
        assert all(len(found) == 10 for _, found in pairs)
        kept = [len(set(names(best)) & set(names(found))) / 10 for best, found in pairs]
        assert np.mean(kept) > 0.97, share
    graph.close()


def test_a_damaged_file_is_an_error_and_stays_as_it_is(tmp_path):
    path = tmp_path / "vectors.index"
    index = FaissIndex(DIMENSION)
    index.add(["a", "b"], cloud(2))
    index.save(path)
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"",
        b"hello" * 100,
        whole.replace(b'"format": 1', b'"format": 9'),
    ):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"vectors\.index"):
            FaissIndex.open(path)
        assert path.read_bytes() == damaged
    with pytest.raises(StoreError, match="nowhere"):
        FaissIndex.open(tmp_path / "nowhere")


def test_saving_over_an_index_leaves_nothing_else_behind(tmp_path):
    index = FaissIndex(DIMENSION)
    for count in (1, 5):
        index.add([str(number) for number in range(count)], cloud(count))
        index.save(tmp_path / "vectors.index")
    assert [file.name for file in tmp_path.iterdir()] == ["vectors.index"]
    assert len(FaissIndex.open(tmp_path / "vectors.index")) == 5


def test_a_chroma_folder_of_another_dimension_is_refused(tmp_path):
    ChromaIndex(DIMENSION, path=tmp_path).close()
    with pytest.raises(UsageError, match="dimension"):
        ChromaIndex(DIMENSION + 1, path=tmp_path)


@pytest.mark.parametrize("kind", [ExactIndex, FaissIndex, ChromaIndex])
def test_a_dimension_below_one_is_refused(kind):
    with pytest.raises(UsageError, match="dimension"):
        kind(0)
