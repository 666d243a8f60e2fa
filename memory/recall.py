"""Answers of recall: hits with the words, when and by whom they were said, and why they were found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np

from mnemon.errors import UsageError
from mnemon.memory.decay import fading
from mnemon.memory.indexing import Uses, summary_id
from mnemon.memory.records import Episode, Fact, Record, Role, Session, canonical_words
from mnemon.memory.seams import MemoryStore, Select
from mnemon.retrievers import Embedder, Ranked, Unit

UNITS: frozenset[Unit] = frozenset({"turn", "session", "fact", "summary"})
SPARE = 20  # hits beyond those asked for, so that one that has not faded can come before one that has
FADE = 0.2  # what fading to nothing would cost, in units of the fused score (standard deviations)
# Cosine from which a fact is about words that do not stand in it. Seen with all-MiniLM over short facts:
# "pet" and a dog 0.47, "job" and an engineer 0.33, "animals" and a beagle 0.30; what has nothing to do with
# each other up to 0.25.
ABOUT = 0.3


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One recalled piece. `id` is what `forget`, `history` and feedback take; `source` says where it came
    from."""

    id: str
    text: str
    time: datetime | None
    session: str
    speaker: str
    role: Role | None
    score: float
    unit: Unit
    source: str
    why: Mapping[str, float | str] = field(default_factory=dict)


def faded(found: Sequence[Hit], uses: Uses, *, now: datetime) -> list[Hit]:
    """The hits again, those that are old and were never used a little lower. `why` says how much."""
    again: list[Hit] = []
    for hit in found:
        count, last = uses.get(hit.id, (0, None))
        said = hit.time or now
        fade = fading(last_used=max(said, last or said), uses=1 + count, now=now)
        score = hit.score - FADE * (1 - fade.factor)
        again.append(replace(hit, score=score, why={**hit.why, "fading": fade.reason}))
    return sorted(again, key=lambda hit: -hit.score)


def check_units(units: Collection[str]) -> frozenset[Unit]:
    if isinstance(units, str) or not units or not set(units) <= UNITS:
        raise UsageError(f"units is {units!r}, expected some of {', '.join(sorted(UNITS))}")
    return frozenset(unit for unit in UNITS if unit in units)


def hits(store: MemoryStore, user: str, ranked: Sequence[Ranked], *, note: str) -> list[Hit]:
    """The records of what was found, best first. What has gone since is left out."""
    records = _records(store, user, ranked)
    conversations = _conversations(store, user, ranked)
    found: list[Hit] = []
    for place in ranked:
        if place.unit == "session":
            if place.id in conversations:
                found.append(_conversation(conversations[place.id], place, note))
            continue
        record = records.get(place.id)
        if record is not None:
            found.append(_hit(record, place, note))
    return found


def _records(store: MemoryStore, user: str, ranked: Sequence[Ranked]) -> dict[str, Record]:
    turns = [place.id for place in ranked if place.unit == "turn"]
    facts = [place.id for place in ranked if place.unit == "fact"]
    records: dict[str, Record] = {}
    if turns:
        records |= {found.id: found for found in store.read(user, Select(kind="episode", keys=turns))}
    if facts:
        records |= {found.id: found for found in store.read(user, Select(kind="fact", keys=facts))}
    if any(place.unit == "summary" for place in ranked):
        wanted = {place.id for place in ranked}
        sessions = store.read(user, Select(kind="session"))
        records |= {summary_id(one.id): one for one in sessions if summary_id(one.id) in wanted}
    return records


class Conversation(NamedTuple):
    """What is shown of a session that was found."""

    first: Episode
    best: Episode  # the turn in it that matched best
    summary: str


def _conversations(store: MemoryStore, user: str, ranked: Sequence[Ranked]) -> dict[str, Conversation]:
    wanted = {place.id: place.why for place in ranked if place.unit == "session"}
    if not wanted:
        return {}
    stored = store.read(user, Select(kind="session", keys=list(wanted)))
    summaries = {one.id: one.summary for one in stored if isinstance(one, Session)}
    named = {str(why[turn]) for why in wanted.values() for turn in ("first_turn", "best_turn") if turn in why}
    turns = _episodes(store.read(user, Select(kind="episode", keys=list(named)))) if named else {}
    found: dict[str, Conversation] = {}
    for name, why in wanted.items():
        first, best = (turns.get(str(why.get(turn))) for turn in ("first_turn", "best_turn"))
        if first is None:  # gone since, or not named
            first = next(
                iter(_episodes(store.read(user, Select(kind="episode", session=name))).values()), None
            )
        if first is not None:
            found[name] = Conversation(first, best or first, summaries.get(name, ""))
    return found


def _episodes(records: Sequence[Record]) -> dict[str, Episode]:
    return {one.id: one for one in records if isinstance(one, Episode)}


def _conversation(found: Conversation, place: Ranked, note: str) -> Hit:
    """What is shown of a session is its summary, or the turn in it that matched best."""
    return Hit(
        id=place.id,
        text=found.summary or found.best.text,
        time=found.first.time,
        session=place.id,
        speaker="" if found.summary else found.best.speaker or found.best.role,
        role=None if found.summary else found.best.role,
        score=place.score,
        unit="session",
        source="session",
        why={**place.why, **({"note": note} if note else {})},
    )


def _hit(record: Record, place: Ranked, note: str) -> Hit:
    why = {**place.why, **({"note": note} if note else {})}
    match record:
        case Episode():
            return Hit(
                id=record.id,
                text=record.text,
                time=record.time,
                session=record.session,
                speaker=record.speaker or record.role,
                role=record.role,
                score=place.score,
                unit="turn",
                source=record.source,
                why=why,
            )
        case Fact():
            quoted = " | ".join(quote.words for quote in record.quotes)
            return Hit(
                id=record.id,
                text=record.text,
                time=record.valid_from or record.recorded_at,
                session="",
                speaker=record.subject,
                role=None,
                score=place.score,
                unit="fact",
                source=record.made_by,
                why={**why, "quote": quoted},
            )
        case _:
            summary = record.summary if isinstance(record, Session) else ""
            return Hit(
                id=place.id,
                text=summary,
                time=record.recorded_at,
                session=record.id,
                speaker="",
                role=None,
                score=place.score,
                unit="summary",
                source="summary",
                why=why,
            )


def true_at(fact: Fact, moment: datetime) -> bool:
    return (fact.valid_from is None or fact.valid_from <= moment) and (
        fact.valid_to is None or moment < fact.valid_to
    )


def about(words: str, facts: Sequence[Fact], *, embedder: Embedder | None) -> list[Fact]:
    """The facts that hold the words, then, with an embedder, those that are near them in meaning."""
    wanted = set(canonical_words(words).split())
    literal = [fact for fact in facts if wanted <= set(_plain(fact).split())]
    rest = [fact for fact in facts if fact not in literal]
    if embedder is None or not rest:
        return literal
    vectors = embedder.embed_texts([fact.text for fact in rest])
    nearness = vectors @ embedder.embed_queries([words])[0]
    order = [int(place) for place in np.argsort(-nearness, kind="stable") if nearness[place] >= ABOUT]
    return literal + [rest[place] for place in order]


def _plain(fact: Fact) -> str:
    words = f"{fact.subject} {fact.attribute} {fact.value} {fact.text}"
    return canonical_words("".join(letter if letter.isalnum() else " " for letter in words))
