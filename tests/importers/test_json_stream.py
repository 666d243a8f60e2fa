"""Reading an array of JSON a value at a time: the same as `json.load`, wherever the reads cut it apart."""

import io
import json
import random
from typing import IO, Any

import pytest

from mnemon.errors import DataError
from mnemon.memory.importers import json_stream
from mnemon.memory.importers.json_stream import values


class Dripping(io.StringIO):
    """Gives a few characters at a time, whatever is asked for."""

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self._most = most

    def read(self, size: int | None = -1) -> str:
        return super().read(self._most)


def read(text: IO[str]) -> list[Any]:
    return [value for _, value in values(text, "the file")]


def made_up(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return [made_up(dice, depth + 1) for _ in range(dice.randrange(4))]
    if kind == 7:
        return {f'k{n}\\"': made_up(dice, depth + 1) for n in range(dice.randrange(4))}
    return [None, True, -12.5e3, 1234567890, 'a\\u🦜 \n"[{,', ""][kind]


@pytest.mark.parametrize("seed", range(25))
def test_the_same_as_reading_it_whole(seed: int) -> None:
    dice = random.Random(seed)
    expected = [made_up(dice) for _ in range(dice.randrange(1, 12))]
    text = json.dumps(expected, ensure_ascii=bool(seed % 2), indent=seed % 3 or None)
    for most in (1, 2, 7, 64, 10_000):
        assert read(Dripping(text, most)) == expected, (seed, most)


@pytest.mark.parametrize(("text", "expected"), [("[]", []), (" [ ] \n", []), ('{"a": 1}', [{"a": 1}])])
def test_what_is_no_list_of_several(text: str, expected: list[Any]) -> None:
    assert read(io.StringIO(text)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begins with no array"),
        ("hello", "begins with no array"),
        ('[{"a": 1}', "after conversation 1"),
        ('[{"a": 1} {"b": 2}]', "after conversation 1, expected a comma"),
        ('[{"a": 1}, {"b": ]', "conversation 2: Expecting value"),
        ('[{"a": 1}, {"b": "x', "conversation 2: Unterminated string"),
        ('[{"a": 1},]', "conversation 2: Expecting value"),
        ("[1] x", "something follows"),
        ("[" * 100_000, "nested too deeply|Expecting value"),
    ],
)
def test_what_is_broken_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(io.StringIO(text))
    assert "character" in caught.value.message
    assert caught.value.hint


def test_an_error_in_the_middle_is_found_without_reading_to_the_end() -> None:
    class Endless(io.StringIO):
        reads = 0

        def read(self, size: int | None = -1) -> str:
            self.reads += 1
            assert self.reads < 5
            return '[{"a": 1}, {"b": nonsense}, ' + " " * 1_000_000 if self.reads == 1 else " " * 1_000_000

    with pytest.raises(DataError, match="conversation 2"):
        read(Endless())


def test_one_value_may_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MOST_CHARACTERS", 1_000_000)
    with pytest.raises(DataError, match="more than 1000000 characters"):
        read(io.StringIO('["' + "x" * 3_000_000))


def test_little_is_held_at_once() -> None:
    """Twenty megabytes go through; three are never held."""
    import tracemalloc

    one = json.dumps({"text": "x" * 1_000})

    class Made(io.StringIO):
        left = 20_000

        def read(self, size: int | None = -1) -> str:
            count = min(self.left, 200)
            self.left -= count
            begin = "[" if self.left + count == 20_000 else "," if count else ""
            return begin + ",".join([one] * count) + ("" if self.left or not count else "]")

    tracemalloc.start()
    try:
        assert sum(1 for _ in values(Made(), "made")) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
