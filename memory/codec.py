"""Records as JSON-able mappings and back. The store's bodies and the lines of an export are made of these.

Reading checks every field and says what is wrong with `DataError`; it never guesses. Text is carried exactly:
lone surrogates and NUL survive (`pack`/`unpack` where a medium wants UTF-8).
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mnemon.errors import DataError
from mnemon.memory.records import (
    FACT_KINDS,
    FEEDBACK_ABOUT,
    ROLES,
    Episode,
    Fact,
    Feedback,
    Item,
    ProfileVersion,
    Quote,
    Record,
    RecordKind,
    Session,
    Suppression,
)

CLASSES: Mapping[RecordKind, type[Record]] = {
    "episode": Episode,
    "session": Session,
    "fact": Fact,
    "profile": ProfileVersion,
    "feedback": Feedback,
    "suppression": Suppression,
    "item": Item,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMES = frozenset(
    {"time", "recorded_at", "superseded_at", "valid_from", "valid_to", "started", "ended", "made", "expires"}
)
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("episode", "role"): ROLES,
    ("fact", "kind"): FACT_KINDS,
    ("fact", "status"): ("current", "closed", "disputed"),
    ("feedback", "about"): FEEDBACK_ABOUT,
}


def to_microseconds(time: datetime) -> int:
    """Exact, unlike `timestamp()`, over all of datetime's range."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count)


class Packed(bytes):
    """Text that is not valid Unicode, as bytes: told by its type from bytes that are no text."""


def pack(text: str) -> str | Packed:
    """Text as a medium of UTF-8 can hold it: as it is, or, with lone surrogates, as bytes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return Packed(text.encode("utf-8", "surrogatepass"))
    return text


def unpack(stored: str | bytes) -> str:
    return stored.decode("utf-8", "surrogatepass") if isinstance(stored, bytes) else stored


def to_plain(record: Record) -> dict[str, Any]:
    """The record's fields that differ from their defaults, as JSON values."""
    plain: dict[str, Any] = {}
    for name, default in _FIELDS[record.record_kind].items():
        value = getattr(record, name)
        if default is not dataclasses.MISSING and value == default:
            continue
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, tuple):
            value = [list(part) if isinstance(part, Quote) else part for part in value]
        elif isinstance(value, Mapping):
            value = dict(value)
        plain[name] = value
    return plain


def from_plain(kind: RecordKind, plain: object) -> Record:
    """The record that `to_plain` described; `DataError` when it does not describe one."""
    where = f"a record of kind {kind!r}"
    if not isinstance(plain, dict):
        raise DataError(f"{where} is {type(plain).__name__}, expected an object of fields")
    fields = _FIELDS[kind]
    unknown = [name for name in plain if name not in fields]
    missing = [
        name for name, default in fields.items() if default is dataclasses.MISSING and name not in plain
    ]
    if unknown or missing:
        raise DataError(
            f"{where} has unknown fields {unknown!r}" if unknown else f"{where} lacks the fields {missing!r}",
            hint="It was written by another version of mnemon or by hand; see docs/memory.md for the format.",
        )
    values: dict[str, Any] = {
        name: _read(kind, name, value, _READERS[kind][name]) for name, value in plain.items()
    }
    return CLASSES[kind](**values)


def dump(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _read(kind: RecordKind, name: str, value: object, reader: Callable[[Any], object]) -> object:
    try:
        return reader(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = repr(value)
        raise DataError(
            f"field {name!r} of a record of kind {kind!r} is {shown[:80]}: {error}",
            hint="See docs/memory.md for the format of each field.",
        ) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        raise TypeError("expected a whole number of 64 bits")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value or abs(value) > 1e300:
        raise TypeError("expected a finite number")
    return float(value)


def _optional_number(value: object) -> float | None:
    return None if value is None else _number(value)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _time(value: object) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError("expected a time with its offset from UTC")
    to_microseconds(time)
    return time


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("expected a list of texts")
    return tuple(_text(part) for part in value)


def _quotes(value: object) -> tuple[Quote, ...]:
    if not isinstance(value, list) or not all(isinstance(part, list) and len(part) == 3 for part in value):
        raise TypeError("expected a list of [episode id, words, start]")
    return tuple(Quote(_text(episode), _text(words), _whole(start)) for episode, words, start in value)


def _meta(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    for part in value.values():
        if part is not None and not isinstance(part, str | bool):
            _number(part)
    return value


def _choice(options: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in options:
            raise ValueError(f"expected one of {', '.join(options)}")
        return str(value)

    return read


def _reader(kind: str, field: "dataclasses.Field[Any]") -> Callable[[Any], object]:
    if (kind, field.name) in _CHOICES:
        return _choice(_CHOICES[kind, field.name])
    if field.name in _TIMES:
        return lambda value: None if value is None else _time(value)
    named: Mapping[str, Callable[[Any], object]] = {
        "quotes": _quotes,
        "meta": _meta,
        "confidence": _number,
        "rating": _optional_number,
        "ttl": _optional_number,
        "content": _object,
        "words": lambda value: None if value is None else _texts(value),
    }
    if field.name in named:
        return named[field.name]
    if field.type is int:
        return _whole
    return _texts if field.type == tuple[str, ...] else _text


def _defaults(record: type[Record]) -> dict[str, Any]:
    return {
        field.name: field.default_factory()
        if field.default_factory is not dataclasses.MISSING
        else field.default
        for field in dataclasses.fields(record)
    }


_FIELDS: Mapping[RecordKind, dict[str, Any]] = {kind: _defaults(record) for kind, record in CLASSES.items()}
_READERS: Mapping[RecordKind, dict[str, Callable[[Any], object]]] = {
    kind: {field.name: _reader(kind, field) for field in dataclasses.fields(record)}
    for kind, record in CLASSES.items()
}
