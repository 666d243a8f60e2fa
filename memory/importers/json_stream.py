"""The values of a JSON array one after another, out of a stream of text: exports of a gigabyte hold thousands
of conversations of which one is in memory at a time.

Python's own decoder reads each value; a buffer grows until one is whole. `ijson` would do the same with a
dependency in C or, without it, fifteen times slower.
"""

import json
from collections.abc import Iterator
from typing import IO, NamedTuple

from mnemon.errors import DataError

MOST_CHARACTERS = 64_000_000  # of one value: a conversation of some ten thousand pages
_CHUNK = 1 << 18
_TAIL = (
    16  # characters: a decoder that stops this near the end may only lack the rest ("tru", "\\u00", "-Inf")
)
_BLANK = " \t\r\n"


class Value(NamedTuple):
    number: int  # from 1
    value: object


def values(text: IO[str], place: str) -> Iterator[Value]:
    """The elements of the array, or the one object, that the text holds. `place` names it in errors."""
    buffer = _Buffer(text, place)
    first = buffer.peek()
    if first == "{":
        yield Value(1, buffer.value())
        buffer.end()
        return
    if first != "[":
        raise buffer.bad("it begins with no array of conversations")
    buffer.skip()
    number = 0
    while True:
        following = buffer.peek()
        if following == "]":
            break
        if number:
            if following != ",":
                raise buffer.bad(f"after conversation {number}, expected a comma")
            buffer.skip()
            buffer.peek()
        number += 1
        buffer.what = f"conversation {number}"
        yield Value(number, buffer.value())
    buffer.skip()
    buffer.end()


class _Buffer:
    """What was read and not yet used."""

    def __init__(self, text: IO[str], place: str) -> None:
        self._text = text
        self._place = place
        self._held = ""
        self._at = 0  # where in `_held` what was not used begins
        self._before = 0  # characters that came before `_held`
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode
        self.what = "its beginning"

    def peek(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _BLANK:
                    return self._held[self._at]
                self._at += 1
            if not self._more(_CHUNK):
                return ""

    def skip(self) -> None:
        self._at += 1

    def value(self) -> object:
        while True:
            try:
                value, end = self._decode(self._held, self._at)
            except json.JSONDecodeError as error:
                unfinished = (
                    error.msg.startswith("Unterminated string") or error.pos >= len(self._held) - _TAIL
                )
                # Twice as much each time: a long conversation is not decoded from its start again and again.
                if unfinished and self._more(max(_CHUNK, len(self._held) - self._at)):
                    continue
                raise self.bad(f"{self.what}: {error.msg}", at=error.pos) from error
            except RecursionError as error:
                raise self.bad(f"{self.what} is nested too deeply") from error
            near_the_end = end >= len(self._held) - _TAIL
            if near_the_end and not isinstance(value, dict | list | str) and self._more(_CHUNK):
                continue  # a number may go on: "12", ".", "5e3"
            self._at = end
            return value

    def end(self) -> None:
        if self.peek():
            raise self.bad("something follows its end")

    def _more(self, count: int) -> bool:
        """Read on; False at the end of the text."""
        if self._ended:
            return False
        if len(self._held) - self._at > MOST_CHARACTERS:
            raise self.bad(f"{self.what} has more than {MOST_CHARACTERS} characters")
        read = self._text.read(count)
        if not read:
            self._ended = True
            return False
        self._before += self._at
        self._held, self._at = self._held[self._at :] + read, 0
        return True

    def bad(self, reason: str, *, at: int | None = None) -> DataError:
        where = self._before + (self._at if at is None else at)
        return DataError(
            f"{self._place} is no JSON of conversations, at character {where}: {reason}.",
            hint="Export it again; it may be cut short.",
        )
