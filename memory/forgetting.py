"""What goes when something is forgotten: a plan that follows the links from an episode or a claim to
everything that was derived from it. Pure: records in, one operation out; nothing is read or written here.
"""

import json
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from mnemon.errors import UsageError
from mnemon.memory.decay import RetentionRule, expired
from mnemon.memory.indexing import text_hash
from mnemon.memory.records import (
    Episode,
    Fact,
    Feedback,
    Item,
    ProfileVersion,
    Record,
    Reference,
    Session,
    Suppression,
    canonical_words,
    is_id,
    reference,
)
from mnemon.memory.seams import Forget, Operation, Put


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """Everything a person has that may hold or cite words. Facts with all their revisions."""

    episodes: Sequence[Episode]
    facts: Sequence[Fact]
    sessions: Sequence[Session] = ()
    profiles: Sequence[ProfileVersion] = ()
    feedback: Sequence[Feedback] = ()
    items: Sequence[Item] = ()
    images: Sequence[Record] = ()  # older states and what was taken back: what only the log holds


class Chosen(NamedTuple):
    """Ids of the episodes and claims that are to go."""

    episodes: frozenset[str]
    facts: frozenset[str]
    others: frozenset[Reference] = (
        frozenset()
    )  # summaries, profiles, feedback and items that hold the words themselves
    older: frozenset[Reference] = frozenset()  # items that held the words once: only the log still does


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What a `forget` takes with it. Empty: nothing was found."""

    episodes: tuple[Episode, ...] = ()
    facts: tuple[Fact, ...] = ()  # the latest known revision of each claim that goes
    trimmed: tuple[Fact, ...] = ()  # claims that lose a quote or an end, as they are afterwards
    others: tuple[Record, ...] = ()  # summaries, profile versions, feedback, items
    operations: tuple[Operation, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.operations)


def named(target: str, holdings: Holdings) -> Chosen:
    """By id, or by words: what holds all of them as whole words in any case. Literal on purpose: what is
    found by likeness should not be deleted by likeness."""
    if is_id(target.strip()):
        name = target.strip()
        return Chosen(
            frozenset(one.id for one in (*holdings.episodes, *holdings.images) if one.id == name),
            frozenset(one.id for one in (*holdings.facts, *holdings.images) if one.id == name),
            frozenset(reference(one) for one in _items(holdings) if one.id == name),
        )
    words = set(_words(target))
    if not words:
        raise UsageError(
            f"{target!r} holds no words to look for", hint="Give an id, or words of what to forget."
        )
    everything: list[Record] = [*holdings.episodes, *holdings.facts, *_derived(holdings), *holdings.images]
    found = [one for one in everything if words <= set(_words(_prose(one)))]
    items = {reference(one) for one in holdings.items if words <= set(_words(_prose(one)))}
    return Chosen(
        frozenset(one.id for one in found if isinstance(one, Episode)),
        frozenset(one.id for one in found if isinstance(one, Fact)),
        frozenset(reference(one) for one in found if isinstance(one, Session | ProfileVersion | Feedback))
        | items,
        frozenset(reference(one) for one in found if isinstance(one, Item)) - items,
    )


def _derived(holdings: Holdings) -> list[Session | ProfileVersion | Feedback]:
    return [*holdings.sessions, *holdings.profiles, *holdings.feedback]


def _items(holdings: Holdings) -> list[Item]:
    """The items, those that are only in the log, too."""
    return [*holdings.items, *(one for one in holdings.images if isinstance(one, Item))]


def _older(holdings: Holdings, images: Sequence[Reference]) -> list[Item]:
    """Older states of items whose images go; they were embedded once."""
    gone = set(images)
    return [one for one in holdings.images if isinstance(one, Item) and reference(one) in gone]


def _prose(record: Record) -> str:
    match record:
        case Episode():
            return record.text
        case Fact():
            return f"{record.subject} {record.text} {record.value}"
        case Session():
            return record.summary
        case ProfileVersion():
            return f"{record.body} {record.note}"
        case Feedback():
            return " ".join((record.query, record.note, *record.good, *record.bad))
        case Item():
            place = " ".join((*record.namespace, record.name, *(record.words or ())))
            return f"{place} {json.dumps(dict(record.content), ensure_ascii=False)}"
        case _:
            return ""


def overdue(rules: Sequence[RetentionRule], holdings: Holdings, now: datetime) -> Chosen:
    standing = [fact for fact in holdings.facts if fact.superseded_at is None]
    gone = expired(rules, holdings.episodes, standing, now=now)
    return Chosen(frozenset(gone.episodes), frozenset(gone.facts))


def plan(
    chosen: Chosen,
    holdings: Holdings,
    *,
    at: datetime,
    texts: Callable[[Sequence[Record]], set[str]],
) -> Forgotten:
    """Everything that goes with these episodes and claims. `texts` gives the texts that an index embeds of
    some records: what it embeds no longer must lose its vectors."""
    episodes = [one for one in holdings.episodes if one.id in chosen.episodes]
    revisions, rewritten = _facts(holdings.facts, chosen)
    staying = {one.id for one in rewritten}
    gone = {one.id for one in revisions} - staying
    # A claim that was ended by words that are forgotten is open again.
    rewritten = _reopened(holdings.facts, rewritten, gone | chosen.episodes, skip=gone)
    others = _others(holdings, chosen, gone)
    doomed: list[Record] = [*episodes, *revisions, *others]
    images = _images(holdings, chosen, gone)
    if not doomed and not rewritten and not images:
        return Forgotten()
    return Forgotten(
        episodes=tuple(episodes),
        facts=tuple(_latest(one for one in revisions if one.id in gone)),
        trimmed=tuple(_latest(rewritten)),
        others=tuple(others),
        operations=(
            Forget(
                [reference(one) for one in doomed],
                rewritten,
                images,
                _hashes([*doomed, *_older(holdings, images)], holdings, texts),
            ),
            # Only what was asked for itself is kept from coming back: a claim without words cannot.
            *(Put(Suppression(id=name, recorded_at=at)) for name in sorted(chosen.facts & gone)),
        ),
    )


def _hashes(
    doomed: Sequence[Record], holdings: Holdings, texts: Callable[[Sequence[Record]], set[str]]
) -> list[bytes]:
    """Texts that were embedded with what goes in place and are not without it. An index may join a turn with
    its neighbours, so whole sessions are compared."""
    keys = {reference(one) for one in doomed}
    touched = {one.session for one in doomed if isinstance(one, Episode)}
    near: list[Record] = [one for one in holdings.episodes if one.session in touched]
    near += [one for one in doomed if not isinstance(one, Episode)]
    left = [one for one in near if reference(one) not in keys]
    # A text that also stands elsewhere is embedded again: one vector too few costs a moment.
    return [text_hash(text) for text in sorted(texts(near) - texts(left))]


def _facts(facts: Sequence[Fact], chosen: Chosen) -> tuple[list[Fact], list[Fact]]:
    """Revisions that go, and revisions that stay with fewer quotes."""
    going: list[Fact] = []
    staying: list[Fact] = []
    supported = {
        fact.id
        for fact in facts
        if fact.id not in chosen.facts
        and any(quote.episode_id not in chosen.episodes for quote in fact.quotes)
    }
    for fact in facts:
        left = tuple(quote for quote in fact.quotes if quote.episode_id not in chosen.episodes)
        lost = len(fact.quotes) - len(left)
        if fact.id in chosen.facts or (lost and (not left or fact.id not in supported)):
            going.append(fact)
        elif lost:
            staying.append(replace(fact, quotes=left, count=max(len(left), fact.count - lost)))
    return going, staying


def _reopened(
    facts: Sequence[Fact], rewritten: Sequence[Fact], enders: Set[str], *, skip: Set[str]
) -> list[Fact]:
    by_key = {fact.key: fact for fact in rewritten}
    for fact in facts:
        if fact.closed_by in enders and fact.id not in skip:
            fact = by_key.get(fact.key, fact)
            by_key[fact.key] = replace(fact, valid_to=None, status="current", closed_by="")
    return list(by_key.values())


def _others(holdings: Holdings, chosen: Chosen, facts: Set[str]) -> list[Record]:
    """Summaries, profile versions and feedback that cite what goes or hold its words."""
    sessions = {episode.session for episode in holdings.episodes if episode.id in chosen.episodes}
    said = _said(holdings, chosen)
    cited: list[Record] = [
        one for one in _derived(holdings) if _cites(one, chosen, facts, sessions) or _repeats(one, said)
    ]
    return cited + [one for one in holdings.items if reference(one) in chosen.others]


def _images(holdings: Holdings, chosen: Chosen, facts: Set[str]) -> list[Reference]:
    """What only the log holds of it: taken-back turns and claims, older summaries."""
    gone, said = facts | chosen.facts, _said(holdings, chosen)
    found: dict[Reference, None] = {}
    for one in holdings.images:
        match one:
            case Episode():
                hit = one.id in chosen.episodes
            case Fact():
                quoted = {quote.episode_id for quote in one.quotes}
                hit = one.id in gone or bool(quoted & chosen.episodes) or one.closed_by in gone
            case Session() | ProfileVersion() | Feedback():
                hit = _cites(one, chosen, gone, frozenset()) or _repeats(one, said)
            case Item():
                hit = reference(one) in chosen.others | chosen.older
            case _:
                hit = False
        if hit:
            found[reference(one)] = None
    return list(found)


def _said(holdings: Holdings, chosen: Chosen) -> set[str]:
    everything: list[Record] = [*holdings.episodes, *holdings.images]
    return {one.text for one in everything if isinstance(one, Episode) and one.id in chosen.episodes}


def _repeats(record: Record, said: Set[str]) -> bool:
    """Feedback keeps the question that it is about, and that may be the turn that goes."""
    return isinstance(record, Feedback) and record.query in said


def _cites(
    record: Session | ProfileVersion | Feedback, chosen: Chosen, facts: Set[str], sessions: Set[str]
) -> bool:
    gone = chosen.episodes | facts
    if reference(record) in chosen.others:
        return True
    match record:
        case Session():
            # A summary that does not say what it was made from may hold anything its session said.
            return bool(gone & set(record.sources)) or (not record.sources and record.id in sessions)
        case ProfileVersion():
            return bool(gone & set(record.sources))
        case Feedback():
            return bool(gone & {*record.good, *record.bad})


def _latest(facts: Iterable[Fact]) -> list[Fact]:
    last: dict[str, Fact] = {}
    for fact in facts:
        if fact.id not in last or fact.revision > last[fact.id].revision:
            last[fact.id] = fact
    return list(last.values())


def _words(text: str) -> list[str]:
    letters = (letter if letter.isalnum() else " " for letter in canonical_words(text))
    return "".join(letters).split()
