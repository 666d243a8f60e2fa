"""What a reader of an export gives: conversations as messages that `Person.remember` takes, and what of them
was passed over and why. Knows no person and no format.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

Message = dict[str, Any]  # as `Person.remember` reads them
Progress = Callable[[int, int], None]  # bytes read, bytes in all

MOST_UNREADABLE = 20  # conversations that are named one by one


def no_progress(done: int, total: int) -> None: ...


class Odd(Exception):  # noqa: N818  it is said of a conversation, and caught where conversations are read
    """A conversation that is not what it should be: it is passed over and named."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a file may not say itself."""

    me: str = ""  # the person's name in a chat between people
    chat: str = ""  # what a chat between people is called
    zone: tzinfo = UTC  # of times without an offset
    day_first: bool | None = None  # 05/04 is in April; None: the file must show it
    time: datetime | None = None  # of what has none
    progress: Progress = no_progress


@dataclass(kw_only=True)
class Conversation:
    """Some messages of one session, in order, and how often what was passed over for which reason."""

    session: str
    messages: list[Message] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: str = ""  # where and why, when nothing of it could be read

    def say(
        self,
        text: str,
        *,
        time: datetime,
        source: str,
        role: str = "user",
        speaker: str = "",
        meta: dict[str, Any] | None = None,
    ) -> None:
        """Add a message, unless there are no words in it."""
        if not text.strip():
            self.skipped["message without words"] += 1
            return
        message: Message = {
            "role": role,
            "content": text,
            "time": time,
            "session": self.session,
            "source": source,
        }
        if speaker:
            message["speaker"] = speaker
        if meta:
            message["meta"] = meta
        self.messages.append(message)
