"""WhatsApp's text export of one chat (`_chat.txt`, `WhatsApp Chat with ....txt`, or the zip around it), as
phones of many languages write it. A day is one session.

The file is read twice: first for who speaks and for the order of day and month, which it does not say.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from mnemon.errors import DataError, UsageError
from mnemon.memory.importers.conversation import Conversation, Options
from mnemon.memory.importers.files import Meter, Part, parts, reading
from mnemon.memory.inputs import check_time

SOURCE = "whatsapp"
FILES = re.compile(r".*\.txt", re.IGNORECASE)
MOST_NAMES = 2_000
_LONGEST_NAME = 100
_MOST_LINE = 1_000_000
_MOST_LINES = 10_000  # of one message

_MARKS = (
    "\u200e\u200f\u202a\u202b\u202c\u2068\u2069\ufeff"  # direction of writing; WhatsApp puts them everywhere
)
_HEAD = re.compile(
    r"\[?(?P<a>\d{1,4})(?P<dot>[./-])(?P<b>\d{1,2})(?P=dot)(?P<c>\d{1,4})\.?,?[ \u202f](?:[a-zà-ÿ]{2,4}\.? )?"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?"
    r"(?:[ \u202f\u00a0]?(?P<half>[AaPp])\.?[ \u202f\u00a0]?[Mm]\.?)?(?:\] | [-–] )"
)
_OMITTED = re.compile(
    r"<[^<>\n]{3,60}>|null|(?:image|video|audio|sticker|document|GIF|Contact card|media) omitted",
    re.IGNORECASE,
)
_ATTACHED = re.compile(r"[^\n]{1,200}\.\w{2,5} \([^()\n]{3,60}\)|<[^<>:\n]{2,30}: [^<>\n]{1,200}>")
_DELETED = re.compile(
    r"(?:This message was deleted|You deleted this message|Waiting for this message.*"
    r"|Missed (?:voice|video) call.*)\.?",
    re.IGNORECASE,
)
_EDITED = re.compile(r"\s*<This message was edited>\s*$")


class Line(NamedTuple):
    """The first line of a message, or of a note of WhatsApp itself (no name)."""

    first: int
    second: int
    third: int
    digits: int  # of the first number: four for a year
    hour: int
    minute: int
    seconds: int
    half: str
    name: str
    text: str
    marked: bool  # the text begins with a mark: WhatsApp wrote it, not the sender


def read(path: Path, options: Options) -> Iterator[Conversation]:
    found = parts(path, FILES, "the text file, or the zip, of an exported chat")
    meter = Meter(found, options.progress, passes=2)
    for part in found:
        with reading(part, meter) as text:
            survey = _survey(text, part, options)
        with reading(part, meter) as text:
            yield from _days(text, survey)


class _Survey(NamedTuple):
    me: str
    chat: str
    day_first: bool
    zone: tzinfo


def _survey(text: IO[str], part: Part, options: Options) -> _Survey:
    """Whose chat it is, and how it writes dates."""
    names: Counter[str] = Counter()
    could_be = {True: True, False: True}  # day first?
    last: dict[bool, tuple[int, ...]] = {True: (), False: ()}
    lines = undecided = 0
    while line := text.readline(_MOST_LINE):
        head = parse(line)
        if head is None:
            continue
        lines += 1
        undecided += head.digits != 4
        if head.name and len(names) < MOST_NAMES:
            names[head.name] += 1
        for day_first in (True, False):
            moment = _moment(head, day_first)
            # A chat is written in the order of time: what would run backwards by days was not meant.
            if moment is None or moment[:3] < last[day_first][:3]:
                could_be[day_first] = False
            else:
                last[day_first] = moment
    if not lines:
        raise DataError(
            f"{part.place} has no line like `01/05/2024, 10:00 - Ana: Hello`.",
            hint="Export the chat from WhatsApp: menu, More, Export chat.",
        )
    me = _whose(names, part, options.me)
    others = [name for name in names if name != me]
    stem = re.sub(r"\s*\(\d+\)$", "", PurePosixPath(part.name).stem)
    chat = options.chat or (others[0] if len(others) == 1 else stem)
    day_first = not undecided or _order(could_be, options.day_first, part)
    return _Survey(me, chat, day_first, options.zone)


def _whose(names: Counter[str], part: Part, me: str) -> str:
    known = ", ".join(repr(name) for name, _ in names.most_common(12))
    if not me:
        raise UsageError(f"{part.place} does not say who you are.", hint=f"Give --me, one of {known}")
    match = [name for name in names if name.casefold() == me.casefold()]
    if not match:
        raise UsageError(f"Nobody in {part.place} is called {me!r}.", hint=f"Give --me, one of {known}")
    return match[0]


def _order(could_be: dict[bool, bool], told: bool | None, part: Part) -> bool:
    if told is not None:
        return told
    if could_be[True] != could_be[False]:
        return could_be[True]
    raise UsageError(
        f"{part.place} does not show whether its dates begin with the day or the month.",
        hint="Say it: --day-first or --month-first",
    )


def parse(line: str) -> Line | None:
    """The head of a message; None for a line that goes on with the one before."""
    head = _HEAD.match(line.lstrip(_MARKS))
    if head is None:
        return None
    rest = line.lstrip(_MARKS)[head.end() :].rstrip("\r\n")
    name, colon, text = rest.partition(": ")
    if not colon and rest.rstrip().endswith(":"):
        name, colon, text = rest.rstrip()[:-1], ":", ""
    if not colon or len(name) > _LONGEST_NAME:
        name, text = "", rest
    return Line(
        first=int(head["a"]),
        second=int(head["b"]),
        third=int(head["c"]),
        digits=len(head["a"]),
        hour=int(head["hour"]),
        minute=int(head["minute"]),
        seconds=int(head["second"] or 0),
        half=(head["half"] or "").lower(),
        name=name.strip(_MARKS + " ~\u202f\u00a0"),
        text=text.strip(_MARKS),
        marked=text[:1] in _MARKS if text else False,
    )


def _moment(line: Line, day_first: bool) -> tuple[int, ...] | None:
    """Year, month, day, hour, minute, second; None when there is no such moment."""
    if line.digits == 4:
        year, month, day = line.first, line.second, line.third
    else:
        day, month = (line.first, line.second) if day_first else (line.second, line.first)
        year = line.third + 2000 if line.third < 100 else line.third
    hour = line.hour % 12 + (12 if line.half == "p" else 0) if line.half else line.hour
    try:
        datetime(year, month, day, hour, line.minute, line.seconds)
    except ValueError:
        return None
    return year, month, day, hour, line.minute, line.seconds


def _days(text: IO[str], survey: _Survey) -> Iterator[Conversation]:
    now = Conversation(session="")
    message: tuple[Line, list[str]] | None = None
    while line := text.readline(_MOST_LINE):
        head = parse(line)
        if head is None:
            if message is not None and len(message[1]) < _MOST_LINES:
                message[1].append(line.rstrip("\r\n").strip(_MARKS))
            else:
                now.skipped["line that belongs to no message"] += 1
            continue
        if message is not None:
            _take(message, now, survey)
        day = _moment(head, survey.day_first)
        if day is None:
            now.skipped["message with a date that is none"] += 1
            message = None
            continue
        session = f"{SOURCE}:{survey.chat[:200]}:{day[0]:04}-{day[1]:02}-{day[2]:02}"
        if session != now.session:
            yield now
            now = Conversation(session=session)
        message = (head, [head.text])
    if message is not None:
        _take(message, now, survey)
    yield now


def _take(message: tuple[Line, list[str]], now: Conversation, survey: _Survey) -> None:
    head, lines = message
    text = _EDITED.sub("", "\n".join(lines)).strip("\n")
    if not head.name:
        now.skipped["note of WhatsApp itself"] += 1
        return
    if _ATTACHED.fullmatch(lines[0]):
        now.skipped["picture or file"] += 1
        text = "\n".join(lines[1:])  # what was written under it
        if not text.strip():
            return
    elif _OMITTED.fullmatch(text):
        now.skipped["picture or file"] += 1
        return
    elif _DELETED.fullmatch(text):
        now.skipped["deleted message or missed call"] += 1
        return
    elif head.marked:
        now.skipped["note of WhatsApp itself"] += 1
        return
    moment = _moment(head, survey.day_first)
    assert moment is not None
    speaker = "" if head.name == survey.me else head.name
    now.say(text, time=check_time(datetime(*moment, tzinfo=survey.zone)), source=SOURCE, speaker=speaker)  # type: ignore[misc, arg-type]
