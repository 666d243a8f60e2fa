"""What is remembered: episodes, sessions, facts, profile versions, feedback, items. Plain frozen data.

Identity is content-addressed: the same turn (session, role, speaker, text, instant, occurrence) has the same
id wherever it is written, so remembering it twice is one turn. Nothing here knows a database, a model or a
person's name: a record belongs to whoever's handle it was read from.

Times are timezone-aware. `time` is when something was said; `valid_from`/`valid_to` when it was true in the
world; `recorded_at`/`superseded_at` when this memory knew it.
"""

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, NamedTuple

RecordKind = Literal["episode", "session", "fact", "profile", "feedback", "suppression", "item"]
Role = Literal["user", "assistant", "system", "tool"]
FactKind = Literal["attribute", "preference", "relation", "event", "plan"]
Status = Literal["current", "closed", "disputed"]
FeedbackAbout = Literal["retrieval", "reply", "pair", "profile"]
Scalar = str | int | float | bool | None

FACT_KINDS: tuple[FactKind, ...] = ("attribute", "preference", "relation", "event", "plan")
FEEDBACK_ABOUT: tuple[FeedbackAbout, ...] = ("retrieval", "reply", "pair", "profile")
ROLES: tuple[Role, ...] = ("user", "assistant", "system", "tool")

_ID = re.compile(r"[efspbxi]-[a-z2-7]{26}\Z")


def content_id(prefix: str, parts: Sequence[Scalar]) -> str:
    """128 bits of BLAKE2b over the parts as ASCII JSON: unambiguous between parts, total over all of unicode
    (lone surrogates and NUL are escaped, not refused)."""
    canonical = json.dumps(list(parts), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    digest = hashlib.blake2b(canonical, digest_size=16).digest()
    return f"{prefix}-{base64.b32encode(digest).decode('ascii').rstrip('=').lower()}"


def is_id(text: str) -> bool:
    """True for what `content_id` makes; no sentence a person types looks like this."""
    return _ID.match(text) is not None


def canonical_words(text: str) -> str:
    """One spelling of a fact's field for comparison: NFC, case-folded, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def instant(time: datetime | None) -> str:
    """A time as UTC text, so that two spellings of one instant have one identity."""
    return "" if time is None else time.astimezone(UTC).isoformat()


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One turn, verbatim and immutable. `position` is its place in its session, given by the store on
    writing."""

    record_kind: ClassVar[RecordKind] = "episode"

    id: str
    text: str
    time: datetime
    session: str = ""
    role: Role = "user"
    speaker: str = ""
    source: str = ""  # where it came from: "chat", "cli", a file name
    position: int = -1
    recorded_at: datetime
    meta: Mapping[str, Scalar] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        return self.id


def episode_id(
    text: str,
    time: datetime,
    *,
    session: str = "",
    role: str = "user",
    speaker: str = "",
    occurrence: int = 0,
) -> str:
    """`occurrence` counts equal turns inside one batch from 0: somebody may say "yes" twice in a minute."""
    return content_id("e", [session, role, speaker, text, instant(time), occurrence])


@dataclass(frozen=True, kw_only=True)
class Session:
    """A conversation. Bounds and count are derived from its episodes on reading; the summary is what is
    stored."""

    record_kind: ClassVar[RecordKind] = "session"

    id: str  # the session's own name
    started: datetime | None = None
    ended: datetime | None = None
    turns: int = 0
    summary: str = ""
    sources: tuple[str, ...] = ()  # ids of the episodes that the summary was made from
    made_by: str = ""
    recorded_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.id


class Quote(NamedTuple):
    """Evidence: these exact words stand in that episode, beginning at character `start`."""

    episode_id: str
    words: str
    start: int


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One claim with its evidence. `id` names the claim, `revision` what was known of it from `recorded_at`
    on.

    A claim is never overwritten: a change (closed, counted again, disputed) is the next revision, and the one
    before gets `superseded_at`. The latest revision has `superseded_at` None unless the claim was retracted.
    """

    record_kind: ClassVar[RecordKind] = "fact"

    id: str
    revision: int = 1
    subject: str
    attribute: str
    value: str
    text: str
    kind: FactKind = "attribute"
    valid_from: datetime | None = None
    valid_to: datetime | None = None  # exclusive; None: still true
    recorded_at: datetime
    superseded_at: datetime | None = None
    confidence: float = 1.0
    quotes: tuple[Quote, ...] = ()
    status: Status = "current"
    count: int = 1  # how often it was said
    made_by: str = ""  # the extractor's name
    closed_by: str = ""  # id of the claim or episode that ended or replaced it

    @property
    def key(self) -> str:
        return f"{self.id}/{self.revision}"

    @property
    def slot(self) -> tuple[str, str]:
        """What the claim is about: claims of one slot may close or dispute one another."""
        return canonical_words(self.subject), canonical_words(self.attribute)


def fact_id(subject: str, attribute: str, value: str, valid_from: datetime | None) -> str:
    words = [canonical_words(part) for part in (subject, attribute, value)]
    return content_id("f", [*words, instant(valid_from)])


@dataclass(frozen=True, kw_only=True)
class ProfileVersion:
    """Who the person was taken to be at one time; `body` is JSON of the profiles package."""

    record_kind: ClassVar[RecordKind] = "profile"

    id: str
    body: str
    recorded_at: datetime
    sources: tuple[str, ...] = ()  # ids of episodes and facts it was made from
    made_by: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What a person's answer used, or what they thought of it. `good`/`bad` are ids of episodes or facts, or
    texts compared, as `about` says; for "profile", an edit of it by hand."""

    record_kind: ClassVar[RecordKind] = "feedback"

    id: str
    about: FeedbackAbout
    query: str
    recorded_at: datetime
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    rating: float | None = None
    note: str = ""

    @property
    def key(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """A claim that the person had forgotten: extraction must not bring it back. Holds the claim's id, no
    words."""

    record_kind: ClassVar[RecordKind] = "suppression"

    id: str  # the fact's id
    recorded_at: datetime

    @property
    def key(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True)
class Item:
    """What a program keeps about the person under a namespace and a name: any JSON object. `recorded_at` is
    when it was written last."""

    record_kind: ClassVar[RecordKind] = "item"

    id: str
    namespace: tuple[str, ...]
    name: str
    content: Mapping[str, Any] = field(hash=False)
    words: tuple[str, ...] | None = None  # what it is searched by; None: all of its content; (): by nothing
    made: datetime
    recorded_at: datetime
    ttl: float | None = None  # minutes from the last use to its end
    expires: datetime | None = None

    @property
    def key(self) -> str:
        return self.id


def item_id(namespace: Sequence[str], name: str) -> str:
    return content_id("i", [*namespace, None, name])


Record = Episode | Session | Fact | ProfileVersion | Feedback | Suppression | Item


class Reference(NamedTuple):
    """The address of one stored record."""

    kind: RecordKind
    key: str


def reference(record: Record) -> Reference:
    return Reference(record.record_kind, record.key)
