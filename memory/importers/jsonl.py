"""Messages as JSON lines: one message a line (`role`, `content`, `time`, `session`, and what else
`Person.remember` reads), or one conversation a line (`messages`, with `session` and `time` for all of them).
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mnemon.errors import DataError, UsageError
from mnemon.memory.importers.conversation import Conversation, Options
from mnemon.memory.importers.files import Meter, parts, reading
from mnemon.memory.inputs import MAX_TEXT, check_time, read_turns

SOURCE = "jsonl"
FILES = re.compile(r".*\.(?:jsonl|ndjson)", re.IGNORECASE)
MOST_LINE = 8 * MAX_TEXT  # characters
AT_ONCE = 5_000  # messages of one session in one conversation; a log of years may be one session
_TIMES = ("time", "timestamp", "created_at")


def read(path: Path, options: Options) -> Iterator[Conversation]:
    found = parts(path, FILES, "a file of JSON lines")
    meter = Meter(found, options.progress)
    for part in found:
        with reading(part, meter) as text:
            now = Conversation(session="")
            number = 0
            while line := text.readline(MOST_LINE):
                number += 1
                place = f"{part.place}, line {number}"
                if not line.strip():
                    continue
                whole = _object(line, place)
                for session, message in _messages(whole, part.name, number, place):
                    if session != now.session or len(now.messages) >= AT_ONCE:
                        yield now
                        now = Conversation(session=session)
                    _take(message, now, options, place)
            yield now


def _object(line: str, place: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = "it is cut short or too long" if not line.endswith("\n") else str(error)
        raise DataError(f"{place} is no JSON: {reason}.", hint="Each line is one JSON object.") from error
    if not isinstance(value, Mapping):
        raise DataError(f"{place} is {line.strip()[:60]!r}, expected an object.", hint=_EXAMPLE)
    return value


def _messages(
    whole: Mapping[str, Any], file: str, number: int, place: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The messages of a line with their session."""
    if "messages" not in whole:
        yield str(whole.get("session") or ""), dict(whole)
        return
    inner = whole["messages"]
    if not isinstance(inner, list) or not all(isinstance(one, Mapping) for one in inner):
        raise DataError(f"{place}: its messages are no list of objects.", hint=_EXAMPLE)
    session = str(whole.get("session") or whole.get("id") or f"{file}:{number}")
    shared = {key: whole[key] for key in _TIMES if key in whole}
    for message in inner:
        yield session, {**shared, **message}


def _take(message: dict[str, Any], now: Conversation, options: Options, place: str) -> None:
    """One message, checked here so that what is wrong is said with its line."""
    given = next((message.pop(key) for key in _TIMES if message.get(key) is not None), None)
    for key in _TIMES:
        message.pop(key, None)
    try:
        time = _time(given, options)
        if time is None:
            now.skipped["message without a time (give --time)"] += 1
            return
        message |= {"time": time, "session": now.session, "source": message.get("source") or SOURCE}
        turns = read_turns([message], time=time, session="", role="user", speaker="", source=SOURCE, now=time)
    except UsageError as error:
        wrong = error.message.replace("message 0", "the message")
        raise DataError(f"{place}: {wrong}.", hint=error.hint or _EXAMPLE) from error
    if turns:
        now.messages.append(message)
    else:
        reason = (
            "system message" if message.get("role") in {"system", "developer"} else "message without words"
        )
        now.skipped[reason] += 1


def _time(given: object, options: Options) -> datetime | None:
    if given is None:
        return options.time
    if isinstance(given, int | float) and not isinstance(given, bool):
        return check_time(_moment(given))
    if not isinstance(given, str):
        raise UsageError(f"the time is {given!r:.60}, expected ISO 8601 text or Unix time")
    time = check_time(given)
    naive = datetime.fromisoformat(given.strip()).tzinfo is None
    return check_time(time.replace(tzinfo=options.zone)) if naive else time


def _moment(seconds: float) -> datetime:
    """Unix time, also in milliseconds."""
    try:
        return datetime.fromtimestamp(seconds / 1000 if abs(seconds) > 1e11 else seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise UsageError(f"time is {seconds!r}, which is no Unix time") from error


_EXAMPLE = (
    'For example {"role": "user", "content": "My dog is called Biscuit.", "time": "2024-05-01T10:00:00Z"}'
)
