"""The profile: who a person is, in sections, each statement with the words it rests on, and their persona.

Plain frozen data with a JSON form (the body of a stored version). Knows no store and no model.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from mnemon.errors import DataError, UsageError
from mnemon.memory import Quote
from mnemon.profiles.conditions import QueryKind, query_kind
from mnemon.profiles.persona import EMPTY, Persona
from mnemon.profiles.persona_file import from_dict, to_dict

Section = Literal[
    "who they are",
    "people",
    "preferences",
    "constraints",
    "routines",
    "goals",
    "things",
    "events",
    "recently",
    "mood",
]
SECTIONS: tuple[Section, ...] = get_args(Section)
Source = Literal["fact", "session", "hand", "model"]
FORMAT = 1
# What a reply should suit whatever the question is.
_ALWAYS: frozenset[str] = frozenset({"preferences", "constraints"})
_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One thing that a profile says. `key` names what it is about: a fact, a session, an edit."""

    section: Section
    text: str
    key: str
    quotes: tuple[Quote, ...] = ()
    evidence: tuple[str, ...] = ()  # ids of further records, where there are no words to quote
    said_at: datetime | None = None
    confidence: float = 1.0
    sensitive: str = ""  # the category; "" for what is not
    source: Source = "fact"

    def __str__(self) -> str:
        day = f" ({self.said_at:%Y-%m-%d})" if self.said_at is not None else ""
        return f"{self.text}{day}"


@dataclass(frozen=True, kw_only=True)
class ProfileDiff:
    """What a later profile says that an earlier one did not, and the other way round."""

    came: tuple[Statement, ...]
    went: tuple[Statement, ...]
    persona: str  # changes of the persona, one a line; "" for none

    def __bool__(self) -> bool:
        return bool(self.came or self.went or self.persona)

    def __str__(self) -> str:
        lines = [*(f"- {one.text}" for one in self.went), *(f"+ {one.text}" for one in self.came)]
        return "\n".join([*lines, *([self.persona] if self.persona else [])]) or "No difference."


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Statements in the order of their sections, and the persona learnt beside them."""

    statements: tuple[Statement, ...] = ()
    persona: Persona = EMPTY
    recorded_at: datetime | None = None
    version: str = ""
    allowed: frozenset[str] = field(default_factory=frozenset)  # sensitive categories that may steer

    def __bool__(self) -> bool:
        return bool(self.statements or self.persona)

    def __str__(self) -> str:
        parts = [
            "\n".join([f"{section}:", *(f"  {one}" for one in found)])
            for section, found in self.sections.items()
        ]
        if self.persona:
            parts.append("\n".join(["how to answer:", *(f"  {one}" for one in self.persona.leanings)]))
        return "\n".join(parts) or "Nothing is known yet."

    @property
    def sections(self) -> Mapping[str, list[Statement]]:
        """Statements by section; sections without any are left out."""
        found: dict[str, list[Statement]] = {}
        for section in SECTIONS:
            inside = [one for one in self.statements if one.section == section]
            if inside:
                found[section] = inside
        return found

    def about(self, query: str = "", *, limit: int = 8, allow: Collection[str] = ()) -> list[str]:
        """Lines that a reply should suit: preferences and constraints, and what shares words with the
        question, those first. What is sensitive is left out unless its category is allowed."""
        allowed = self.allowed | frozenset(allow)
        open_ = [one for one in self.statements if not one.sensitive or one.sensitive in allowed]
        asked = _words(query)
        shared = {one.key: len(asked & _words(one.text)) for one in open_}
        kind: QueryKind = query_kind(query)
        chosen = [one for one in open_ if one.section in _ALWAYS or shared[one.key] or kind == "abstraction"]
        chosen.sort(key=lambda one: (-shared[one.key], one.section not in _ALWAYS, -one.confidence))
        return list(dict.fromkeys(one.text for one in chosen))[:limit]

    def why(self, words: str) -> list[Statement]:
        """Statements by key, or those that hold all these words."""
        by_key = [one for one in self.statements if one.key == words.strip()]
        wanted = _words(words)
        if not by_key and not wanted:
            raise UsageError(f"{words!r} holds no words to look for.", hint="Give words of a statement.")
        return by_key or [one for one in self.statements if wanted <= _words(one.text)]

    def diff(self, other: "Profile") -> ProfileDiff:
        """What changes from this profile to the other."""
        mine, theirs = ({(one.section, one.text) for one in p.statements} for p in (self, other))
        changed = self.persona.diff(other.persona)
        return ProfileDiff(
            came=tuple(one for one in other.statements if (one.section, one.text) not in mine),
            went=tuple(one for one in self.statements if (one.section, one.text) not in theirs),
            persona=str(changed) if changed else "",
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of the episodes, facts and feedback that it rests on."""
        found: dict[str, None] = {}
        for one in self.statements:
            found.update(dict.fromkeys([*(quote.episode_id for quote in one.quotes), *one.evidence]))
            if one.source == "fact":
                found[one.key] = None
        for leaning in self.persona.leanings:
            found.update(dict.fromkeys(leaning.evidence))
        return tuple(found)

    def to_body(self) -> str:
        """As JSON, the same text for the same profile."""
        data = {
            "format": FORMAT,
            "statements": [statement_dict(one) for one in self.statements],
            "persona": to_dict(self.persona),
            "allowed": sorted(self.allowed),
        }
        return json.dumps(data, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_body(cls, body: str, *, recorded_at: datetime | None = None, version: str = "") -> "Profile":
        try:
            data = json.loads(body)
            if data.get("format", FORMAT) > FORMAT:
                raise DataError(
                    f"A profile of format {data['format']} is newer than this mnemon, which reads {FORMAT}.",
                    hint="Update mnemon, or make the profile anew: `mnemon profile refresh`.",
                )
            statements = tuple(statement_from(one) for one in data.get("statements", ()))
            persona = from_dict(data["persona"], "the stored persona") if "persona" in data else EMPTY
            allowed = frozenset(data.get("allowed", ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"A stored profile cannot be read: {error}.") from error
        return cls(
            statements=statements, persona=persona, recorded_at=recorded_at, version=version, allowed=allowed
        )


def statement_dict(one: Statement) -> dict[str, Any]:
    return {
        "section": one.section,
        "text": one.text,
        "key": one.key,
        "quotes": [list(quote) for quote in one.quotes],
        "evidence": list(one.evidence),
        "said_at": one.said_at.isoformat() if one.said_at is not None else None,
        "confidence": one.confidence,
        "sensitive": one.sensitive,
        "source": one.source,
    }


def statement_from(data: Mapping[str, Any]) -> Statement:
    return Statement(
        section=data["section"],
        text=data["text"],
        key=data["key"],
        quotes=tuple(Quote(*quote) for quote in data["quotes"]),
        evidence=tuple(data["evidence"]),
        said_at=datetime.fromisoformat(data["said_at"]) if data["said_at"] is not None else None,
        confidence=data["confidence"],
        sensitive=data["sensitive"],
        source=data["source"],
    )


def in_order(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """By section, the surest first, the newest first among equals."""

    def place(one: Statement) -> tuple[int, float, float, str]:
        said = one.said_at.timestamp() if one.said_at is not None else 0.0
        return SECTIONS.index(one.section), -one.confidence, -said, one.key

    return tuple(sorted(statements, key=place))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.rstrip("s") for word in _WORD.findall(text.casefold()) if word not in _COMMON)


_COMMON = frozenset(
    {"the", "user", "and", "for", "with", "what", "how", "does", "did", "you", "are", "can", "should"}
)
