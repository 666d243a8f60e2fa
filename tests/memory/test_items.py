"""Items: JSON objects under names, kept, found, ended, forgotten and taken along with the person."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnemon.errors import UsageError
from mnemon.memory import Memory, Person
from mnemon.testing import FrozenClock, HashEmbedder


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2024-05-01T10:00:00+00:00")


@pytest.fixture
def memory(clock: FrozenClock) -> Iterator[Memory]:
    with Memory.open(":memory:", embedder=HashEmbedder(), clock=clock) as memory:
        yield memory


@pytest.fixture
def ana(memory: Memory) -> Person:
    return memory.for_user("ana")


def keep(person: Person, name: str, content: dict[str, Any], *, space: str = "notes", **given: Any) -> None:
    person.items.write([person.items.entry((space,), name, content, **given)])


def names(person: Person, *prefix: str) -> list[str]:
    return [item.name for item in person.items.under(prefix)]


class TestKeeping:
    def test_what_is_written_is_read(self, ana: Person) -> None:
        content = {"text": "tea", "n": 3, "deep": {"list": [1.5, None, True, "\ud800 \x00 🦜"]}}
        keep(ana, "drink", content)
        item = ana.items.get(("notes",), "drink")
        assert item is not None
        assert item.content == content

    def test_writing_again_replaces_and_keeps_when_it_was_made(self, ana: Person, clock: FrozenClock) -> None:
        keep(ana, "drink", {"text": "tea"})
        made = clock()
        clock.advance(hours=1)
        keep(ana, "drink", {"text": "coffee"})
        item = ana.items.get(("notes",), "drink")
        assert item is not None
        assert (item.content, item.made, item.recorded_at) == ({"text": "coffee"}, made, clock())

    def test_removing_can_be_undone(self, ana: Person) -> None:
        keep(ana, "drink", {"text": "tea"})
        ana.items.write([], [(("notes",), "drink"), (("notes",), "unknown")])
        assert ana.items.get(("notes",), "drink") is None
        ana.undo()
        assert names(ana) == ["drink"]

    def test_labels_cannot_be_mistaken_for_one_another(self, ana: Person) -> None:
        for namespace, name in [(("a", "b"), "c"), (("a",), "b"), (("a", "b", "c"), "d")]:
            ana.items.write([ana.items.entry(namespace, name, {"at": [*namespace, name]})])
        assert len(ana.items.under(())) == 3
        assert len(ana.items.under(("a", "b"))) == 2

    def test_nobody_else_sees_them(self, ana: Person, memory: Memory) -> None:
        keep(ana, "drink", {"text": "tea"})
        bob = memory.for_user("bob")
        assert bob.items.get(("notes",), "drink") is None
        assert bob.items.under(()) == []

    @pytest.mark.parametrize(
        "content",
        [{"x": float("nan")}, {"x": {1: "one"}}, {"x": {1, 2}}, {"x": 2**63}, [1], "text"],
        ids=["nan", "number as key", "set", "64 bits", "list", "text"],
    )
    def test_what_json_would_bend_is_refused(self, ana: Person, content: Any) -> None:
        with pytest.raises(UsageError):
            ana.items.entry(("notes",), "x", content)

    @pytest.mark.parametrize("namespace", [(), "notes", (1,), tuple("abcdefghijklmnopqrstu")])
    def test_wrong_namespaces_are_refused(self, ana: Person, namespace: Any) -> None:
        with pytest.raises(UsageError):
            ana.items.get(namespace, "x")

    def test_what_another_handle_writes_is_seen_at_once(self, tmp_path: Path) -> None:
        with (
            Memory.open(tmp_path / "m.db", embedder=None) as one,
            Memory.open(tmp_path / "m.db", embedder=None) as other,
        ):
            reader, writer = one.for_user("ana"), other.for_user("ana")
            assert reader.items.under(()) == []
            keep(writer, "drink", {"text": "green tea"})
            assert [f.item.name for f in reader.items.search("tea", reader.items.under(()), 5)] == ["drink"]
            keep(writer, "drink", {"text": "coffee"})
            assert reader.items.under(())[0].content == {"text": "coffee"}
            writer.items.write([], [(("notes",), "drink")])
            assert reader.items.under(()) == []


class TestFinding:
    def test_the_nearest_comes_first(self, ana: Person) -> None:
        keep(ana, "pet", {"animal": "a beagle called Biscuit"})
        keep(ana, "food", {"likes": ["ramen", "pizza"]})
        keep(ana, "home", {"city": "Lisbon"})
        for query, expected in [("beagle", "pet"), ("pizza", "food"), ("which city?", "home")]:
            found = ana.items.search(query, ana.items.under(()), 3)
            assert found[0].item.name == expected
            scores = [one.score for one in found]
            assert None not in scores
            assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]

    def test_one_is_searched_by_its_words_alone(self, ana: Person) -> None:
        keep(ana, "a", {"text": "unrelated"}, words=["the secret garden", "roses"])
        keep(ana, "b", {"text": "secret garden with roses"}, words=[])
        found = ana.items.search("secret garden", ana.items.under(()), 5)
        assert [(one.item.name, one.score is None) for one in found] == [("a", False), ("b", True)]

    def test_only_those_asked_among_are_found(self, ana: Person) -> None:
        keep(ana, "a", {"text": "tea"}, space="one")
        keep(ana, "b", {"text": "tea"}, space="two")
        assert [f.item.name for f in ana.items.search("tea", ana.items.under(("two",)), 5)] == ["b"]

    def test_items_are_not_recalled_as_things_said(self, ana: Person) -> None:
        ana.remember("I like green tea.")
        keep(ana, "a", {"text": "black tea"})
        assert {hit.text for hit in ana.recall("tea", k=5, units=("turn", "fact", "summary"))} <= {
            "I like green tea.",
            "The user likes green tea.",
        }


class TestEnding:
    def test_it_ends_and_is_swept(self, ana: Person, clock: FrozenClock) -> None:
        keep(ana, "short", {"text": "soon gone xyzzy"}, ttl=10)
        keep(ana, "long", {"text": "stays"})
        clock.advance(minutes=10)
        assert ana.items.get(("notes",), "short") is None
        assert names(ana) == ["long"]
        assert ana.stats().items == 2
        assert ana.items.sweep() == 1
        assert ana.stats().items == 1
        assert ana.items.sweep() == 0

    def test_using_it_begins_its_time_again(self, ana: Person, clock: FrozenClock) -> None:
        keep(ana, "short", {"text": "x"}, ttl=10)
        clock.advance(minutes=9)
        ana.items.use(ana.items.under(()))
        clock.advance(minutes=9)
        assert names(ana) == ["short"]

    def test_undo_passes_over_its_having_been_used(self, ana: Person, clock: FrozenClock) -> None:
        keep(ana, "short", {"text": "x"}, ttl=10)
        ana.remember("I like tea.")
        clock.advance(minutes=5)
        ana.items.use(ana.items.under(()))
        assert ana.undo().differences[0].before.text == "I like tea."  # type: ignore[union-attr]

    def test_what_is_written_again_while_it_is_swept_stays(
        self, ana: Person, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep(ana, "short", {"text": "x"}, ttl=10)
        clock.advance(minutes=11)
        planned, texts = [], ana.items.texts

        def meanwhile(records: Any) -> set[str]:
            if not planned:
                planned.append(1)
                keep(ana, "short", {"text": "y"}, ttl=10)
            return texts(records)

        monkeypatch.setattr(ana.items, "texts", meanwhile)
        assert ana.items.sweep() == 0
        assert names(ana) == ["short"]

    def test_using_an_item_does_not_write_over_what_somebody_else_wrote(
        self, ana: Person, clock: FrozenClock
    ) -> None:
        keep(ana, "short", {"text": "old"}, ttl=10)
        read = ana.items.under(())
        keep(ana, "short", {"text": "new"}, ttl=10)
        clock.advance(minutes=5)
        ana.items.use(read)
        clock.advance(minutes=9)
        assert [item.content for item in ana.items.under(())] == [{"text": "new"}]

    @pytest.mark.parametrize("ttl", [0, -1, True, "5", float("nan"), 1e12])
    def test_times_that_are_none_are_refused(self, ana: Person, ttl: Any) -> None:
        with pytest.raises(UsageError):
            ana.items.entry(("notes",), "x", {}, ttl=ttl)


class TestForgetting:
    def test_words_take_items_with_them_and_leave_no_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "m.db"
        with Memory.open(path, embedder=HashEmbedder()) as memory:
            ana = memory.for_user("ana")
            keep(ana, "a", {"text": "the xyzzyplugh treasure"})
            keep(ana, "b", {"text": "tea"})
            ana.items.search("treasure", ana.items.under(()), 1)
            assert [one.record_kind for one in ana.would_forget("xyzzyplugh").others] == ["item"]
            ana.forget("xyzzyplugh")
            assert names(ana) == ["b"]
            assert sum(ana.stats().vectors.values()) == 1
        assert b"xyzzyplugh" not in path.read_bytes()

    def test_an_older_state_is_forgotten_and_what_stands_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "m.db"
        with Memory.open(path, embedder=None) as memory:
            ana = memory.for_user("ana")
            keep(ana, "a", {"text": "xyzzyplugh"})
            keep(ana, "a", {"text": "tea"})
            assert ana.forget("xyzzyplugh")
            assert names(ana) == ["a"]
        assert b"xyzzyplugh" not in path.read_bytes()

    def test_by_id(self, ana: Person) -> None:
        keep(ana, "a", {"text": "tea"})
        (item,) = ana.items.under(())
        ana.forget(item.id)
        assert ana.items.under(()) == []

    def test_erasing_the_person_erases_them(self, ana: Person) -> None:
        keep(ana, "a", {"text": "tea"})
        assert names(ana) == ["a"]
        ana.erase()
        assert names(ana) == []


class TestTakingAlong:
    def test_they_are_exported_and_taken_in(self, ana: Person, memory: Memory, tmp_path: Path) -> None:
        keep(ana, "a", {"text": "tea \ud800"}, words=["tea"], ttl=60)
        bob = memory.for_user("bob")
        assert bob.import_(ana.export(tmp_path / "a.zip"))
        assert bob.items.under(()) == ana.items.under(())
        assert not bob.import_(tmp_path / "a.zip")

    def test_they_are_shown_and_checked(self, ana: Person) -> None:
        keep(ana, "a", {"text": "tea"})
        assert str(ana.diff()) == '+ item notes/a: {"text": "tea"}'
        assert ana.verify()
        assert ana.verify().checked == 1
