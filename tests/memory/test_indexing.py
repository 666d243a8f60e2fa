"""A long history is opened from a snapshot, which must answer as building does and hold nothing forgotten."""

from pathlib import Path

import pytest

from mnemon.memory import Memory, Person, indexing
from mnemon.memory.seams import BlobNamed, KeepBlob, KeepVectors, VectorsOf
from mnemon.testing import FrozenClock, HashEmbedder

EMBEDDER = HashEmbedder(dimension=32)
NAME = f"index of {EMBEDDER.name}"
CLOCK = FrozenClock("2024-05-02T10:00:00+00:00")


@pytest.fixture(autouse=True)
def small_histories_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SNAPSHOT_FROM", 20)


def reopened(path: Path) -> Memory:
    return Memory.open(path, embedder=EMBEDDER, clock=CLOCK)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.db"
    with reopened(path) as memory:
        ana = memory.for_user("ana")
        for session in range(6):
            ana.remember(
                [f"turn {turn} of {session}: the {w} beagle" for turn, w in enumerate("abcdefgh")],
                session=f"s{session}",
                time="2024-05-01",
            )
        ana.remember("x" * 3000 + " a long one. " + "y" * 2000, session="long", time="2024-05-01")
        ana.remember("I love chess.", session="facts", time="2024-05-01")
    return path


def answers(ana: Person) -> list[list[tuple[str, float]]]:
    questions = ("the c beagle", "turn 3 of 2", "long one", "chess", "nothing of that kind")
    return [
        [(hit.id, round(hit.score, 5)) for hit in ana.recall(question, k=8, units=("turn", "fact"))]
        for question in questions
    ]


def snapshot(memory: Memory) -> bytes | None:
    return memory.store.read("ana", BlobNamed(NAME))


class TestSnapshot:
    def test_answers_as_building_does(self, path: Path) -> None:
        with reopened(path) as memory:
            built = answers(memory.for_user("ana"))
            assert snapshot(memory)
        with reopened(path) as memory:
            assert answers(memory.for_user("ana")) == built

    def test_what_came_since_is_caught_up(self, path: Path) -> None:
        with reopened(path) as memory:
            answers(memory.for_user("ana"))
            memory.for_user("ana").remember("the zebra beagle", session="s1", time="2024-05-01")
            memory.for_user("ana").undo(1)
            live = answers(memory.for_user("ana"))
        with reopened(path) as memory:
            assert answers(memory.for_user("ana")) == live
            assert memory.for_user("ana").recall("zebra")[0].text == "the zebra beagle"

    def test_it_is_taken_again_when_much_has_come(self, path: Path) -> None:
        with reopened(path) as memory:
            ana = memory.for_user("ana")
            ana.recall("beagle")
            first = snapshot(memory)
            ana.remember([f"more {n}" for n in range(30)], session="more", time="2024-05-01")
            ana.recall("beagle")
            assert snapshot(memory) != first
        with reopened(path) as memory:
            assert memory.for_user("ana").recall("more 7")[0].text == "more 7"

    def test_it_is_taken_again_when_claims_were_revised_too(self, path: Path) -> None:
        with reopened(path) as memory:
            ana = memory.for_user("ana")
            ana.recall("beagle")
            first = snapshot(memory)
            ana.remember("I love chess.", session="again", time="2024-05-02")
            ana.recall("beagle")
            assert snapshot(memory) == first
            ana.remember([f"more {n}" for n in range(40)], session="more", time="2024-05-01")
            ana.recall("beagle")
            assert snapshot(memory) != first
            now = answers(ana)
        with reopened(path) as memory:
            assert answers(memory.for_user("ana")) == now

    @pytest.mark.parametrize("damage", ["cut", "flip", "code", "evil"])
    def test_one_that_cannot_be_read_is_made_again(self, path: Path, damage: str) -> None:
        with reopened(path) as memory:
            built = answers(memory.for_user("ana"))
            body = snapshot(memory)
            assert body is not None
            bad = {
                "cut": body[: len(body) // 2],
                "flip": body[:-900] + bytes(255 - byte for byte in body[-900:]),
                "code": body.replace(b'["', b'["0', 1),
                "evil": body[: body.index(b"\x80\x05")] + b"cos\nsystem\n(S'exit 1'\ntR.",
            }[damage]
            memory.store.apply("ana", [KeepBlob(NAME, bad)], action="test", at=CLOCK())
        with reopened(path) as memory:
            assert answers(memory.for_user("ana")) == built

    def test_missing_vectors_are_computed_again(self, path: Path) -> None:
        with reopened(path) as memory:
            built = answers(memory.for_user("ana"))
            hashes = memory.store.read("ana", VectorsOf(EMBEDDER.name)).hashes
            from mnemon.memory.seams import DropVectors

            memory.store.apply("ana", [DropVectors()], action="test", at=CLOCK())
        with reopened(path) as memory:
            assert answers(memory.for_user("ana")) == built
            assert sorted(memory.store.read("ana", VectorsOf(EMBEDDER.name)).hashes) == sorted(hashes)

    def test_forgetting_drops_it_and_none_that_holds_the_words_is_taken(
        self, path: Path, tmp_path: Path
    ) -> None:
        with reopened(path) as memory:
            ana = memory.for_user("ana")
            (rare,) = ana.remember("a zanzibarquokka", session="s1", time="2024-05-01")
            ana.recall("beagle")
            assert snapshot(memory)
            ana.forget(rare)
            assert snapshot(memory) is None
            # The index of this process goes on, with a hole where the words were: it may not be kept.
            ana.remember([f"more {n}" for n in range(5)], session="more", time="2024-05-01")
            assert all("zanzibar" not in hit.text for hit in ana.recall("zanzibarquokka", k=50))
            assert snapshot(memory) is None
            # When much has come it is built again, without the words.
            ana.remember([f"even more {n}" for n in range(60)], session="more", time="2024-05-01")
            ana.recall("beagle")
            assert b"zanzibarquokka" not in (snapshot(memory) or b"zanzibarquokka")
        assert b"zanzibarquokka" not in path.read_bytes()
        with reopened(path) as memory:
            memory.for_user("ana").recall("beagle")
            assert snapshot(memory)
            assert b"zanzibarquokka" not in (snapshot(memory) or b"")

    def test_what_is_derived_of_a_forgotten_time_is_not_kept(self, path: Path) -> None:
        """Another process forgets between the embedding of a text and the keeping of its vector."""
        with reopened(path) as memory:
            ana = memory.for_user("ana")
            stale = memory.store.read("ana", indexing.HeadOf()).epoch
            ana.forget("zebra" if ana.forget("chess") else "none")
            vectors = EMBEDDER.embed_texts(["chess"])
            memory.store.apply(
                "ana",
                [KeepVectors("m", [b"0" * 16], vectors, stale), KeepBlob("b", b"chess", stale)],
                action="test",
                at=CLOCK(),
            )
            assert memory.store.read("ana", VectorsOf("m")).hashes == []
            assert memory.store.read("ana", BlobNamed("b")) is None


class TestLearning:
    """What answers used teaches the ranking; the head is kept, begins again after forgetting, is nobody
    else's."""

    def teach(self, ana: Person) -> str:
        hits = ana.recall("the beagle", k=8)
        for _ in range(3):
            ana.keep_feedback("retrieval", "the beagle", good=[hits[5].id], bad=[hit.id for hit in hits[:5]])
            CLOCK.advance(seconds=1)
        return hits[5].id

    def test_it_gains_and_that_stays_after_reopening(self, path: Path) -> None:
        with reopened(path) as memory:
            ana = memory.for_user("ana")
            assert all("head" not in hit.why for hit in ana.recall("the beagle"))
            chosen = self.teach(ana)
            after = ana.recall("the beagle", k=8)
            assert all("head" in hit.why for hit in after)
            heads = {hit.id: float(hit.why["head"]) for hit in after}
            assert heads[chosen] > sum(heads.values()) / len(heads)
        with reopened(path) as memory:
            again = memory.for_user("ana").recall("the beagle", k=8)
            assert [hit.why["head"] for hit in again] == [hit.why["head"] for hit in after]
            bob = memory.for_user("bob")
            bob.remember("the beagle")
            assert "head" not in bob.recall("the beagle")[0].why

    def test_feedback_taken_back_or_forgotten_is_unlearnt(self, path: Path) -> None:
        with reopened(path) as memory:
            ana = memory.for_user("ana")
            chosen = self.teach(ana)
            assert "head" in ana.recall("the beagle")[0].why
            ana.forget(chosen)
            assert ana.feedback_log() == []
            assert "head" not in ana.recall("the beagle")[0].why
        with reopened(path) as memory:
            assert "head" not in memory.for_user("ana").recall("the beagle")[0].why
