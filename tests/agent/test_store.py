"""The LangGraph store where it is more than LangGraph's: durable, one person's, ending, forgotten; and inside
real graphs."""

import asyncio
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore, PutOp, SearchOp

from mnemon.agent.store import MnemonStore
from mnemon.errors import UsageError
from mnemon.memory import Memory
from mnemon.testing import FrozenClock, HashEmbedder


@pytest.fixture
def memory() -> Any:
    with Memory.open(":memory:", embedder=HashEmbedder()) as memory:
        yield memory


class Asked(TypedDict, total=False):
    said: str
    known: list[str]


def graph_over(store: BaseStore) -> Any:
    """A graph as people write them: one node keeps what was said, the next looks for it."""

    def keep(state: Asked, *, store: BaseStore) -> Asked:
        store.put(("notes",), state["said"][:8], {"text": state["said"]})
        return {}

    async def look(state: Asked, *, store: BaseStore) -> Asked:
        found = await store.asearch(("notes",), query="pets", limit=3)
        return {"known": [item.value["text"] for item in found]}

    graph = StateGraph(Asked)
    graph.add_node("keep", keep)
    graph.add_node("look", look)
    graph.add_edge(START, "keep")
    graph.add_edge("keep", "look")
    graph.add_edge("look", END)
    return graph.compile(store=store)


def test_it_serves_a_graph_across_processes(tmp_path: Path) -> None:
    for said, count in [("I have a beagle.", 1), ("My cat sleeps.", 2)]:
        with Memory.open(tmp_path / "people.db", embedder=HashEmbedder()) as memory:
            graph = graph_over(MnemonStore(memory, user="ana"))
            known = asyncio.run(graph.ainvoke({"said": said}))["known"]
            assert len(known) == count
            assert said in known


def test_memories_as_langmem_keeps_them(memory: Memory) -> None:
    """langmem's tools put {"content": ...} under a uuid in ("memories", user) and search with a query."""
    store = MnemonStore(memory, user_at=1)
    for user, words in [("ana", "Ana likes green tea"), ("bob", "Bob likes coffee")]:
        store.put(("memories", user), f"id-{user}", {"content": words})
    found = store.search(("memories", "ana"), query="what does she drink?", limit=10, offset=0, filter=None)
    assert [item.value["content"] for item in found] == ["Ana likes green tea"]
    store.put(("memories", "ana"), "id-ana", {"content": "Ana likes black tea"})
    assert store.get(("memories", "ana"), "id-ana").dict()["value"] == {"content": "Ana likes black tea"}  # type: ignore[union-attr]
    store.delete(("memories", "ana"), key="id-ana")
    assert store.search(("memories", "ana")) == []


class TestWhose:
    def test_items_lie_with_the_person_that_the_label_names(self, memory: Memory) -> None:
        store = MnemonStore(memory, user_at=1)
        store.put(("memories", "ana"), "a", {"n": 1})
        store.put(("memories", "bob"), "a", {"n": 2})
        assert memory.users() == ["ana", "bob"]
        memory.for_user("ana").erase()
        assert store.get(("memories", "ana"), "a") is None
        assert store.get(("memories", "bob"), "a") is not None

    def test_two_stores_of_two_persons_share_nothing(self, memory: Memory) -> None:
        ana, bob = MnemonStore(memory, user="ana"), MnemonStore(memory, user="bob")
        ana.put(("notes",), "a", {"text": "secret"})
        assert bob.get(("notes",), "a") is None
        assert bob.search(()) == []
        assert bob.search(("notes",), query="secret") == []
        assert bob.list_namespaces() == []

    @pytest.mark.parametrize("prefix", [(), ("memories",)])
    def test_nobody_can_ask_across_persons(self, memory: Memory, prefix: tuple[str, ...]) -> None:
        store = MnemonStore(memory, user_at=1)
        with pytest.raises(UsageError, match="names no person"):
            store.search(prefix)
        with pytest.raises(UsageError, match="names no person"):
            store.list_namespaces(prefix=(*prefix, "*", "*")[:2])
        with pytest.raises(UsageError, match="names no person"):
            store.put(("memories",), "a", {})

    @pytest.mark.parametrize("given", [{}, {"user": "a", "user_at": 0}, {"user_at": -1}, {"user": ""}])
    def test_it_must_be_said_whose(self, memory: Memory, given: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            MnemonStore(memory, **given)

    def test_a_batch_of_one_person_is_one_write_that_can_be_undone(self, memory: Memory) -> None:
        store = MnemonStore(memory, user="ana")
        store.put(("n",), "old", {"n": 0})
        store.batch([PutOp(("n",), "a", {"n": 1}), PutOp(("n",), "b", {"n": 2}), PutOp(("n",), "old", None)])
        memory.for_user("ana").undo()
        assert [item.key for item in store.search(("n",))] == ["old"]

    def test_a_value_that_cannot_be_kept_leaves_the_batch_unwritten(self, memory: Memory) -> None:
        store = MnemonStore(memory, user="ana")
        with pytest.raises(UsageError):
            store.batch([PutOp(("n",), "a", {"n": 1}), PutOp(("n",), "b", {"n": object()})])
        assert store.search(("n",)) == []


class TestEnding:
    def open(self, clock: FrozenClock, **ttl: Any) -> tuple[Memory, MnemonStore]:
        memory = Memory.open(":memory:", embedder=None, clock=clock)
        return memory, MnemonStore(memory, user="ana", ttl=ttl)  # type: ignore[arg-type]

    def test_what_has_ended_is_not_given_out(self) -> None:
        clock = FrozenClock()
        memory, store = self.open(clock, default_ttl=60)
        store.put(("n",), "default", {})
        store.put(("n",), "short", {}, ttl=1)
        store.put(("n",), "forever", {}, ttl=None)
        clock.advance(minutes=5)
        assert {item.key for item in store.search(("n",), refresh_ttl=False)} == {"default", "forever"}
        clock.advance(minutes=56)
        assert store.get(("n",), "default") is None
        assert store.sweep_ttl() == 2
        assert memory.for_user("ana").stats().items == 1
        memory.close()

    def test_reading_begins_its_time_again_unless_told_otherwise(self) -> None:
        clock = FrozenClock()
        memory, store = self.open(clock, default_ttl=60, refresh_on_read=True)
        for key in ("got", "found", "peeked"):
            store.put((key,), key, {})
        clock.advance(minutes=50)
        store.get(("got",), "got")
        store.search(("found",))
        store.get(("peeked",), "peeked", refresh_ttl=False)
        clock.advance(minutes=50)
        assert store.get(("got",), "got") is not None
        assert store.get(("found",), "found") is not None
        assert store.get(("peeked",), "peeked") is None
        memory.close()


def test_what_was_got_is_the_callers_own(memory: Memory) -> None:
    store = MnemonStore(memory, user="ana")
    store.put(("n",), "a", {"list": [1]})
    store.search(("n",))[0].value["list"].append(2)
    assert store.search(("n",))[0].value == {"list": [1]}


def test_dates_as_text_are_compared_as_text_and_what_differs_in_kind_does_not_match(memory: Memory) -> None:
    store = MnemonStore(memory, user="ana")
    store.put(("n",), "a", {"day": "2024-05-01"})
    store.put(("n",), "b", {"day": None})
    store.put(("n",), "c", {"day": 7})
    assert [item.key for item in store.search(("n",), filter={"day": {"$gte": "2024-04-30"}})] == ["a"]


def test_a_negative_page_is_refused(memory: Memory) -> None:
    store = MnemonStore(memory, user="ana")
    with pytest.raises(UsageError):
        store.batch([SearchOp(("n",), limit=-1)])


def test_forgetting_words_forgets_items(memory: Memory) -> None:
    store = MnemonStore(memory, user="ana")
    store.put(("n",), "a", {"text": "the treasure of Rackham"})
    memory.for_user("ana").forget("Rackham")
    assert store.search(("n",)) == []
