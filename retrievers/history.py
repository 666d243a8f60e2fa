"""The default retriever: one person's history, searched by words and by meaning over turns, windows and
sessions.

It builds windows and sessions itself from the turns it is given. Cheap lanes score every row; the best few
hundred are described by features and ranked. Without an embedder it works by words alone. Knows no person and
no store.
"""

import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import UsageError
from mnemon.retrievers.columns import Columns, Floats, Ints
from mnemon.retrievers.entities import asked as kinds_asked
from mnemon.retrievers.entities import mentions, names
from mnemon.retrievers.features import (
    FEATURES,
    Asked,
    Lanes,
    describe,
    lexical_lanes,
    rough,
    scales,
    standing_orders,
)
from mnemon.retrievers.framing import recalls, subject
from mnemon.retrievers.fusion import hand_set_scores
from mnemon.retrievers.head import Comparison, Head
from mnemon.retrievers.piece_vectors import PieceVectors
from mnemon.retrievers.seams import Document, Embedder, Query, Ranked, Vectors
from mnemon.retrievers.sessions import SESSION_FEATURES, SessionPool, describe_sessions
from mnemon.retrievers.slots import best, check, last_of_each
from mnemon.retrievers.text import Tokenizer
from mnemon.retrievers.threads import one_thread
from mnemon.retrievers.timing import TimeSpan, looks_back, resolve_time
from mnemon.retrievers.trunk import Trunk, shipped_session_trunk, shipped_trunk
from mnemon.retrievers.windows import Rows, pieces, spoken

NO_ROWS = np.zeros(0, np.int64)
POOL = 400  # rows that are described and ranked
HOLE_FRACTION = 4  # rebuild when more than one row in so many is a hole


@dataclass(frozen=True)
class Pool:
    """The best rows of a query before ranking, and what is known of each."""

    ids: list[str]
    features: NDArray[np.float32]  # (pool, features)


@dataclass(frozen=True)
class Choice:
    """Feedback on one search: what helped, and what was shown and did not. Without `rejected`, every
    other candidate of the query counts as passed over."""

    query: Query
    chosen: Sequence[str]
    rejected: Sequence[str] = ()


class HistoryRetriever:
    """A `Retriever` over one person's turns, facts and summaries. Thread-safe.

    `add` takes vectors already computed: one array of (pieces, dimension) per document, as `embed` gives
    them.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        *,
        trunk: Trunk | Literal["shipped", "hand-set"] = "shipped",
        session_trunk: Trunk | None = None,
        head: Head | None = None,
        pool: int = POOL,
    ) -> None:
        self.trunk = _trunk(trunk)
        self.session_trunk = session_trunk or (shipped_session_trunk() if trunk == "shipped" else None)
        self.head = head
        self.embedder = embedder
        self.pool = pool
        self._tokenize = Tokenizer()
        self._lock = threading.RLock()
        self._rows = Rows()
        self._vectors = PieceVectors()

    def __len__(self) -> int:
        return len(self._rows.row_of)

    # -- writing

    def embed(self, documents: Sequence[Document]) -> list[Vectors]:
        """Vectors of each document's pieces: what `add` computes when none are given."""
        if self.embedder is None:
            raise UsageError("This retriever has no embedder, so it cannot embed documents.")
        parts = [pieces(spoken(document)) for document in documents]
        flat = self.embedder.embed_texts([part for found in parts for part in found])
        borders = np.cumsum([len(found) for found in parts])[:-1]
        return [np.asarray(part, np.float32) for part in np.split(flat, borders)]

    def add(self, documents: Sequence[Document], vectors: Sequence[Vectors] | None = None) -> None:
        """Add turns, facts and summaries. Windows and sessions follow from the turns."""
        check(documents)
        if vectors is not None and len(vectors) != len(documents):
            raise UsageError(f"{len(vectors)} vectors were given for {len(documents)} documents.")
        by_id = None if vectors is None else {d.id: v for d, v in zip(documents, vectors, strict=True)}
        documents = [d for d in last_of_each(documents) if d.unit in ("turn", "fact", "summary")]
        if not documents:
            return
        if by_id is not None:
            found: Sequence[Vectors] | None = [np.atleast_2d(by_id[d.id]) for d in documents]
        else:
            found = self.embed(documents) if self.embedder is not None else None
        terms = [self._tokenize(document.text) for document in documents]
        with self._lock:
            for place, document in enumerate(documents):
                self._drop(document.id)
                row = self._rows.append(document, terms[place])
                if found is not None:
                    self._vectors.append(row, found[place])
            self._squeeze()

    def remove(self, ids: Collection[str]) -> None:
        with self._lock:
            for id_ in ids:
                self._drop(id_)
            self._squeeze()

    def _drop(self, id_: str) -> None:
        row = self._rows.drop(id_)
        if row is not None:
            self._vectors.drop(row)

    def _squeeze(self) -> None:
        if self._rows.holes <= max(256, len(self._rows) // HOLE_FRACTION):
            return
        old, vectors = self._rows, self._vectors
        self._rows, self._vectors = Rows(), PieceVectors()
        for row, document in enumerate(old.documents):
            if document is not None:
                fresh = self._rows.append(document, self._tokenize(document.text))
                if (kept := vectors.of(row)) is not None:
                    self._vectors.append(fresh, kept)

    # -- keeping

    @staticmethod
    def time_asked(text: str, now: datetime) -> TimeSpan | None:
        """The span of time that a question speaks of, as the search understands it."""
        return resolve_time(text, now)

    @staticmethod
    def state_code() -> str:
        """Changes with anything that could change what a state holds or means."""
        from mnemon.retrievers.history_state import code

        return code()

    def state(self) -> bytes:
        """The index without its vectors, as bytes. Take it while nothing was removed: a row that was dropped
        leaves its words behind until the index is built again."""
        from mnemon.retrievers.history_state import dump

        with self._lock:
            return dump(self._rows, self._vectors.owners())

    def restore(self, state: bytes, vectors: Vectors | None) -> set[str]:
        """Become what `state` was taken of. `vectors` are those of the pieces in the order in which they were
        embedded, None without an embedder. Gives the ids of the documents."""
        from mnemon.retrievers.history_state import load

        rows, owners = load(state, 0 if vectors is None else len(vectors))
        with self._lock:
            self._rows, self._vectors = rows, PieceVectors()
            if vectors is not None:
                self._vectors.take(vectors, owners)
            return set(rows.row_of)

    # -- reading

    def search(self, query: Query) -> list[Ranked]:
        with self._lock, one_thread():
            columns = self._rows.columns()
            if query.k <= 0 or not columns.alive.any():
                return []
            seen = self._see(query, columns)
            hits = self._rank(query, seen)
            if "session" not in query.units:
                return hits
            return sorted([*hits, *self._sessions(query, seen)], key=lambda hit: -hit.score)[: query.k]

    def _see(self, query: Query, columns: Columns, *, also: Collection[str] = ()) -> "_Seen":
        asked = self._ask(query)
        lanes, in_time = self._lanes(columns, asked, query)
        pool = best(rough(lanes), np.flatnonzero(lanes.eligible), self.pool)
        extra = [row for id_ in also if (row := self._rows.row_of.get(id_)) is not None]
        orders = standing_orders(self._rows, columns, lanes) if not recalls(query.text) else NO_ROWS
        pool = np.union1d(pool, np.concatenate([np.array(extra, np.int64), orders]))
        fresh = None if asked.vector is None else self._fresh(columns, pool)
        features = describe(self._rows, columns, asked, lanes, pool, fresh=fresh, orders=orders)
        return _Seen(columns, asked, lanes, pool, features, self._judge(features), in_time)

    def _fresh(self, columns: Columns, pool: Ints) -> Floats:
        """How unlike the two turns before it each row is, by the mean of its pieces."""
        vectors = self._vectors.wholes(pool)
        before = [self._vectors.wholes(columns.links[step][pool]) for step in (-1, -2)]
        told = np.maximum(*(np.einsum("pd,pd->p", vectors, earlier) for earlier in before))
        return 1.0 - np.asarray(told, np.float64)

    def _judge(self, features: NDArray[np.float32]) -> dict[str, Floats]:
        """The score of each row, and what it is made of."""
        if self.trunk is None:
            return {"score": hand_set_scores(features).astype(np.float64)}
        seen = self.trunk.represent(features)
        shared = self.trunk.scores(seen).astype(np.float64)
        if self.head is None:
            return {"score": shared}
        own = self.head.adjust(seen, self.trunk.basis)
        doubt = self.head.deviation(seen, self.trunk.basis)
        return {"score": shared + own, "trunk": shared, "head": own, "head_deviation": doubt}

    # -- learning

    def learn(self, choices: Sequence[Choice]) -> Head:
        """Take this person's choices into the head. Milliseconds; `head` is then the new posterior."""
        if self.trunk is None:
            raise UsageError(
                "A retriever with hand-set weights cannot learn from choices.",
                hint="Open it with a trunk: HistoryRetriever(embedder).",
            )
        with self._lock:
            found = [pair for choice in choices for pair in self._comparisons(choice)]
            head = self.head or Head.prior(self.trunk.rank)
            self.head = head.fit(found, base=self.trunk.weights, basis=self.trunk.basis)
            return self.head

    def learn_used(self, query: Query, used: Sequence[str], passed_over: Sequence[str] = ()) -> None:
        """`learn` from one search whose answer used these documents."""
        self.learn([Choice(query, used, passed_over)])

    def head_state(self) -> dict[str, object] | None:
        """What was learnt of this person, as plain lists; None before anything was."""
        return None if self.head is None else self.head.state()

    def take_head(self, state: Mapping[str, object] | None) -> None:
        with self._lock:
            self.head = None if state is None else Head.from_state(state)

    def _comparisons(self, choice: Choice) -> list[Comparison]:
        assert self.trunk is not None
        pool = self.describe(choice.query, also=[*choice.chosen, *choice.rejected])
        if not pool.ids:
            return []
        seen = self.trunk.represent(pool.features)
        place = {id_: row for row, id_ in enumerate(pool.ids)}
        chosen = [place[id_] for id_ in choice.chosen if id_ in place]
        rejected = [place[id_] for id_ in choice.rejected if id_ in place and id_ not in choice.chosen]
        if not choice.rejected:
            rejected = [row for row in range(len(pool.ids)) if row not in chosen]
        return [Comparison(seen[row], seen[rejected]) for row in chosen if rejected]

    # -- for training

    def describe(self, query: Query, *, also: Collection[str] = ()) -> Pool:
        """The candidates of a query with their features: what rankers are trained on."""
        with self._lock:
            columns = self._rows.columns()
            if not columns.alive.any():
                return Pool([], np.zeros((0, len(FEATURES)), np.float32))
            seen = self._see(query, columns, also=also)
            return Pool([self._rows.id_at(row) for row in seen.rows.tolist()], seen.features)

    def _ask(self, query: Query) -> Asked:
        said = mentions(query.text, [name for name in self._rows.speakers if name])
        name_terms = {term for word in said.words for term in self._tokenize(word)}
        order = self._tokenize(subject(query.text)) or self._tokenize(query.text)
        content = [term for term in order if term not in name_terms] or order
        vector = None
        if self.embedder is not None and self._vectors.size:
            vector = np.asarray(self.embedder.embed_queries([query.text]), np.float32)[0]
        return Asked(
            terms=dict(Counter(content)),
            order=content,
            vector=vector,
            mentions=said,
            kinds=kinds_asked(query.text),
            names=names(query.text) - said.words,
            span=resolve_time(query.text, query.time) if query.time is not None else None,
            now=query.time,
        )

    def _lanes(self, columns: Columns, asked: Asked, query: Query) -> tuple[Lanes, str]:
        lexical, session, weights = lexical_lanes(self._rows, columns, asked.terms)
        cosines = None
        if asked.vector is not None:
            cosines = self._vectors.cosines(asked.vector, len(self._rows))
        eligible, in_time = _in_time(columns, asked, self._eligible(columns, query), query.text)
        return Lanes(lexical, session, cosines, weights, eligible, scales(columns, lexical, cosines)), in_time

    def _eligible(self, columns: Columns, query: Query) -> NDArray[np.bool_]:
        mask = np.zeros(columns.alive.size, np.bool_)
        if "turn" in query.units or "session" in query.units:
            mask |= columns.turn
        if "fact" in query.units:
            mask |= columns.fact
        if "summary" in query.units:
            mask |= columns.summary
        mask &= columns.alive
        if query.before is not None:
            mask &= ~(columns.time >= query.before.timestamp())
        if query.allowed is not None:
            rows = [row for id_ in query.allowed if (row := self._rows.row_of.get(id_)) is not None]
            allowed = np.zeros_like(mask)
            allowed[rows] = True
            mask &= allowed
        return mask

    def _rank(self, query: Query, seen: "_Seen") -> list[Ranked]:
        if not query.units & {"turn", "fact", "summary"}:
            return []
        columns, pool, features, opinion = seen.columns, seen.rows, seen.features, seen.opinion
        allowed = np.zeros(pool.size, np.bool_)
        for unit, mask in (("turn", columns.turn), ("fact", columns.fact), ("summary", columns.summary)):
            if unit in query.units:
                allowed |= mask[pool]
        order = best(opinion["score"], np.flatnonzero(allowed), query.k)
        hits = []
        for place in order.tolist():
            document = self._rows.documents[int(pool[place])]
            assert document is not None
            why: dict[str, float | str] = {name: float(column[place]) for name, column in opinion.items()}
            if seen.in_time:
                why["time"] = seen.in_time
            why.update(
                (name, float(value)) for name, value in zip(FEATURES, features[place], strict=True) if value
            )
            hits.append(
                Ranked(id=document.id, score=float(opinion["score"][place]), unit=document.unit, why=why)
            )
        return hits

    def _sessions(self, query: Query, seen: "_Seen") -> list[Ranked]:
        """Whole sessions, best first."""
        pool = self._session_pool(query, seen)
        if not pool.sessions.size:
            return []
        place = SESSION_FEATURES.index("turn_top")
        scores = pool.features[:, place].astype(np.float64)
        if self.session_trunk is not None:
            scores = self.session_trunk.scores(self.session_trunk.represent(pool.features)).astype(np.float64)
        hits = []
        for row in best(scores, np.arange(scores.size), query.k).tolist():
            session = int(pool.sessions[row])
            why: dict[str, float | str] = {"score": float(scores[row])}
            if line := self._rows.session_rows[session]:
                why["first_turn"] = self._rows.id_at(line[0])
            theirs = np.flatnonzero(seen.columns.session[seen.rows] == session)
            if theirs.size:
                top = theirs[np.argmax(seen.opinion["score"][theirs])]
                why["best_turn"] = self._rows.id_at(int(seen.rows[top]))
            if seen.in_time:
                why["time"] = seen.in_time
            values = zip(SESSION_FEATURES, pool.features[row], strict=True)
            why.update((name, float(value)) for name, value in values if value)
            hits.append(
                Ranked(id=self._rows.sessions[session], score=float(scores[row]), unit="session", why=why)
            )
        return hits

    def _session_pool(self, query: Query, seen: "_Seen") -> SessionPool:
        scores = np.full(seen.columns.alive.size + 1, float(seen.opinion["score"].min(initial=0.0)))
        scores[seen.rows] = seen.opinion["score"]
        newest = float(np.nanmax(seen.columns.time, initial=0.0))
        now = query.time.timestamp() if query.time is not None else newest
        means = self._vectors.means(seen.columns) if seen.asked.vector is not None else None
        return describe_sessions(seen.columns, seen.lanes, scores, means, seen.asked.vector, now)

    def describe_sessions(self, query: Query) -> Pool:
        """The candidate sessions of a query with their features."""
        with self._lock:
            columns = self._rows.columns()
            if not columns.turn.any():
                return Pool([], np.zeros((0, len(SESSION_FEATURES)), np.float32))
            pool = self._session_pool(query, self._see(query, columns))
            return Pool([self._rows.sessions[int(s)] for s in pool.sessions], pool.features)


@dataclass(frozen=True)
class _Seen:
    """One query's way through the lanes."""

    columns: Columns
    asked: Asked
    lanes: Lanes
    rows: NDArray[np.int64]  # (pool,)
    features: NDArray[np.float32]  # (pool, F)
    opinion: dict[str, Floats]  # by part of the score, (pool,)
    in_time: str  # what a time named in the question did to the search


def _trunk(given: Trunk | Literal["shipped", "hand-set"]) -> Trunk | None:
    if isinstance(given, Trunk):
        return given
    return shipped_trunk() if given == "shipped" else None


def _in_time(
    columns: Columns, asked: Asked, eligible: NDArray[np.bool_], text: str
) -> tuple[NDArray[np.bool_], str]:
    """Rows said in, or telling of, the time that a question about the past names; all of them when there are
    none. And what was done, in words."""
    span = asked.span
    if span is None or not span.explicit or not looks_back(text, span, asked.now):
        return eligible, ""
    start, end = span.told_within()
    told = (columns.told[:, 0] < span.end.timestamp()) & (columns.told[:, 1] > span.start.timestamp())
    within = eligible & (((columns.time >= start) & (columns.time < end)) | told | ~columns.turn)
    if not (within & columns.turn).any():
        return eligible, f"nothing is known of {span.text!r}: searched at all times"
    return within, f"told of {span.text!r}"
