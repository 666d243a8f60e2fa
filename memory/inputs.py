"""What callers hand in, checked before anything is written: user ids, texts, times, messages.

Faithful or refused, never bent: text is kept character by character (zero-width, NUL and lone surrogates
too), a value that cannot be kept is a `UsageError` that names it. A time without an offset is taken as UTC.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from mnemon.errors import UsageError
from mnemon.memory.records import ROLES, Role, Scalar

MAX_TEXT = 4_000_000  # characters in one turn; a book is about a million
MAX_NAME = 500  # characters in a user id, a session's name, a speaker's name
MAX_META = 20_000

Said = str | Mapping[str, object]
When = datetime | str | None

_MESSAGE_KEYS = frozenset({"role", "content", "text", "name", "speaker", "time", "session", "source", "meta"})
_ROLE_NAMES = {"human": "user", "ai": "assistant", "developer": "system", "function": "tool"}


class Turn(NamedTuple):
    """One checked turn that has no identity yet."""

    text: str
    time: datetime
    session: str
    role: Role
    speaker: str
    source: str
    meta: Mapping[str, Scalar]


def check_user(user: object) -> str:
    """A user id is a key, never a path: `../x` is as good as any. Invisible characters are refused, because
    two ids that look the same would be two persons."""
    if not isinstance(user, str) or not user.strip():
        raise UsageError(
            f"user id {user!r}: expected a text that is not empty", hint='Say whose memory: "ana"'
        )
    if len(user) > MAX_NAME:
        raise UsageError(
            f"user id {user[:40]!r}... has {len(user)} characters, at most {MAX_NAME} are allowed"
        )
    unseen = [letter for letter in user if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    if unseen:
        raise UsageError(
            f"user id {user!r} holds an invisible character: {unseen[0]!r}", hint="Leave it out."
        )
    return user


def check_text(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{what} is {_shown(text)}, expected text")
    if len(text) > MAX_TEXT:
        raise UsageError(
            f"{what} has {len(text)} characters, at most {MAX_TEXT} are kept in one turn",
            hint="Split it into several turns of one session.",
        )
    return text


def check_name(name: object, what: str) -> str:
    """A session's or speaker's name, or a source: any text of a sane length."""
    if not isinstance(name, str):
        raise UsageError(f"{what} is {_shown(name)}, expected text")
    if len(name) > MAX_NAME:
        raise UsageError(
            f"{what} {name[:40]!r}... has {len(name)} characters, at most {MAX_NAME} are allowed"
        )
    return name


def check_time(time: object, what: str = "time") -> datetime:
    """An aware datetime. Text is ISO 8601; no offset means UTC."""
    given = time
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time.strip())
        except ValueError as error:
            raise UsageError(
                f"{what} is {_shown(given)}: {error}",
                hint='Write ISO 8601 between the years 1 and 9999: "2024-05-01T10:00:00+00:00"',
            ) from error
    if not isinstance(time, datetime):
        raise UsageError(
            f"{what} is {_shown(given)}, expected a datetime or ISO 8601 text",
            hint='For example "2024-05-01T10:00:00+00:00"',
        )
    if time.utcoffset() is None:
        time = time.replace(tzinfo=UTC)
    try:
        time.astimezone(UTC)
        return datetime.fromisoformat(time.isoformat())  # a fixed offset, which can be kept
    except (OverflowError, ValueError) as error:
        raise UsageError(
            f"{what} {given!r} lies outside the years 1 to 9999 in UTC", hint="Give a time inside."
        ) from error


def check_count(number: object, what: str) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 1_000_000:
        raise UsageError(f"{what} is {_shown(number)}, expected a whole number from 1 to 1000000")
    return number


def read_turns(
    said: Said | Sequence[Said],
    *,
    time: When,
    session: str,
    role: str,
    speaker: str,
    source: str,
    now: datetime,
) -> list[Turn]:
    """The turns in what was said, in order. System prompts and turns without words hold nothing to remember
    and are passed over in a list; alone they are refused."""
    given = now if time is None else check_time(time)
    defaults = Turn(
        "",
        given,
        check_name(session, "session"),
        check_role(role),
        check_name(speaker, "speaker"),
        check_name(source, "source"),
        {},
    )
    if isinstance(said, str | Mapping):
        turn = _turn(said, defaults, "the turn")
        if not turn.text.strip():
            raise UsageError(f"the turn is {turn.text!r}: there are no words to remember")
        if turn.role == "system":
            raise UsageError(
                "a system prompt is not remembered", hint='Give what was said, with role "user".'
            )
        return [turn]
    if not isinstance(said, list | tuple):
        raise UsageError(
            f"what was said is {_shown(said)}, expected text, a message or a list of messages",
            hint='For example [{"role": "user", "content": "My dog is called Biscuit."}]',
        )
    turns = [_turn(message, defaults, f"message {number}") for number, message in enumerate(said)]
    return [turn for turn in turns if turn.text.strip() and turn.role != "system"]


def check_role(role: object) -> Role:
    role = _ROLE_NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        raise UsageError(f"role is {_shown(role)}, expected one of {', '.join(ROLES)}")
    return role


def _turn(message: object, defaults: Turn, what: str) -> Turn:
    if isinstance(message, str):
        return defaults._replace(text=check_text(message, what))
    if not isinstance(message, Mapping):
        raise UsageError(f"{what} is {_shown(message)}, expected text or an object with role and content")
    unknown = [key for key in message if key not in _MESSAGE_KEYS]
    if unknown:
        raise UsageError(
            f"{what} has the unknown key {unknown[0]!r}, expected {', '.join(sorted(_MESSAGE_KEYS))}",
            hint='Put what you want to keep beside the words into "meta".',
        )
    if "content" in message and "text" in message:
        raise UsageError(f'{what} has both "content" and "text", expected one of them')
    if "content" not in message and "text" not in message:
        raise UsageError(f'{what} has no "content"')
    content = message["content"] if "content" in message else message["text"]
    name = message.get("speaker", message.get("name"))
    time = message.get("time")
    return Turn(
        text=check_text(_joined(content, what), f"the content of {what}"),
        time=defaults.time if time is None else check_time(time, f"the time of {what}"),
        session=check_name(message.get("session", defaults.session), f"the session of {what}"),
        role=check_role(message.get("role", defaults.role)),
        speaker=defaults.speaker if name is None else check_name(name, f"the speaker of {what}"),
        source=check_name(message.get("source", defaults.source), f"the source of {what}"),
        meta=_meta(message.get("meta"), what),
    )


def _joined(content: object, what: str) -> object:
    """Content as text; a list of text parts, as chat endpoints write it, is joined. None (a pure tool call)
    holds no words."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    parts: list[str] = []
    for part in content:
        if (
            not isinstance(part, Mapping)
            or part.get("type") != "text"
            or not isinstance(part.get("text"), str)
        ):
            raise UsageError(
                f"the content of {what} has the part {_shown(part)}, only text parts are remembered"
            )
        parts.append(str(part["text"]))
    return "\n".join(parts)


def _meta(meta: object, what: str) -> dict[str, Scalar]:
    if meta is None:
        return {}
    if not isinstance(meta, Mapping):
        raise UsageError(f"the meta of {what} is {_shown(meta)}, expected an object of plain values")
    size = 0
    for key, value in meta.items():
        plain = value is None or isinstance(value, str | bool | int | float)
        if isinstance(value, float) and not math.isfinite(value):
            plain = False
        if isinstance(value, int) and abs(value) >= 2**63:
            plain = False
        if not isinstance(key, str) or not plain:
            raise UsageError(
                f"the meta of {what} holds {key!r}: {_shown(value)}, expected text, whole or finite numbers, "
                "true, false or null under a text"
            )
        size += len(key) + (len(value) if isinstance(value, str) else 8)
    if size > MAX_META:
        raise UsageError(f"the meta of {what} has {size} characters, at most {MAX_META} are kept")
    return dict(meta)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def without_password(url: str) -> str:
    """An address as it may be shown; a path is shown as it is."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    login, at, place = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}{':***' if ':' in login else ''}{at}{place}"
