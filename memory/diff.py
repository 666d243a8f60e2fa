"""An event as a person reads it: what came, what went, what changed. Knows records, no store."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from mnemon.memory.records import Episode, Fact, Feedback, Item, ProfileVersion, Record, Session
from mnemon.memory.seams import Change, Event

_QUIET = frozenset({"revision", "recorded_at", "superseded_at", "id", "position"})  # bookkeeping of a change
_WIDTH = 160


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing before and after; None where it was not there. A claim's revisions are one thing."""

    before: Record | None
    after: Record | None

    def __str__(self) -> str:
        if self.before is None and self.after is not None:
            return f"+ {described(self.after)}"
        if self.after is None and self.before is not None:
            return f"- {described(self.before)}"
        assert self.after is not None
        return f"~ {described(self.after)}  [{'; '.join(self.changed())}]"

    def changed(self) -> list[str]:
        """The fields that differ, as "name: old → new"."""
        if self.before is None or self.after is None:
            return []
        return [
            f"{field.name}: {_shown(old)} → {_shown(new)}"
            for field in fields(self.after)
            if field.name not in _QUIET
            and (old := getattr(self.before, field.name, None)) != (new := getattr(self.after, field.name))
        ]


@dataclass(frozen=True, kw_only=True)
class Diff:
    """One write. `event` is its number, 0 for what has not been written (a dry run)."""

    event: int
    action: str
    at: datetime
    differences: tuple[Difference, ...]
    undoes: int | None = None
    undone_by: int | None = None

    def __str__(self) -> str:
        return "\n".join(str(difference) for difference in self.differences)

    def __bool__(self) -> bool:
        return bool(self.differences)


def diff_of(event: Event) -> Diff:
    return Diff(
        event=event.number,
        action=event.action,
        at=event.at,
        differences=differences(event.changes),
        undoes=event.undoes,
        undone_by=event.undone_by,
    )


def differences(changes: Iterable[Change]) -> tuple[Difference, ...]:
    things: dict[tuple[str, str], tuple[list[Record], list[Record]]] = {}
    for where, before, after in changes:
        name = where.key.rpartition("/")[0] if where.kind == "fact" else where.key
        olds, news = things.setdefault((where.kind, name), ([], []))
        olds += [before] if before is not None else []
        news += [after] if after is not None else []
    pairs = [Difference(before=_known(olds), after=_known(news)) for olds, news in things.values()]
    return tuple(sorted((pair for pair in pairs if pair.before or pair.after), key=_as_said))


def _as_said(pair: Difference) -> tuple[object, ...]:
    """Turns first, in the order in which they were said; then what follows from them."""
    record = pair.after or pair.before
    if isinstance(record, Episode):
        return 0, record.time, record.position, record.id
    if isinstance(record, Fact):
        return 1, record.recorded_at, pair.before is None, record.id
    assert record is not None
    return 2, record.record_kind, record.key


def _known(records: Sequence[Record]) -> Record | None:
    """What was known: of a claim's revisions the one that is not superseded."""
    standing = [record for record in records if not (isinstance(record, Fact) and record.superseded_at)]
    return standing[-1] if standing else None


def described(record: Record) -> str:
    """A record in one line."""
    match record:
        case Episode():
            place = f" {record.session}" if record.session else ""
            return _cut(
                f"[{record.time:%Y-%m-%d %H:%M}{place}] {record.speaker or record.role}: {record.text}"
            )
        case Fact():
            start = f"{record.valid_from:%Y-%m-%d}" if record.valid_from else ""
            end = f"{record.valid_to:%Y-%m-%d}" if record.valid_to else ""
            return _cut(f"fact: {record.text} ({record.kind}, {start}–{end})")
        case Session():
            return _cut(f"summary of {record.id or 'the session without a name'}: {record.summary}")
        case ProfileVersion():
            return _cut(f"profile of {record.recorded_at:%Y-%m-%d %H:%M} by {record.made_by or 'hand'}")
        case Feedback():
            return _cut(f"feedback on a {record.about}: {record.query}")
        case Item():
            place = "/".join((*record.namespace, record.name))
            return _cut(f"item {place}: {json.dumps(dict(record.content), ensure_ascii=False)}")
        case _:
            return f"will not be learnt again: {record.id}"


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, tuple):
        return f"{len(value)}"
    return "none" if value is None else _cut(str(value), 60)


def _cut(text: str, width: int = _WIDTH) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
