"""One person's memory: the handle through which everything is said, found, corrected and forgotten.

A handle reaches one person's rows and no others: the user id is set when it is made and goes with every call
to the store. It composes store, retriever and extractor; it knows no language model and no SQL.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from mnemon.errors import UsageError
from mnemon.memory import forgetting, history, recall, transfer, upkeep
from mnemon.memory.decay import RetentionRule
from mnemon.memory.diff import Diff, diff_of, differences
from mnemon.memory.forgetting import Chosen, Forgotten, Holdings
from mnemon.memory.indexing import Index, StoredEmbedder
from mnemon.memory.inputs import Said, When, check_count, check_name, check_text, check_time, read_turns
from mnemon.memory.items import Items
from mnemon.memory.later import LATER, Sliced, TimeIsUp, Until
from mnemon.memory.portrait import Portrait, ProfileView
from mnemon.memory.recall import Hit
from mnemon.memory.records import (
    Episode,
    Fact,
    Feedback,
    FeedbackAbout,
    Item,
    ProfileVersion,
    Record,
    Session,
    content_id,
)
from mnemon.memory.seams import (
    BlobNamed,
    DropVectors,
    Erase,
    Event,
    HeadOf,
    Images,
    KeepBlob,
    Log,
    Operation,
    Put,
    Select,
)
from mnemon.memory.upkeep import Findings, Stats
from mnemon.memory.writing import Knowledge, admitted, episodes_from, known, settled, signed, write
from mnemon.retrievers import Query

if TYPE_CHECKING:
    from mnemon.memory.memory import Parts

R = TypeVar("R", bound=Record)


class Person:
    """Made by `Memory.for_user`. Safe to share between threads."""

    def __init__(self, user: str, parts: "Parts", index: Index, embedder: StoredEmbedder | None) -> None:
        self.user = user
        self._parts = parts
        self._store = parts.store
        self._index = index
        self._embedder = embedder
        self._knowledge = Knowledge(parts.store, user)
        self._portrait = Portrait(parts.store, user, parts.profiler, clock=parts.clock)
        self.items = Items(parts.store, user, parts.retriever, embedder, clock=parts.clock)

    def __repr__(self) -> str:
        return f"Person({self.user!r})"

    # --- saying and finding

    def remember(
        self,
        said: Said | Sequence[Said],
        *,
        time: When = None,
        session: str = "",
        role: str = "user",
        speaker: str = "",
        source: str = "",
    ) -> list[str]:
        """Keep what was said: a text, a message or a list of messages, in one transaction. It is on the disk
        when this returns. Gives the turns' ids; a turn that is there already keeps its id and is not written
        again."""
        now = self._parts.clock()
        turns = read_turns(
            said, time=time, session=session, role=role, speaker=speaker, source=source, now=now
        )
        episodes = episodes_from(admitted(turns, self._parts.tag), now=now)
        if episodes:
            write(
                self._store,
                self.user,
                episodes,
                knowledge=self._knowledge,
                extractor=self._parts.extractor,
                integrate=self._parts.integrate,
                now=now,
            )
            self._index.expect(len(episodes))
        return [episode.id for episode in episodes]

    def would_remember(self, said: Said | Sequence[Said]) -> list[str]:
        """Ids of the turns that `remember` would write of these, without what is there already. Nothing is
        done."""
        now = self._parts.clock()
        turns = read_turns(said, time=None, session="", role="user", speaker="", source="", now=now)
        episodes = episodes_from(admitted(turns, self._parts.tag), now=now)
        there = known(self._store, self.user, episodes)
        return [episode.id for episode in episodes if episode.id not in there]

    def recall(
        self,
        query: str,
        k: int = 5,
        *,
        time: When = None,
        before: When = None,
        units: Collection[str] = ("turn",),
    ) -> list[Hit]:
        """The best k pieces for a question, best first. `time` is when it is asked (now): "last week" is
        meant from there. `before` leaves out what was said at or after it. `units`: "turn", "session"
        (its `id` is the session's name), "fact", "summary"."""
        check_text(query, "the query")
        check_count(k, "k")
        asked = self._parts.clock() if time is None else check_time(time)
        wanted = recall.check_units(units)
        if not query.strip():
            return []
        limit = None if before is None else check_time(before, "before")
        question = Query(text=query, k=k + recall.SPARE, time=asked, units=wanted, before=limit)
        ranked, uses = self._index.search(question)
        note = LATER if self._index.lacks_embeddings else self._parts.note
        found = recall.hits(self._store, self.user, ranked, note=note)
        return recall.faded(found, uses, now=asked)[:k]

    def facts(
        self,
        about: str | None = None,
        *,
        as_of: When = None,
        known_at: When = None,
        closed: bool = False,
    ) -> list[Fact]:
        """What is known. `as_of`: what was true then; `known_at`: what was known then; `closed`: also what is
        no longer true. `about` keeps facts that hold these words or, with an embedder, are near them."""
        at = None if known_at is None else check_time(known_at, "known_at")
        found = self._all(Fact, Select(kind="fact", known_at=at))
        if as_of is not None:
            moment = check_time(as_of, "as_of")
            found = [fact for fact in found if recall.true_at(fact, moment)]
        elif not closed:
            moment = at or self._parts.clock()
            found = [fact for fact in found if fact.valid_to is None or fact.valid_to > moment]
        if about is None:
            return found
        if not check_text(about, "about").strip():
            raise UsageError(
                f"about is {about!r}: there are no words in it", hint="Leave it out for all facts."
            )
        return recall.about(about, found, embedder=self._embedder)

    def history(self, fact_id: str) -> list[Fact]:
        """Every revision of the claim and of those about the same thing, in the order in which they were
        known."""
        claim = self._all(Fact, Select(kind="fact", keys=[check_name(fact_id, "fact id")], revisions=True))
        if not claim:
            raise UsageError(
                f"There is no fact {fact_id!r}.", hint="`mnemon facts` lists facts with their ids."
            )
        slot = claim[-1].slot
        every = self._all(Fact, Select(kind="fact", revisions=True))
        same = [fact for fact in every if fact.slot == slot]
        return sorted(same, key=lambda fact: (fact.recorded_at, fact.id, fact.revision))

    def timeline(
        self,
        *,
        session: str | None = None,
        since: When = None,
        until: When = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Episode]:
        """Turns in the order in which they were said."""
        query = Select(
            kind="episode",
            session=None if session is None else check_name(session, "session"),
            since=None if since is None else check_time(since, "since"),
            until=None if until is None else check_time(until, "until"),
            limit=None if limit is None else check_count(limit, "limit"),
            newest_first=newest_first,
        )
        return self._all(Episode, query)

    def sessions(self) -> list[Session]:
        """The conversations in order of their beginning, with their summaries where there are any."""
        return upkeep.sessions(
            self._all(Episode, Select(kind="episode")), self._all(Session, Select(kind="session"))
        )

    # --- what was written, and back again

    def log(self, limit: int = 20) -> list[Diff]:
        """The last writes, newest first."""
        check_count(limit, "limit")
        return [diff_of(event) for event in self._store.read(self.user, Log(limit=limit))]

    def diff(self, event: int | None = None) -> Diff | None:
        """The last write, or the one of that number, as what came, went and changed. None: nothing was
        written."""
        found = self._store.read(self.user, Log(number=_event_number(event)))
        if event is not None and not found:
            raise UsageError(f"There is no write number {event}.", hint="`mnemon diff --log` lists them.")
        return diff_of(found[0]) if found else None

    def undo(self, event: int | None = None) -> Diff:
        """Take back the last write that has not been taken back, or the one of that number. An undo is a
        write too: taking it back by its number brings the words again. What was forgotten cannot be brought
        back."""
        number = _event_number(event)

        def attempt() -> Diff:
            head = self._store.read(self.user, HeadOf())
            target = history.target(self._store, self.user, number)
            operations = history.inverse(self._store, self.user, target)
            return diff_of(self._apply(operations, "undo", if_version=head.version, undoes=target.number))

        return settled(attempt, self.user)

    def consolidate(self, *, dry_run: bool = False) -> Diff:
        """Tidy up: merge what was said again, close what is no longer true, summarise sessions. In one
        transaction; a dry run writes nothing and gives the same diff."""

        def attempt() -> Diff:
            now = self._parts.clock()
            snapshot = history.snapshot(self._store, self.user)
            extractor = self._parts.later_extractor
            used = [name for one in self.feedback_log("retrieval") for name in one.good]
            refresh = partial(self._portrait.after, snapshot) if self._portrait.on else None
            tidied = self._parts.consolidate(
                snapshot, extractor=extractor, at=now, used=used, refresh=refresh
            )
            # Somebody who was erased while this was put off does not come back by it.
            operations = signed(tidied, extractor) if snapshot.head.version else []
            if dry_run or not operations:
                changes = history.preview(self._store, self.user, operations)
                return Diff(event=0, action="consolidate", at=now, differences=differences(changes))
            return diff_of(self._apply(operations, "consolidate", at=now, if_version=snapshot.head.version))

        done = settled(attempt, self.user)
        if self._portrait.on and not dry_run:
            self._portrait.keep()
        return done

    # --- forgetting

    def would_forget(self, target: str) -> Forgotten:
        """What `forget` would take with it; nothing is done."""
        check_text(target, "what to forget")
        return self._plan(lambda holdings: forgetting.named(target, holdings))[1]

    def forget(self, target: str) -> Forgotten:
        """Forget an episode or a fact by its id, or everything that holds all these words, with all that was
        derived from it, in the database's files too. This cannot be undone."""
        check_text(target, "what to forget")
        return self._forget("forget", lambda holdings: forgetting.named(target, holdings))

    def forget_session(self, session: str) -> Forgotten:
        """Forget a conversation: its turns and everything that was derived from them. This cannot be
        undone."""
        check_name(session, "session")

        def choose(holdings: Holdings) -> Chosen:
            turns = (one.id for one in holdings.episodes if one.session == session)
            return Chosen(frozenset(turns), frozenset())

        return self._forget("forget", choose)

    def would_expire(self, rules: Sequence[RetentionRule]) -> Forgotten:
        """What `expire` would take with it; nothing is done."""
        return self._plan(lambda holdings: forgetting.overdue(rules, holdings, self._parts.clock()))[1]

    def expire(self, rules: Sequence[RetentionRule]) -> Forgotten:
        """Forget what retention rules let go, with all that was derived from it."""
        return self._forget(
            "expire", lambda holdings: forgetting.overdue(rules, holdings, self._parts.clock())
        )

    def erase(self) -> None:
        """Remove the person: every row, embedding and index, the log, backups that mnemon made of this
        database, and whatever the hooks given to `Memory` keep elsewhere. This cannot be undone."""
        self._apply([Erase()], "erase")
        for also in self._parts.also_erase:
            also(self.user)

    # --- taking along, looking after

    def export(self, path: str | Path) -> Path:
        """Everything but derived data as a zip; see docs/memory.md for its format."""
        return transfer.export(self._store, self.user, Path(path), at=self._parts.clock())

    def import_(self, path: str | Path) -> Diff:
        """Take in an export. What is there already stays; importing twice changes nothing."""
        records = transfer.read(Path(path))

        def attempt() -> Diff:
            head = self._store.read(self.user, HeadOf())
            operations = transfer.missing(self._store, self.user, records)
            return diff_of(self._apply(operations, "import", if_version=head.version))

        done = settled(attempt, self.user)
        self._index.expect(len(records))
        return done

    def stats(self) -> Stats:
        """Counts, bytes, and which embedder and retriever are at work."""
        return upkeep.stats(self._store, self.user, embedder=self._parts.embedder_name, note=self._parts.note)

    def verify(self, *, repair: bool = False) -> Findings:
        """Recompute identities, check every link and quote, and the medium. `repair` takes out what stands on
        nothing, empties the log of deleted bytes and rebuilds what is derived."""
        found = upkeep.verify(self._store, self.user, self._holdings())
        if not repair:
            return found
        repaired = upkeep.repair(self._store, self.user, self._holdings(), at=self._parts.clock())
        self.reindex()
        left = upkeep.verify(self._store, self.user, self._holdings())
        return Findings(checked=left.checked, problems=left.problems, repaired=tuple(repaired))

    def reindex(self) -> int:
        """Drop and rebuild what is derived for recall: embeddings of the present model and indexes. Gives the
        number of embeddings."""
        self._apply([DropVectors()], "reindex")
        self._index.reset()
        self._index.build()
        return sum(self.stats().vectors.values())

    def embed(self, until: Until = lambda: False) -> bool:
        """Compute the embeddings that recall lacks, for a while or until told to stop. Gives whether none is
        missing any more."""
        parts = self._parts
        if parts.embedder is None:
            return True
        sliced = Sliced(parts.embedder, until)
        stored = StoredEmbedder(sliced, self._store, self.user, clock=parts.clock)
        try:
            Index(self._store, self.user, parts.retriever, stored, shelf=parts.shelf).level()
        except TimeIsUp:
            return False
        return True

    # --- who the person is

    def profile(self, *, as_of: When = None) -> ProfileView:
        """Who the person is, in sections, each statement with the words it rests on: as of everything that
        is remembered, or as it was taken to be at a time. Reading writes nothing."""
        if as_of is None:
            return self._portrait.now()
        return self._portrait.then(check_time(as_of, "as_of"))

    def refresh_profile(self) -> ProfileView:
        """Keep the profile as a new version, if it says something new. Only what changed since the last one
        is read."""

        def attempt() -> None:
            head, operations = self._portrait.draft()
            if operations:
                self._apply(operations, "profile", if_version=head.version)

        settled(attempt, self.user)
        self._portrait.keep()
        return self._portrait.now()

    def profiles(self) -> list[ProfileVersion]:
        """Versions of the profile, oldest first; `profile(as_of=...)` reads one."""
        return self._portrait.versions()

    def restore_profile(self, version_id: str) -> ProfileView:
        """An older version is the profile again, and what changes from now on is added to it. When something
        is forgotten, the profile is made anew from what is left."""
        chosen = next((one for one in self.profiles() if one.id == version_id), None)
        if chosen is None:
            raise UsageError(
                f"There is no version {version_id!r} of the profile.",
                hint="`mnemon profile history` lists them.",
            )

        def attempt() -> None:
            head, operations = self._portrait.back_to(chosen)
            self._apply(operations, "profile", if_version=head.version)

        settled(attempt, self.user)
        return self._portrait.now()

    # --- what the person thinks of replies

    def feedback(
        self,
        prompt: str,
        chosen: str,
        rejected: str,
        *,
        how: Literal["chosen", "edited", "regenerated"] = "chosen",
        why: str = "",
    ) -> Feedback:
        """Of two replies to a prompt, the person wants `chosen`. "edited": they made it from the rejected
        one; "regenerated": they asked for another."""
        if chosen == rejected:
            raise UsageError("The chosen reply is the rejected one, so nothing was chosen.")
        note = how if not why else f"{how}: {why}"
        return self.keep_feedback("pair", prompt, good=[chosen], bad=[rejected], note=note)

    def rate(self, reply_id: str, rating: float, *, why: str | None = None) -> Feedback:
        """Thumbs for a reply that is remembered: +1 or −1."""
        if rating not in (1, -1):
            raise UsageError(f"rating is {rating!r}, expected +1 or -1")
        found = self._all(Episode, Select(kind="episode", keys=[check_name(reply_id, "reply id")]))
        if not found or found[0].role != "assistant":
            raise UsageError(
                f"There is no reply {reply_id!r}.", hint="A reply is a turn of the assistant's; give its id."
            )
        return self.keep_feedback(
            "reply",
            self._asked(found[0]),
            good=[reply_id] if rating > 0 else [],
            bad=[] if rating > 0 else [reply_id],
            rating=rating,
            note=why or "",
        )

    def feedback_log(self, about: str | None = None) -> list[Feedback]:
        """What was chosen, rated, used and edited, oldest first; `about` keeps one sort."""
        found = self._all(Feedback, Select(kind="feedback"))
        kept = [one for one in found if about is None or one.about == about]
        return sorted(kept, key=lambda one: (one.recorded_at, one.id))

    # --- for those who build on it

    def keep_feedback(
        self,
        about: FeedbackAbout,
        query: str,
        *,
        good: Sequence[str] = (),
        bad: Sequence[str] = (),
        rating: float | None = None,
        note: str = "",
    ) -> Feedback:
        """Any feedback: for "retrieval" the ids of hits that an answer used, for "profile" an edit."""
        now = self._parts.clock()
        parts = [about, check_text(query, "query"), *good, None, *bad, rating, note, now.isoformat()]
        feedback = Feedback(
            id=content_id("b", parts),
            about=about,
            query=query,
            recorded_at=now,
            good=tuple(check_text(one, "good") for one in good),
            bad=tuple(check_text(one, "bad") for one in bad),
            rating=rating,
            note=check_text(note, "note"),
        )
        self._apply([Put(feedback)], "feedback", at=now)
        return feedback

    def keep_derived(self, name: str, body: bytes | None) -> None:
        """Keep a derived blob by name, or drop it with None. Forgetting drops all of them."""
        self._apply([KeepBlob(name, body)], "derive")

    def derived(self, name: str) -> bytes | None:
        return self._store.read(self.user, BlobNamed(name))

    def nearness(self, text: str, others: Sequence[str]) -> list[float] | None:
        """How near other texts are to one in meaning, as cosines; None without an embedder. Nothing is
        kept."""
        if self._embedder is None or not others:
            return None
        vectors = self._embedder.embed_queries([text, *others])
        return [float(cosine) for cosine in vectors[1:] @ vectors[0]]

    # --- inside

    def _all(self, kind: type[R], query: Select) -> list[R]:  # noqa: ARG002  the type of what is asked for
        return cast(list[R], self._store.read(self.user, query))

    def _asked(self, reply: Episode) -> str:
        """What the person said before a reply."""
        turns = self._all(Episode, Select(kind="episode", session=reply.session))
        before = [one.text for one in turns if one.role == "user" and one.position < reply.position]
        return before[-1] if before else ""

    def _apply(
        self,
        operations: Sequence[Operation],
        action: str,
        *,
        at: datetime | None = None,
        if_version: int | None = None,
        undoes: int | None = None,
    ) -> Event:
        return self._store.apply(
            self.user,
            operations,
            action=action,
            at=at or self._parts.clock(),
            if_version=if_version,
            undoes=undoes,
        )

    def _holdings(self) -> Holdings:
        return Holdings(
            episodes=self._all(Episode, Select(kind="episode")),
            facts=self._all(Fact, Select(kind="fact", revisions=True)),
            sessions=self._all(Session, Select(kind="session")),
            profiles=self._all(ProfileVersion, Select(kind="profile")),
            feedback=self._all(Feedback, Select(kind="feedback")),
            items=self._all(Item, Select(kind="item")),
            images=self._store.read(self.user, Images()),
        )

    def _plan(self, choose: Callable[[Holdings], Chosen]) -> tuple[int, Forgotten]:
        version = self._store.read(self.user, HeadOf()).version
        holdings = self._holdings()
        plan = forgetting.plan(choose(holdings), holdings, at=self._parts.clock(), texts=self._texts)
        return version, plan

    def _texts(self, records: Sequence[Record]) -> set[str]:
        return self._index.texts(records) | self.items.texts(records)

    def _forget(self, action: str, choose: Callable[[Holdings], Chosen]) -> Forgotten:
        def attempt() -> Forgotten:
            version, plan = self._plan(choose)
            if plan:
                self._apply(plan.operations, action, if_version=version)
            return plan

        return settled(attempt, self.user)


def _event_number(event: object) -> int | None:
    if event is None or (isinstance(event, int) and not isinstance(event, bool) and 0 < event < 2**62):
        return event
    raise UsageError(
        f"event is {event!r}, expected the number of a write", hint="`mnemon diff --log` lists them."
    )
