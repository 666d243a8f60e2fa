"""Opening: addresses, what is wired when nothing is said, the background, closing."""

from pathlib import Path

import pytest

from mnemon.errors import StoreError, UsageError
from mnemon.memory import Memory
from mnemon.memory.memory import open_store
from mnemon.retrievers import BM25
from mnemon.testing import FrozenClock


class TestAddresses:
    @pytest.mark.parametrize("form", ["{}/a.db", "sqlite:///{}/a.db", "sqlite:////{}/a.db"])
    def test_files(self, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("/")
        store = open_store(form.format(str(tmp_path).lstrip("/") if form.count("/") == 5 else tmp_path))
        store.close()
        assert (tmp_path / "a.db").exists()

    def test_a_relative_url_a_path_and_a_new_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for address in ("sqlite:///relative.db", Path("path.db"), "new/folder/plain.db", "C.db"):
            open_store(address).close()
        found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.db")}
        assert found == {"relative.db", "path.db", "new/folder/plain.db", "C.db"}

    @pytest.mark.parametrize("address", [":memory:", "sqlite://", "sqlite:///:memory:"])
    def test_in_memory(self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        store = open_store(address)
        assert store.describe()["location"] == ":memory:"
        store.close()
        assert list(tmp_path.iterdir()) == []

    def test_an_address_of_nothing(self) -> None:
        with pytest.raises(UsageError, match="unknown scheme"):
            open_store("redis://host")
        for address in ("", "  ", "a\x00b", None, 3):
            with pytest.raises(UsageError, match="address"):
                open_store(address)  # type: ignore[arg-type]

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError):
            open_store(tmp_path / "file" / "a.db")


class TestWiring:
    def test_objects_are_wired_as_they_are(self) -> None:
        said: list[str] = []

        class Noting:
            name = "noting"

            def extract(self, episodes: object) -> list[object]:
                said.extend(episode.text for episode in episodes)  # type: ignore[attr-defined]
                return []

        clock = FrozenClock("2024-05-01T10:00:00+00:00")
        with Memory.open(
            ":memory:", embedder=None, retriever=lambda _: BM25(), extractor=Noting(), clock=clock
        ) as memory:
            ana = memory.for_user("ana")
            ana.remember(["one", "two words", "other things"])
            assert said == ["one", "two words", "other things"]
            assert ana.timeline()[0].recorded_at == clock()
            assert ana.recall("words")[0].text == "two words"

    def test_no_extractor_no_facts(self) -> None:
        with Memory.open(":memory:", embedder=None, extractor=None) as memory:
            ana = memory.for_user("ana")
            ana.remember("I love chess.", session="s")
            ana.consolidate()
            assert ana.facts(closed=True) == []

    def test_a_handle_is_one_object_while_it_is_at_hand(self) -> None:
        with Memory.open(":memory:", embedder=None) as memory:
            assert memory.for_user("ana") is memory.for_user("ana")
            memory.for_user("ana").remember("kept")
            for number in range(100):
                memory.for_user(f"user {number}")
            assert memory.for_user("ana").recall("kept")

    def test_closed_is_closed_and_twice_is_no_error(self, tmp_path: Path) -> None:
        memory = Memory.open(tmp_path / "a.db", embedder=None)
        ana = memory.for_user("ana")
        memory.close()
        memory.close()
        with pytest.raises(UsageError, match="is closed"):
            ana.remember("too late")

    def test_the_background_is_waited_for_and_tells_its_errors(self, tmp_path: Path) -> None:
        memory = Memory.open(tmp_path / "a.db", embedder=None)
        memory.for_user("ana").remember("I love chess.", session="s", time="2024-01-01")
        future = memory.consolidate_soon("ana")
        memory.close()
        assert future.done()
        assert future.result().action == "consolidate"
