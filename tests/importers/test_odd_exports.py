"""Exports with anything in any place: each is read, or refused with an error of ours that names the place."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnemon.errors import DataError, UsageError
from mnemon.memory import Memory
from mnemon.memory.importers import Options, import_from
from tests.importers.exports import chat, claude_conversation, claude_message, write_json

JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    "",
    "x",
    "\ud800",
    [],
    [[]],
    {},
    {"": None},
    [None, {"a": []}],
    2**70,
)
MESSAGES = [
    claude_message(who, "hello", "2024-05-01T10:00:00Z", files=[{"file_name": "a"}])
    for who in ("human", "assistant")
]
WHOLE: dict[str, Any] = {
    "chatgpt": [chat("a", "hello", "hi"), chat("b", "hello")],
    "claude": [claude_conversation("a", MESSAGES), claude_conversation("b", MESSAGES)],
}


def spoiled(value: Any, dice: random.Random) -> Any:
    """The value with one or two of its parts replaced by junk, or left out."""
    value = copy.deepcopy(value)
    for _ in range(dice.randint(1, 2)):
        here: Any = value
        while True:
            if not isinstance(here, list | dict) or not here:
                break
            key = dice.choice(list(here) if isinstance(here, dict) else range(len(here)))
            if dice.random() < 0.25 or not isinstance(here[key], list | dict):
                if isinstance(here, dict) and dice.random() < 0.3:
                    del here[key]
                else:
                    here[key] = copy.deepcopy(dice.choice(JUNK))
                break
            here = here[key]
    return value


def attempt(memory: Memory, kind: str, path: Path, **options: Any) -> str:
    """Import it; gives the error of ours that it ended with, "" when it was read."""
    try:
        import_from(memory.for_user("ana"), kind, path, options=Options(**options))
    except (DataError, UsageError) as error:
        return error.message
    return ""


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(":memory:", embedder=None) as memory:
        yield memory


@pytest.mark.parametrize("kind", WHOLE)
def test_anything_in_any_place(memory: Memory, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    errors = [
        attempt(memory, kind, write_json(path, spoiled(WHOLE[kind], random.Random(seed))))
        for seed in range(400)
    ]
    assert all(str(path) in error for error in errors if error)
    assert errors.count("") > 200


LINE = {
    "role": "user",
    "content": "hello",
    "time": "2024-05-01",
    "session": "s",
    "speaker": "Ana",
    "meta": {"a": 1},
}


@pytest.mark.parametrize(
    "whole", [LINE, {"messages": [LINE], "session": "s"}], ids=["message", "conversation"]
)
def test_anything_in_any_place_of_a_line(memory: Memory, whole: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    errors = []
    for seed in range(300):
        lines = [LINE, spoiled(whole, random.Random(seed))]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        errors.append(attempt(memory, "jsonl", path))
    assert all("line 2" in error for error in errors if error)
    assert errors.count("") > 20


@pytest.mark.parametrize("kind", ["whatsapp", "markdown"])
def test_any_text(memory: Memory, kind: str, tmp_path: Path) -> None:
    dice = random.Random(5)
    pieces = [
        *("13/05/2024, 10:00 - Ana: ", "[31.12.23, 23:59:58] Ana: ", "99/99/9999, 99:99 - Ana: "),
        *(
            "0/0/0, 0:00 - : ",
            "\n",
            "\n",
            "\n",
            "# ",
            "## 2024-05-01 25:61",
            "```",
            "---\n",
            "date: 2024-99-99\n",
        ),
        *(
            "\u200e",
            "\u202f",
            "hello",
            "x" * 3_000,
            "0001-01-01",
            "9999-12-31",
            "<Media omitted>",
            "\x00",
            "🦜",
        ),
    ]
    path = tmp_path / "2024-05-01.md"
    errors = []
    for _ in range(300):
        path.write_text("".join(dice.choices(pieces, k=dice.randint(1, 40))), encoding="utf-8")
        errors.append(attempt(memory, kind, path, me="Ana", day_first=True))
    assert all(str(path) in error for error in errors if error)
    assert errors.count("") > 50
