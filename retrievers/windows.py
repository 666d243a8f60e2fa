"""A person's history as rows: turns with their neighbours, sessions, and the words that occur in each.

One posting list per word, kept at turn level, serves every unit: a window's or a session's word counts are
sums of its turns' counts, so nothing is indexed twice and adding a turn never rebuilds a window. Knows no
query weights and no model.
"""

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mnemon.retrievers.columns import Columns, GrowingColumns, Ints
from mnemon.retrievers.entities import ASSISTANT_NAMES, USER_NAMES, Mark, marks, names
from mnemon.retrievers.seams import Document
from mnemon.retrievers.timing import told_time

PIECE_LENGTH = 480  # characters: about 110 tokens, well inside what a small embedder attends to

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def pieces(text: str, size: int = PIECE_LENGTH) -> list[str]:
    """Runs of whole sentences of about `size` characters; a text a little longer than that stays whole."""
    text = text.strip()
    if len(text) <= size * 1.3:
        return [text]
    found: list[str] = []
    current = ""
    for sentence in filter(None, map(str.strip, _SENTENCE.split(text))):
        while len(sentence) > size * 1.6:
            if current:
                found.append(current)
                current = ""
            cut = sentence.rfind(" ", 0, size)
            cut = cut if cut > size // 2 else size
            found.append(sentence[:cut])
            sentence = sentence[cut:].strip()
        if current and len(current) + len(sentence) > size:
            found.append(current)
            current = ""
        current = f"{current} {sentence}".strip()
    return [*found, current] if current else found


def spoken(document: Document) -> str:
    """The text that is embedded: who says it belongs to what is said, unless it is only a role."""
    role = document.speaker.lower()
    named = role and role not in USER_NAMES and role not in ASSISTANT_NAMES
    return f"{document.speaker}: {document.text}" if named else document.text


def _told(document: Document) -> tuple[float, float]:
    """The time that a text speaks of, seen from when it was said: "next Friday" is a date."""
    span = told_time(document.text, document.time) if document.time is not None else None
    return (np.nan, np.nan) if span is None else (span.start.timestamp(), span.end.timestamp())


@dataclass
class Rows:
    """Documents by row. Removing leaves a hole (`alive` False) until `HistoryRetriever` rebuilds."""

    documents: list[Document | None] = field(default_factory=list)
    row_of: dict[str, int] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)
    session_rows: list[list[int]] = field(default_factory=list)  # turns of a session in order of position
    _session_of: dict[str, int] = field(default_factory=dict)
    _session: "array[int]" = field(default_factory=lambda: array("q"))
    _lengths: "array[float]" = field(default_factory=lambda: array("d"))
    _times: "array[float]" = field(default_factory=lambda: array("d"))
    _marks: "array[int]" = field(default_factory=lambda: array("q"))
    _told: "array[float]" = field(default_factory=lambda: array("d"))  # start and end of the time spoken of
    _speaker: "array[int]" = field(default_factory=lambda: array("q"))
    names: list[frozenset[str]] = field(default_factory=list)
    speakers: dict[str, int] = field(default_factory=dict)  # name → code
    _postings: "dict[str, tuple[array[int], array[int]]]" = field(default_factory=dict)
    _frozen: "Columns | None" = None
    _columns: "GrowingColumns | None" = None
    _touched: dict[int, int] = field(default_factory=dict)  # session → first place in its line that changed
    _dropped: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def holes(self) -> int:
        return len(self.documents) - len(self.row_of)

    def append(self, document: Document, terms: Sequence[str]) -> int:
        row = len(self.documents)
        self.documents.append(document)
        self.row_of[document.id] = row
        session = self._session_of.setdefault(document.session, len(self.sessions))
        if session == len(self.sessions):
            self.sessions.append(document.session)
            self.session_rows.append([])
        self._session.append(session)
        self._lengths.append(len(terms))
        self._times.append(np.nan if document.time is None else document.time.timestamp())
        shown = marks(document.text)
        self._marks.append(int(shown))
        self._told.extend(_told(document) if Mark.TIME in shown else (np.nan, np.nan))
        self._speaker.append(self.speakers.setdefault(document.speaker, len(self.speakers)))
        self.names.append(names(document.text))
        for word, count in Counter(terms).items():
            rows, counts = self._postings.setdefault(word, (array("q"), array("q")))
            rows.append(row)
            counts.append(count)
        if document.unit == "turn":
            self._place(session, row, document.position)
        self._frozen = None
        return row

    def _place(self, session: int, row: int, position: int) -> None:
        """Keep a session's turns in order of position; they mostly arrive in order."""
        line = self.session_rows[session]
        at = len(line)
        while at and self._position(line[at - 1]) > position:
            at -= 1
        line.insert(at, row)
        self._touched[session] = min(at, self._touched.get(session, at))

    def _position(self, row: int) -> int:
        document = self.documents[row]
        return document.position if document is not None else 0

    def drop(self, id_: str) -> int | None:
        row = self.row_of.pop(id_, None)
        if row is None:
            return None
        session = self._session[row]
        if row in (line := self.session_rows[session]):
            at = line.index(row)
            del line[at]
            self._touched[session] = min(at, self._touched.get(session, at))
        self._dropped.append(row)
        self.documents[row] = None
        self._frozen = None
        return row

    def id_at(self, row: int) -> str:
        document = self.documents[row]
        return document.id if document is not None else ""

    def postings(self, word: str) -> tuple[Ints, Ints]:
        """Rows that hold the word (holes included) and how often."""
        rows, counts = self._postings.get(word, (_NO_INTS, _NO_INTS))
        return np.array(rows, np.int64), np.array(counts, np.int64)

    def columns(self) -> Columns:
        """What the rows say now. Only what changed since the last call is written again."""
        if self._frozen is None:
            self._frozen = self._level()
        return self._frozen

    def _level(self) -> Columns:
        if self._columns is None:
            self._columns = GrowingColumns()
            self._touched = dict.fromkeys(range(len(self.sessions)), 0)
        columns, count = self._columns, len(self.documents)
        if columns.count < count:
            columns.extend(self._new(columns.count), count)
        if self._dropped:
            columns.drop(self._dropped)
        for session, start in self._touched.items():
            columns.link(self.session_rows[session], start)
        self._touched, self._dropped = {}, []
        return columns.columns(len(self.sessions))

    def _new(self, start: int) -> dict[str, NDArray[np.generic]]:
        """The columns' values from row `start` on."""
        fresh = self.documents[start:]
        units = ["" if document is None else document.unit for document in fresh]
        return {
            "alive": np.array([bool(unit) for unit in units], np.bool_),
            **{name: np.array([unit == name for unit in units]) for name in ("turn", "fact", "summary")},
            "session": np.array(self._session[start:], np.int64),
            "length": np.array(self._lengths[start:], np.float64) * np.array([bool(unit) for unit in units]),
            "time": np.array(self._times[start:], np.float64),
            "told": np.array(self._told[2 * start :], np.float64).reshape(-1, 2),
            "marks": np.array(self._marks[start:], np.int64),
            "speaker": np.array(self._speaker[start:], np.int64),
            "position": np.array([0 if d is None else d.position for d in fresh], np.int64),
        }


_NO_INTS: "array[int]" = array("q")
