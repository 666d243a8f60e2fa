"""What exports of `conversations.json` have in common: a list of conversations, in one file or in several,
read one at a time; an odd one is listed and passed over."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mnemon.memory.importers.conversation import Conversation, Odd, Options
from mnemon.memory.importers.files import Meter, parts, reading
from mnemon.memory.importers.json_stream import values

FILES = re.compile(r"conversations(?:-\d+)?\.json")


def conversations(
    path: Path, options: Options, *, expected: str, convert: Callable[[object], Conversation]
) -> Iterator[Conversation]:
    found = parts(path, FILES, expected)
    meter = Meter(found, options.progress)
    for part in found:
        with reading(part, meter) as text:
            for number, value in values(text, part.place):
                try:
                    yield convert(value)
                except Odd as odd:
                    yield Conversation(session="", unreadable=f"conversation {number} of {part.place}: {odd}")
