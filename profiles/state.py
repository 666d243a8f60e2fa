"""What a profiler knows between two refreshes, and the profile that follows from it.

Everything is kept by the record it came from, or as a sum, so that a change touches only its own share. Has a
JSON form; knows no store.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mnemon.memory import Episode
from mnemon.profiles.edits import Edit, leaning_of, statement_of
from mnemon.profiles.persona import Leaning, Persona, backed
from mnemon.profiles.persona_file import leaning_dict, leaning_from
from mnemon.profiles.portraying import LIMITS, MOST
from mnemon.profiles.profile import (
    SECTIONS,
    Profile,
    Section,
    Statement,
    in_order,
    statement_dict,
    statement_from,
)
from mnemon.profiles.said import added
from mnemon.profiles.summary import digest
from mnemon.profiles.traits import Trait
from mnemon.profiles.writing_style import Writing

FORMAT = 1
Key = tuple[str, str]  # a trait and its condition


@dataclass
class State:
    statements: dict[str, Statement] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)  # of the facts that statements stand for
    ended: dict[str, datetime] = field(default_factory=dict)  # session → its last turn
    removed: set[str] = field(default_factory=set)  # keys that the person does not want to see again
    said: dict[Key, Leaning] = field(default_factory=dict)
    hand: dict[Key, Leaning] = field(default_factory=dict)
    before: dict[Key, Leaning] = field(default_factory=dict)  # of a version that was gone back to
    dropped: dict[Key, datetime] = field(default_factory=dict)
    writing: Writing = field(default_factory=Writing)
    parents: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    mood: bool = False
    condensed: dict[str, tuple[str, list[Statement]]] = field(
        default_factory=dict
    )  # section → digest, summary
    taste: bytes = b""  # what choices have shown, as `Taste` keeps it

    # --- taking in

    def put(self, key: str, statement: Statement | None) -> None:
        """The statement under a key, or none."""
        if statement is None:
            self.statements.pop(key, None)
        else:
            self.statements[key] = statement

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.statements.pop(key, None)

    def drop_revisions(self, keys: Iterable[str]) -> None:
        """Facts by "id/revision": gone unless another revision of them stands."""
        for key in keys:
            name, _, revision = key.rpartition("/")
            if self.revisions.get(name) == int(revision):
                del self.revisions[name]
                self.statements.pop(name, None)

    def met(self, turn: Episode) -> None:
        last = self.ended.get(turn.session)
        if last is None or last < turn.time:
            self.ended[turn.session] = turn.time

    def hear(self, wish: Leaning) -> None:
        """A wish that was said. What was said later stands, also when it is read first."""
        standing = self.said.get(wish.key)
        if standing is not None and _time(wish) < _time(standing) and standing.weight * wish.weight < 0:
            return
        self.said[wish.key] = added(standing, wish)

    def edit(self, edit: Edit) -> None:
        match edit.kind:
            case "set":
                leaning = leaning_of(edit)
                self.hand[leaning.key] = leaning
            case "drop":
                self.dropped[edit.name, edit.made.note] = edit.made.recorded_at
            case "add":
                self.statements[edit.made.id] = statement_of(edit)
            case "remove":
                self.removed.add(edit.name)
            case "under":
                self.parents = edit.made.good
            case "allow":
                self.allowed = edit.made.good
            case "mood":
                self.mood = bool(edit.made.rating)

    def restore(self, profile: Profile) -> None:
        """As a version of before has it. Sums begin anew; what they had shown then is kept as it was."""
        self.statements = {one.key: one for one in profile.statements}
        self.revisions = {key: rev for key, rev in self.revisions.items() if key in self.statements}
        self.removed = set()
        by_origin: dict[str, dict[Key, Leaning]] = {}
        for one in profile.persona.leanings:
            by_origin.setdefault(one.origin, {})[one.key] = one
        self.hand, self.said = by_origin.pop("hand", {}), by_origin.pop("said", {})
        self.before = {key: one for found in by_origin.values() for key, one in found.items()}
        self.dropped, self.writing, self.taste, self.condensed = {}, Writing(), b"", {}
        self.parents, self.allowed = profile.persona.parents, tuple(profile.allowed)

    # --- what follows

    def profile(self, traits: Iterable[Trait], chosen: Sequence[Leaning] = ()) -> Profile:
        """The profile; `chosen` are leanings learnt from choices."""
        written = {one.key: one for one in self.writing.leanings(traits)}
        leanings: dict[Key, Leaning] = {}
        for source in (self.hand, self.said, {one.key: one for one in chosen}, written, self.before):
            for key, one in source.items():
                if not self._is_dropped(one):
                    standing = leanings.get(key)
                    leanings[key] = backed(standing, one) if standing is not None else one
        ordered = sorted(leanings.values(), key=lambda one: (-abs(one.weight) * one.confidence, one.key))
        return Profile(
            statements=self._shown(),
            persona=Persona(leanings=tuple(map(_rounded, ordered)), parents=self.parents),
            allowed=frozenset(self.allowed),
        )

    def _is_dropped(self, one: Leaning) -> bool:
        at = self.dropped.get(one.key)
        return at is not None and (one.since is None or one.since <= at)

    def _shown(self) -> tuple[Statement, ...]:
        """With the sections that a model has joined, as long as they say the same."""
        shown: list[Statement] = []
        listed = self.sections()
        for name in SECTIONS:
            inside = listed[name]
            made_from, summary = self.condensed.get(name, ("", []))
            shown += summary if inside and made_from == digest(inside) else inside
        return tuple(one for one in shown if one.key not in self.removed)

    def _listed(self) -> tuple[Statement, ...]:
        kept: list[Statement] = []
        seen: set[tuple[str, str]] = set()
        for one in in_order([one for key, one in self.statements.items() if key not in self.removed]):
            if one.section == "mood" and not self.mood:
                continue
            if (one.section, one.text) not in seen:
                seen.add((one.section, one.text))
                kept.append(one)
        beyond: set[str] = set()
        for section in SECTIONS:
            inside = [one for one in kept if one.section == section]
            if section in LIMITS:
                inside.sort(key=_said_at, reverse=True)
            beyond.update(one.key for one in inside[LIMITS.get(section, MOST) :])
        return tuple(one for one in kept if one.key not in beyond)

    def sections(self) -> dict[Section, list[Statement]]:
        """The statements of each section, before a model has joined them."""
        found: dict[Section, list[Statement]] = {name: [] for name in SECTIONS}
        for one in self._listed():
            found[one.section].append(one)
        return found

    # --- its JSON form

    def dump(self) -> bytes:
        data = {
            "format": FORMAT,
            "statements": [statement_dict(one) for one in self.statements.values()],
            "revisions": self.revisions,
            "ended": {session: last.isoformat() for session, last in self.ended.items()},
            "removed": sorted(self.removed),
            **{
                name: [leaning_dict(one) for one in found.values()]
                for name, found in (("said", self.said), ("hand", self.hand), ("before", self.before))
            },
            "dropped": [[*key, at.isoformat()] for key, at in self.dropped.items()],
            "writing": self.writing.to_dict(),
            "parents": list(self.parents),
            "allowed": list(self.allowed),
            "mood": self.mood,
            "condensed": {
                name: [made_from, [statement_dict(one) for one in found]]
                for name, (made_from, found) in self.condensed.items()
            },
            "taste": base64.b64encode(self.taste).decode("ascii"),
        }
        return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def load(cls, state: bytes | None) -> "State | None":
        """None for no state, or for one of another format: it is derived, so it is made anew."""
        if state is None:
            return None
        data: dict[str, Any] = json.loads(state)
        if data.get("format") != FORMAT:
            return None
        leanings = {
            name: {one.key: one for one in map(leaning_from, data[name])}
            for name in ("said", "hand", "before")
        }
        return cls(
            statements={one.key: one for one in map(statement_from, data["statements"])},
            revisions=data["revisions"],
            ended={session: datetime.fromisoformat(last) for session, last in data["ended"].items()},
            removed=set(data["removed"]),
            dropped={(trait, when): datetime.fromisoformat(at) for trait, when, at in data["dropped"]},
            writing=Writing.from_dict(data["writing"]),
            parents=tuple(data["parents"]),
            allowed=tuple(data["allowed"]),
            mood=data["mood"],
            condensed={
                name: (made_from, [statement_from(one) for one in found])
                for name, (made_from, found) in data["condensed"].items()
            },
            taste=base64.b64decode(data["taste"]),
            **leanings,
        )


def _rounded(one: Leaning) -> Leaning:
    """Four digits: what differs by less is the same to a reader, and no reason for a new version."""
    return replace(one, weight=round(one.weight, 4), confidence=round(one.confidence, 4))


def _time(one: Leaning) -> float:
    return one.since.timestamp() if one.since is not None else 0.0


def _said_at(one: Statement) -> tuple[float, int]:
    return (one.said_at.timestamp() if one.said_at is not None else 0.0), -SECTIONS.index(one.section)
