"""Columns that grow in place equal those built at once, whatever came and went in between."""

import dataclasses

import numpy as np
import pytest

from mnemon.retrievers import Document
from mnemon.retrievers.columns import NONE, Columns
from mnemon.retrievers.piece_vectors import PieceVectors
from mnemon.retrievers.windows import Rows


def document(place: int, rng: np.random.Generator) -> Document:
    return Document(
        id=f"d{place}",
        text=f"word {place}",
        session=f"s{rng.integers(4)}",
        position=int(rng.integers(12)),
        unit="fact" if place % 11 == 10 else "turn",
    )


def assert_equal(one: Columns, other: Columns) -> None:
    for field in dataclasses.fields(Columns):
        if field.name.startswith("_"):
            continue
        if field.name == "links":
            for step in one.links:
                np.testing.assert_array_equal(one.links[step], other.links[step], err_msg=f"links {step}")
        else:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


@pytest.mark.parametrize("seed", range(6))
def test_growing_equals_building_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    documents = [document(place, rng) for place in range(80)]
    growing, once = Rows(), Rows()
    gone: list[str] = []
    for place, one in enumerate(documents):
        growing.append(one, one.text.split())
        if rng.random() < 0.4:
            growing.columns()
        if rng.random() < 0.2:
            gone.append(f"d{rng.integers(place + 1)}")
            growing.drop(gone[-1])
    for one in documents:
        once.append(one, one.text.split())
    for name in gone:
        once.drop(name)
    assert_equal(growing.columns(), once.columns())


def test_beyond_the_first_room() -> None:
    rows = Rows()
    for place in range(3000):
        rows.append(Document(id=str(place), text="x", session="one", position=place), ["x"])
        if place % 500 == 0:
            rows.columns()
    columns = rows.columns()
    assert columns.links[1].tolist() == [*range(1, 3000), NONE, NONE]
    assert columns.links[-3][:5].tolist() == [NONE, NONE, NONE, 0, 1]
    assert columns.alive.all()


def test_vectors_of_whole_turns_are_means_of_their_pieces() -> None:
    rng = np.random.default_rng(0)
    vectors = PieceVectors()
    parts = {row: rng.normal(size=(pieces, 8)).astype(np.float32) for row, pieces in ((0, 1), (2, 3), (5, 2))}
    parts = {row: part / np.linalg.norm(part, axis=1, keepdims=True) for row, part in parts.items()}
    for row, part in parts.items():
        vectors.append(row, part)
    asked = parts[2][1]
    found = vectors.cosines(asked, 6)
    for row, part in parts.items():
        mean = part.sum(0) / np.linalg.norm(part.sum(0))
        assert vectors.wholes(np.array([row, 1]))[0] == pytest.approx(mean, abs=1e-6)
        assert found.whole[row] == pytest.approx(mean @ asked, abs=1e-6)
        assert found.best[row] == pytest.approx((part @ asked).max(), abs=1e-6)
        assert found.first[row] == pytest.approx(part[0] @ asked, abs=1e-6)
    assert found.best[[1, 3, 4, 6]].tolist() == [0, 0, 0, 0]
    again = PieceVectors()
    again.take(np.concatenate(list(parts.values())), vectors.owners())
    assert again.cosines(asked, 6).whole == pytest.approx(found.whole, abs=1e-6)
    assert again.of(5) == pytest.approx(parts[5])


def test_one_piece_a_row_is_the_quick_way_to_the_same() -> None:
    rng = np.random.default_rng(2)
    parts = rng.normal(size=(50, 1, 8)).astype(np.float32)
    quick, slow = PieceVectors(), PieceVectors()
    for row, part in enumerate(parts):
        quick.append(row, part)
        slow.append(row, part)
    slow.append(51, np.zeros((2, 8), np.float32))  # two pieces, and a row left out: no longer plain
    for vectors in (quick, slow):
        vectors.drop(7)
    asked = parts[3][0]
    for one, other in zip(quick.cosines(asked, 52), slow.cosines(asked, 52), strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    rows = np.array([7, 0, 49, -1, 51])
    assert quick.wholes(rows) == pytest.approx(slow.wholes(rows), abs=1e-6)
    assert not quick.wholes(rows)[[0, 3, 4]].any()


def test_what_follows_from_the_rows_is_worked_out_again_when_they_change() -> None:
    rows = Rows()
    rows.append(Document(id="a", text="x"), ["x"])
    first = rows.columns().once("count", lambda: len(rows))
    assert rows.columns().once("count", lambda: 99) == first == 1
    rows.append(Document(id="b", text="y"), ["y"])
    assert rows.columns().once("count", lambda: len(rows)) == 2
    rows.drop("a")
    assert rows.columns().once("count", lambda: int(rows.columns().alive.sum())) == 1


def test_means_of_sessions_follow_what_comes_and_goes() -> None:
    rng = np.random.default_rng(1)
    rows, vectors = Rows(), PieceVectors()
    kept: dict[str, list[np.ndarray]] = {"s0": [], "s1": []}  # type: ignore[type-arg]
    for place in range(20):
        session = f"s{place % 2}"
        part = rng.normal(size=(2, 4)).astype(np.float32)
        row = rows.append(Document(id=str(place), text="x", session=session, position=place), ["x"])
        vectors.append(row, part)
        if place == 6:
            vectors.means(rows.columns())
        if place != 4:
            kept[session].append(part.sum(0))
    vectors.means(rows.columns())
    vectors.drop(rows.drop("4") or 0)
    found = vectors.means(rows.columns())
    for number, sums in enumerate(kept.values()):
        total = np.sum(sums, axis=0)
        assert found[number] == pytest.approx(total / np.linalg.norm(total), abs=1e-5)
