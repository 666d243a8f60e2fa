"""Looking after a person's memory: sessions as they stand, counts, checks of identity and links, repair.

Everything here follows from the records; the medium's own soundness is asked of the store.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mnemon.memory import forgetting
from mnemon.memory.forgetting import Chosen, Holdings
from mnemon.memory.records import Episode, Fact, Item, ProfileVersion, Session, episode_id, item_id
from mnemon.memory.seams import Forget, MemoryStore, TotalsOf

_MOST_EQUAL = 256  # equal turns in one batch that can be told to be themselves
MOST_PROBLEMS = 100  # lines; a file damaged all over is one finding, not a million


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What there is of one person, and what works on it."""

    user: str
    episodes: int
    facts: int
    sessions: int
    summaries: int
    profiles: int
    feedback: int
    items: int
    events: int
    vectors: Mapping[str, int]  # by model
    first: datetime | None
    last: datetime | None
    store: Mapping[str, str | int]  # of the whole database: bytes on disk are everybody's
    embedder: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a check found. Sound when there are no problems."""

    checked: int
    problems: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.problems


def sessions(episodes: Iterable[Episode], stored: Iterable[Session]) -> list[Session]:
    """Conversations in order of their beginning: bounds from the turns, summaries from the store."""
    summaries = {one.id: one for one in stored}
    bounds: dict[str, Session] = {}
    for episode in episodes:  # in time order
        one = bounds.get(episode.session)
        if one is None:
            one = summaries.get(episode.session) or Session(id=episode.session)
            one = replace(one, started=episode.time, turns=0)
        bounds[episode.session] = replace(one, ended=episode.time, turns=one.turns + 1)
    return [*bounds.values(), *(one for name, one in summaries.items() if name not in bounds)]


def stats(store: MemoryStore, user: str, *, embedder: str, note: str) -> Stats:
    totals = store.read(user, TotalsOf())
    count = totals.records.get
    return Stats(
        user=user,
        episodes=count("episode", 0),
        facts=count("fact", 0),
        sessions=totals.sessions,
        summaries=count("session", 0),
        profiles=count("profile", 0),
        feedback=count("feedback", 0),
        items=count("item", 0),
        events=totals.events,
        vectors=totals.vectors,
        first=totals.first,
        last=totals.last,
        store=store.describe(),
        embedder=embedder,
        note=note,
    )


def verify(store: MemoryStore, user: str, holdings: Holdings) -> Findings:  # noqa: ARG001
    problems = [f"database: {line}" for line in store.verify()]
    problems += identity_problems(holdings.episodes, holdings.items)
    problems += [
        line for fact in holdings.facts for line in evidence_problems(fact, _by_id(holdings.episodes))
    ]
    problems += _links(holdings)
    problems += _revisions(holdings.facts)
    problems += _places(holdings.episodes)
    if len(problems) > MOST_PROBLEMS:
        problems = [*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more"]
    checked = sum(
        len(part)
        for part in (
            holdings.episodes,
            holdings.facts,
            holdings.sessions,
            holdings.profiles,
            holdings.feedback,
            holdings.items,
        )
    )
    return Findings(checked=checked, problems=tuple(problems))


def repair(store: MemoryStore, user: str, holdings: Holdings, *, at: datetime) -> list[str]:
    """Take out claims without evidence and summaries of what is gone; episodes are never touched. Also makes
    the store overwrite what deletions may have left."""
    by_id = _by_id(holdings.episodes)
    unsupported = frozenset(fact.id for fact in holdings.facts if any(evidence_problems(fact, by_id)))
    known = {*by_id, *(fact.id for fact in holdings.facts)}
    dangling = {source for one in holdings.sessions for source in one.sources if source not in known}
    dangling |= {source for one in holdings.profiles for source in one.sources if source not in known}
    plan = forgetting.plan(Chosen(frozenset(dangling), unsupported), holdings, at=at, texts=lambda _: set())
    # Always a batch of its own, even an empty one: applying it scrubs the files.
    operations = [replace(one, hashes=None) for one in plan.operations if isinstance(one, Forget)] or [
        Forget([])
    ]
    store.apply(user, operations, action="repair", at=at)
    return [
        *(f"took out the claim without evidence {fact.id}: {fact.text}" for fact in plan.facts),
        *(f"took out a derived {one.record_kind} of what is gone" for one in plan.others),
    ]


def _by_id(episodes: Sequence[Episode]) -> dict[str, Episode]:
    return {episode.id: episode for episode in episodes}


def identity_problems(episodes: Sequence[Episode], items: Sequence[Item] = ()) -> list[str]:
    return [
        *(
            f"episode {episode.id}: its words are not those it was given its id for"
            for episode in episodes
            if not _is_own(episode)
        ),
        *(
            f"item {item.id}: its name is not the one it was given its id for"
            for item in items
            if item.id != item_id(item.namespace, item.name)
        ),
    ]


def _is_own(episode: Episode) -> bool:
    """Whether the id is that of the words. Which of several equal turns of a batch it is was not kept: all
    numbers are tried, nearly always the first fits."""
    return any(
        episode.id
        == episode_id(
            episode.text,
            episode.time,
            session=episode.session,
            role=episode.role,
            speaker=episode.speaker,
            occurrence=number,
        )
        for number in range(_MOST_EQUAL)
    )


def evidence_problems(fact: Fact, by_id: Mapping[str, Episode]) -> list[str]:
    if not fact.quotes:
        return [f"fact {fact.key}: it quotes nothing"]
    problems = []
    for name, words, start in fact.quotes:
        episode = by_id.get(name)
        if episode is None:
            problems.append(f"fact {fact.key}: the episode it quotes, {name}, is not there")
        elif episode.text[start : start + len(words)] != words:
            problems.append(f"fact {fact.key}: its quote {words[:60]!r} does not stand in {name}")
    return problems


def _links(holdings: Holdings) -> list[str]:
    known = {one.id for one in holdings.episodes} | {one.id for one in holdings.facts}
    derived: list[Session | ProfileVersion] = [*holdings.sessions, *holdings.profiles]
    return [
        f"{one.record_kind} {one.key!r}: its source {source} is not there"
        for one in derived
        for source in one.sources
        if source not in known
    ]


def _revisions(facts: Sequence[Fact]) -> list[str]:
    standing = Counter(fact.id for fact in facts if fact.superseded_at is None)
    return [f"fact {name}: {count} revisions stand at once" for name, count in standing.items() if count > 1]


def _places(episodes: Sequence[Episode]) -> list[str]:
    places = Counter((episode.session, episode.position) for episode in episodes)
    return [
        f"session {session!r}: {count} turns have place {place}"
        for (session, place), count in places.items()
        if count > 1
    ]
