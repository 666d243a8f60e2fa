"""What a LangGraph `BaseStore` must do. LangGraph's own in-memory store is the reference: it passes all of
this, so what is asked of ours is what graphs are written against."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from mnemon.agent.store import MnemonStore
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder

Fields = list[str]
SPACE = ("ana", "notes")


def ours_for_one(fields: Fields) -> Iterator[BaseStore]:
    with Memory.open(":memory:", embedder=HashEmbedder(256)) as memory:
        yield MnemonStore(memory, user="somebody", fields=fields)


def ours_by_label(fields: Fields) -> Iterator[BaseStore]:
    with Memory.open(":memory:", embedder=HashEmbedder(256)) as memory:
        yield MnemonStore(memory, user_at=0, fields=fields)


def reference(fields: Fields) -> Iterator[BaseStore]:
    embedder = HashEmbedder(256)
    yield InMemoryStore(
        index={"dims": 256, "embed": lambda texts: embedder.embed_texts(texts).tolist(), "fields": fields}
    )


STORES: dict[str, Callable[[Fields], Iterator[BaseStore]]] = {
    "langgraph in memory": reference,
    "mnemon, one person": ours_for_one,
    "mnemon, person by label": ours_by_label,
}


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[Fields], BaseStore]]:
    opened: list[Iterator[BaseStore]] = []

    def open_store(fields: Fields) -> BaseStore:
        opened.append(STORES[request.param](fields))
        return next(opened[-1])

    yield open_store
    for one in opened:
        assert next(one, None) is None


@pytest.fixture
def store(make: Callable[[Fields], BaseStore]) -> BaseStore:
    return make(["$"])


def keys(found: list[Any]) -> set[str]:
    return {item.key for item in found}


class TestKeeping:
    def test_what_is_put_is_got(self, store: BaseStore) -> None:
        value = {"text": "tea 🦜", "n": 3, "x": 1.5, "list": [1, "two", None], "deep": {"yes": True}}
        store.put(SPACE, "a", value)
        item = store.get(SPACE, "a")
        assert item is not None
        assert (item.namespace, item.key, item.value) == (SPACE, "a", value)
        assert item.created_at.utcoffset() is not None
        assert item.created_at <= item.updated_at

    def test_what_was_never_put_is_none(self, store: BaseStore) -> None:
        assert store.get(SPACE, "a") is None

    def test_the_last_put_counts(self, store: BaseStore) -> None:
        store.put(SPACE, "a", {"n": 1, "old": True})
        first = store.get(SPACE, "a")
        store.put(SPACE, "a", {"n": 2})
        second = store.get(SPACE, "a")
        assert first is not None
        assert second is not None
        assert second.value == {"n": 2}
        assert second.updated_at >= first.updated_at

    def test_deleted_is_gone_and_deleting_again_is_no_error(self, store: BaseStore) -> None:
        store.put(SPACE, "a", {"n": 1})
        store.delete(SPACE, "a")
        store.delete(SPACE, "a")
        assert store.get(SPACE, "a") is None
        assert store.search(SPACE) == []

    def test_the_same_key_in_two_namespaces_is_two_items(self, store: BaseStore) -> None:
        store.put(("ana", "one"), "a", {"n": 1})
        store.put(("ana", "two"), "a", {"n": 2})
        store.delete(("ana", "one"), "a")
        assert store.get(("ana", "one"), "a") is None
        assert [item.value for item in store.search(("ana",))] == [{"n": 2}]

    @pytest.mark.parametrize("namespace", [(), ("a", ""), ("a.b",), ("langgraph", "x"), (1,), ("a\0",)])
    def test_wrong_namespaces_are_refused(self, store: BaseStore, namespace: Any) -> None:
        with pytest.raises(InvalidNamespaceError):
            store.put(namespace, "a", {})

    def test_keys_and_values_hold_any_text(self, store: BaseStore) -> None:
        for key in ("", " ", "a/b", "ключ", "x" * 300, "quote'\""):
            store.put(SPACE, key, {"key": key})
        assert {item.value["key"] for item in store.search(SPACE, limit=20)} == keys(
            store.search(SPACE, limit=20)
        )


class TestBatches:
    def test_results_come_in_the_order_of_the_operations(self, store: BaseStore) -> None:
        store.put(SPACE, "a", {"n": 1})
        got, found, put, spaces, none = store.batch(
            [
                GetOp(SPACE, "a"),
                SearchOp(SPACE),
                PutOp(SPACE, "b", {"n": 2}),
                ListNamespacesOp(match_conditions=(MatchCondition("prefix", ("ana",)),)),
                GetOp(SPACE, "c"),
            ]
        )
        assert got.value == {"n": 1}  # type: ignore[union-attr]
        assert keys(found) == {"a"}  # type: ignore[arg-type]
        assert put is None
        assert spaces == [SPACE]
        assert none is None

    def test_of_two_puts_under_one_key_the_last_counts(self, store: BaseStore) -> None:
        store.batch([PutOp(SPACE, "a", {"n": 1}), PutOp(SPACE, "a", {"n": 2})])
        store.batch([PutOp(SPACE, "b", {"n": 1}), PutOp(SPACE, "b", None)])
        assert [item.value for item in store.search(SPACE)] == [{"n": 2}]

    def test_the_same_without_waiting(self, store: BaseStore) -> None:
        async def work() -> None:
            await store.aput(SPACE, "a", {"text": "tea"})
            await asyncio.gather(*(store.aput(SPACE, f"k{n}", {"n": n}) for n in range(5)))
            item = await store.aget(SPACE, "a")
            assert item is not None
            assert item.value == {"text": "tea"}
            assert len(await store.asearch(SPACE, limit=10)) == 6
            assert (await store.asearch(SPACE, query="tea", limit=1))[0].key == "a"
            await store.adelete(SPACE, "a")
            assert await store.aget(SPACE, "a") is None
            assert await store.alist_namespaces(prefix=("ana",)) == [SPACE]

        asyncio.run(work())


class TestFilters:
    ITEMS: ClassVar[dict[str, dict[str, Any]]] = {
        "a": {"n": 1, "kind": "food", "tags": ["x", "y"], "deep": {"city": "Rome", "zip": 1}},
        "b": {"n": 5, "kind": "food", "tags": [], "deep": {"city": "Oslo", "zip": 1}},
        "c": {"n": 9.5, "kind": "city", "tags": ["x"], "deep": {"city": "Rome", "zip": 2}},
    }

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"kind": "food"}, "ab"),
            ({"kind": "food", "n": 5}, "b"),
            ({"kind": "none"}, ""),
            ({"missing": 1}, ""),
            ({"n": {"$eq": 5}}, "b"),
            ({"n": {"$ne": 5}}, "ac"),
            ({"n": {"$gt": 1}}, "bc"),
            ({"n": {"$gte": 1}}, "abc"),
            ({"n": {"$lt": 9.5}}, "ab"),
            ({"n": {"$lte": 9.5}}, "abc"),
            ({"n": {"$gt": 1, "$lt": 9}}, "b"),
            ({"n": {"$gte": "5"}}, "bc"),
            ({"kind": {"$ne": "food"}}, "c"),
            ({"missing": {"$ne": 1}}, "abc"),
            ({"tags": ["x"]}, "c"),
            ({"tags": ["x", "y"]}, "a"),
            ({"deep": {"city": "Rome"}}, "ac"),
            ({"deep": {"city": "Rome", "zip": {"$gt": 1}}}, "c"),
            ({}, "abc"),
            (None, "abc"),
        ],
    )
    def test_it_keeps_what_matches(self, store: BaseStore, wanted: Any, expected: str) -> None:
        for key, value in self.ITEMS.items():
            store.put(SPACE, key, value)
        assert keys(store.search(SPACE, filter=wanted)) == set(expected)
        assert keys(store.search(SPACE, filter=wanted, query="food in Rome")) == set(expected)

    def test_an_unknown_operator_is_an_error(self, store: BaseStore) -> None:
        store.put(SPACE, "a", {"n": 1})
        with pytest.raises(ValueError, match="regex"):
            store.search(SPACE, filter={"n": {"$regex": "x"}})


class TestSearch:
    TEXTS = ("a beagle called Biscuit", "ramen and pizza", "the city of Lisbon", "playing the violin")

    def fill(self, store: BaseStore) -> None:
        for number, text in enumerate(self.TEXTS):
            store.put((*SPACE, str(number)), f"k{number}", {"text": text})

    def test_the_nearest_comes_first_with_falling_scores(self, store: BaseStore) -> None:
        self.fill(store)
        for number, query in enumerate(["beagle", "pizza", "Lisbon city", "violin"]):
            found = store.search(SPACE, query=query, limit=4)
            assert found[0].key == f"k{number}"
            scores = [one.score for one in found if one.score is not None]
            assert len(scores) == 4
            assert scores == sorted(scores, reverse=True)

    def test_only_under_the_prefix(self, store: BaseStore) -> None:
        self.fill(store)
        assert keys(store.search((*SPACE, "1"), query="beagle")) == {"k1"}
        assert store.search((*SPACE, "nowhere"), query="beagle") == []

    def test_pages_do_not_overlap_and_hold_everything(self, store: BaseStore) -> None:
        self.fill(store)
        for query in (None, "pizza"):
            pages = [store.search(SPACE, query=query, limit=2, offset=at) for at in (0, 2, 4)]
            assert [len(page) for page in pages] == [2, 2, 0]
            assert keys([*pages[0], *pages[1]]) == {"k0", "k1", "k2", "k3"}

    def test_what_was_changed_or_deleted_is_found_as_it_is_now(self, store: BaseStore) -> None:
        self.fill(store)
        assert store.search(SPACE, query="beagle", limit=1)[0].key == "k0"
        store.put((*SPACE, "0"), "k0", {"text": "a parrot"})
        store.put((*SPACE, "3"), "k3", {"text": "a beagle and a violin"})
        assert store.search(SPACE, query="beagle", limit=1)[0].key == "k3"
        store.delete((*SPACE, "3"), "k3")
        assert "k3" not in keys(store.search(SPACE, query="beagle"))

    def test_what_is_not_indexed_comes_last_without_a_score(self, store: BaseStore) -> None:
        store.put(SPACE, "hidden", {"text": "beagle beagle"}, index=False)
        store.put(SPACE, "shown", {"text": "violin"})
        found = store.search(SPACE, query="beagle")
        assert [(one.key, one.score is None) for one in found] == [("shown", False), ("hidden", True)]

    def test_an_item_may_say_what_it_is_searched_by(self, store: BaseStore) -> None:
        store.put(SPACE, "a", {"title": "beagle", "deep": {"text": "violin"}}, index=["deep.text"])
        store.put(SPACE, "b", {"list": [{"t": "ramen"}, {"t": "a good beagle"}]}, index=["list[*].t"])
        assert store.search(SPACE, query="violin")[0].key == "a"
        assert store.search(SPACE, query="beagle")[0].key == "b"

    def test_a_store_may_say_it_for_all(self, make: Callable[[Fields], BaseStore]) -> None:
        store = make(["title"])
        store.put(SPACE, "a", {"title": "violin", "text": "beagle"})
        store.put(SPACE, "b", {"title": "beagle", "text": "violin"})
        store.put(SPACE, "c", {"text": "beagle"})
        found = store.search(SPACE, query="beagle")
        assert [one.key for one in found] == ["b", "a", "c"]
        assert found[2].score is None

    def test_an_empty_store_finds_nothing(self, store: BaseStore) -> None:
        assert store.search(SPACE, query="beagle") == []


class TestNamespaces:
    SPACES = (("ana", "a", "x"), ("ana", "a", "y"), ("ana", "b", "x"), ("ana", "b"), ("ana", "c", "z", "x"))

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({"prefix": ("ana",)}, sorted(SPACES)),
            ({"prefix": ("ana", "a")}, [("ana", "a", "x"), ("ana", "a", "y")]),
            ({"prefix": ("ana", "*", "x")}, [("ana", "a", "x"), ("ana", "b", "x")]),
            (
                {"prefix": ("ana",), "suffix": ("x",)},
                [("ana", "a", "x"), ("ana", "b", "x"), ("ana", "c", "z", "x")],
            ),
            ({"prefix": ("ana",), "max_depth": 2}, [("ana", "a"), ("ana", "b"), ("ana", "c")]),
            ({"prefix": ("ana",), "limit": 2, "offset": 1}, sorted(SPACES)[1:3]),
            ({"prefix": ("ana", "nowhere")}, []),
        ],
    )
    def test_listing(self, store: BaseStore, asked: dict[str, Any], expected: list[Any]) -> None:
        for number, space in enumerate(self.SPACES):
            store.put(space, f"k{number}", {"n": number})
        assert store.list_namespaces(**asked) == expected
