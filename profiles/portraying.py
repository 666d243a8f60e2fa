"""Statements out of records: which section a fact belongs to, what of it may be kept, what a session adds.

A template over facts, without a model: the fact's own sentence, its quotes and its date.
"""

from collections.abc import Mapping
from datetime import datetime

from mnemon.memory import Episode, Fact, Session
from mnemon.profiles.profile import Section, Statement
from mnemon.profiles.sensitive import sensitive, stated

_ATTRIBUTES: dict[str, Section] = {
    **dict.fromkeys(
        (
            "allergic to",
            "intolerant to",
            "diet",
            "avoids",
            "refuses to",
            "sensitive to",
            "condition",
            "afraid of",
        ),
        "constraints",
    ),
    **dict.fromkeys(("likes", "dislikes", "prefers", "interested in"), "preferences"),
    **dict.fromkeys(("wants", "plan", "learning"), "goals"),
    **dict.fromkeys(("has", "uses", "plays"), "things"),
    "habit": "routines",
}
_KINDS: dict[str, Section] = {
    "preference": "preferences",
    "relation": "people",
    "event": "events",
    "plan": "goals",
    "attribute": "who they are",
}
# What is shown of a section, newest first; of the others the MOST surest. A profile is not the archive.
LIMITS: dict[Section, int] = {"events": 8, "recently": 5, "mood": 3}
MOST = 40
SUMMARY_WORDS = 40


def section_of(fact: Fact) -> Section:
    if fact.subject.casefold() != "user":
        return "people"
    if fact.attribute in _ATTRIBUTES:
        return _ATTRIBUTES[fact.attribute]
    if fact.attribute.startswith("favo"):
        return "preferences"
    return _KINDS[fact.kind]


def from_fact(fact: Fact, said: Mapping[str, Episode], before: Statement | None) -> Statement | None:
    """The statement for a current fact; None where it may not be kept. `said` holds the episodes at hand;
    what an older one said is known from the statement that stood before."""
    if fact.status != "current" or fact.superseded_at is not None or not fact.quotes:
        return None
    if any(said[quote.episode_id].role != "user" for quote in fact.quotes if quote.episode_id in said):
        return None
    category = sensitive(fact.text, fact.value, attribute=fact.attribute)
    words = [quote.words for quote in fact.quotes]
    if category and not stated(category, words, attribute=fact.attribute):
        return None
    times = [said[quote.episode_id].time for quote in fact.quotes if quote.episode_id in said]
    if before is not None and before.said_at is not None:
        times.append(before.said_at)
    return Statement(
        section=section_of(fact),
        text=fact.text,
        key=fact.id,
        quotes=fact.quotes,
        said_at=max(times, default=fact.valid_from or fact.recorded_at),
        confidence=round(fact.confidence, 4),
        sensitive=category,
    )


def from_session(session: Session, ended: datetime | None) -> Statement | None:
    """What a conversation was about, in the first words of its summary."""
    words = session.summary.split()
    if not words:
        return None
    text = " ".join(words[:SUMMARY_WORDS]) + ("…" if len(words) > SUMMARY_WORDS else "")
    return Statement(
        section="recently",
        text=text,
        key=f"session:{session.id}",
        evidence=session.sources,
        said_at=ended,
        sensitive=sensitive(text),
        source="session",
    )
