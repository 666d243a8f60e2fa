"""Notes in Markdown: a file, or a folder of them. Each section is what the person wrote, dated by the nearest
heading above that holds a date, else by the note's front matter, else by its name (`2024-05-01.md`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from pathlib import Path
from typing import IO

from mnemon.errors import UsageError
from mnemon.memory.importers.conversation import Conversation, Options
from mnemon.memory.importers.files import Meter, parts, reading
from mnemon.memory.inputs import check_time

SOURCE = "markdown"
FILES = re.compile(r".*\.(?:md|markdown|mdown)", re.IGNORECASE)
LONGEST = 1_500  # characters of a turn; a longer section is cut between its paragraphs
_MOST_OF_A_PARAGRAPH = 1_000_000

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_FRONT = re.compile(r"(?:date|created|created_at|created-at)\s*:\s*['\"]?([^'\"]+?)['\"]?\s*$", re.IGNORECASE)
_MONTHS: tuple[str, ...] = ("january", "february", "march", "april", "may", "june", "july", "august")
_MONTHS += ("september", "october", "november", "december")
_MONTH = "(?P<name>" + "|".join(f"{name}|{name[:3]}\\.?" for name in _MONTHS) + ")"
_DAY, _YEAR = r"(?P<day>\d{1,2})", r"(?P<year>\d{4})(?!\d)"
_DATES = (
    re.compile(r"(?<!\d)(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})(?!\d)"),
    re.compile(rf"(?<!\d){_DAY}(?:st|nd|rd|th|\.)? (?:of )?{_MONTH},? {_YEAR}", re.IGNORECASE),
    re.compile(rf"\b{_MONTH} {_DAY}(?:st|nd|rd|th)?,? {_YEAR}", re.IGNORECASE),
)
_CLOCK = re.compile(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])")


def read(path: Path, options: Options) -> Iterator[Conversation]:
    found = parts(path, FILES, "a note or a folder of notes in Markdown")
    meter = Meter(found, options.progress)
    for part in found:
        note = _Note(Conversation(session=f"{SOURCE}:{part.name[-400:]}"), options.zone)
        note.date = found_date(part.name.rpartition("/")[2], options.zone) or options.time
        with reading(part, meter) as text:
            _read_note(text, note)
        yield note.conversation


@dataclass
class _Note:
    """A note while it is read."""

    conversation: Conversation
    zone: tzinfo
    date: datetime | None = None  # of the whole note
    headings: list[tuple[int, str, datetime | None]] = field(default_factory=list)  # level, words, date
    paragraph: list[str] = field(default_factory=list)
    section: list[str] = field(default_factory=list)  # paragraphs

    def end_paragraph(self) -> None:
        text = "\n".join(self.paragraph).strip("\n")
        self.paragraph = []
        if not text.strip():
            return
        if sum(map(len, self.section)) + len(text) > LONGEST:
            self.write()
        self.section.append(text)

    def end_section(self) -> None:
        self.end_paragraph()
        self.write()

    def write(self) -> None:
        """The section so far as one turn, under its heading."""
        text = "\n\n".join(self.section)
        self.section = []
        if not text:
            return
        dated = next((moment for _, _, moment in reversed(self.headings) if moment is not None), self.date)
        if dated is None:
            self.conversation.skipped["section of a note without a date (give --time)"] += 1
            return
        title = " · ".join(words for _, words, _ in self.headings)
        self.conversation.say(f"{title}\n{text}" if title else text, time=dated, source=SOURCE)

    def begin_section(self, level: int, words: str) -> None:
        self.end_section()
        self.headings = [one for one in self.headings if one[0] < level]
        day = next((moment for _, _, moment in reversed(self.headings) if moment is not None), self.date)
        self.headings.append((level, words, found_date(words, self.zone) or _at_clock(words, day)))


def _read_note(text: IO[str], note: _Note) -> None:
    fence = ""
    first = True
    while line := text.readline(_MOST_OF_A_PARAGRAPH):
        line = line.rstrip("\n")
        if first and line.rstrip() == "---":
            _front_matter(text, note)
            first = False
            continue
        first = False
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1][:3]
        heading = None if fence or mark else _HEADING.match(line)
        if heading:
            note.begin_section(len(heading[1]), heading[2])
        elif line.strip() or fence:
            note.paragraph.append(line)
        else:
            note.end_paragraph()
    note.end_section()


def _front_matter(text: IO[str], note: _Note) -> None:
    """The lines between two `---`; of them only the date counts."""
    while line := text.readline(_MOST_OF_A_PARAGRAPH):
        if line.rstrip() in {"---", "..."}:
            return
        dated = _FRONT.match(line.strip())
        if dated:
            note.date = _exact(dated[1], note.zone) or found_date(dated[1], note.zone) or note.date


def _exact(words: str, zone: tzinfo) -> datetime | None:
    try:
        moment = datetime.fromisoformat(words.strip())
        return check_time(moment.replace(tzinfo=zone) if moment.tzinfo is None else moment)
    except (ValueError, UsageError):
        return None


def found_date(words: str, zone: tzinfo) -> datetime | None:
    """The date that stands in a heading or a file's name, with the time of day that stands beside it."""
    for pattern in _DATES:
        said = pattern.search(words)
        if said is None:
            continue
        parts_of = said.groupdict()
        month = int(parts_of["month"]) if "month" in parts_of else _month(parts_of["name"])
        try:
            day = date(int(parts_of["year"]), month, int(parts_of["day"]))
        except ValueError:
            continue
        moment = check_time(datetime.combine(day, time(), zone))
        return _at_clock(words[said.end() :], moment) or moment
    return None


def _at_clock(words: str, day: datetime | None) -> datetime | None:
    """The moment of a day that words like "14:30" name."""
    clock = _CLOCK.search(words)
    return None if clock is None or day is None else day.replace(hour=int(clock[1]), minute=int(clock[2]))


def _month(name: str) -> int:
    short = name.lower().rstrip(".")
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(short))
