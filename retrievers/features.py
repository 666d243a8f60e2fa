"""What is known of a query and a turn before anything is learnt: lane scores and the features of the pair.

Two steps. `first_pass` scores every row by a few cheap lanes. `describe` then builds the full feature matrix
for the best rows only. Every number is scaled so that it means the same for a history of a hundred or of a
hundred thousand turns: z-scores over the history, or shares of what the query could get.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.retrievers.columns import Columns, Floats, Ints
from mnemon.retrievers.entities import ASKABLE, ASSISTANT_NAMES, USER_NAMES, Mark, Mentions
from mnemon.retrievers.kin import shipped_kin
from mnemon.retrievers.piece_vectors import Cosines
from mnemon.retrievers.segments import groups_of, mean_of_best, near_sums
from mnemon.retrievers.timing import TimeSpan
from mnemon.retrievers.windows import Rows

K1, B = 1.5, 0.75
TURN = (1.0,)
NEAR = (1.0, 0.5)
WIDE = (1.0, 0.6, 0.3)
Put = Callable[[str, NDArray[np.generic]], None]  # a feature's column

KERNELS = {"turn": TURN, "near": NEAR, "wide": WIDE}
AKIN_BESIDE = 0.7  # what a word counts for that stands in the turn before or after
ORDERS = 4  # standing orders that one query takes in

FEATURES = (
    "lex_turn", "lex_near", "lex_wide", "lex_session",  # BM25 over units, z over the history
    "lex_before", "lex_after",  # BM25 of the turn before and after, share of the query's best
    "share_turn", "share_near", "share_wide", "share_session",  # idf-weighted share of query terms found
    "kin_turn", "kin_near",  # the same share, where words akin to the query's count for some of it
    "rarest", "pairs",  # the rarest query term is here; adjacent query terms occur together
    "dense_turn", "dense_near", "dense_session",  # cosine of the best piece, z over the history
    "dense_whole", "dense_first",  # of the mean of all pieces, of the first piece
    "cosine", "cosine_before", "cosine_after", "cosine_whole",  # plain cosines
    "speaker", "speaker_other", "speaker_before",  # said by whom the question is about
    "own", "own_other",  # said by the user, by the assistant
    "fresh",  # unlike the turns before it
    "kind", "kind_near",  # shows what is asked for (when → a date, where → a place ...)
    "when_time", "where_place", "who_person", "many_number", "why_reason", "which_name",
    "names",  # share of the query's names found here
    "asks", "answers", "greets", "first", "shows", "length", "opening",  # what sort of turn it is
    "order",  # says how to answer from now on, and fits: 1 for the one that fits the query best, 1/2 ...
    "in_time", "told_time", "recent", "fact", "summary",
)  # fmt: skip
# What needs an embedder; 0 without one.
DENSE = frozenset(name for name in FEATURES if name.startswith(("dense_", "cosine")) or name == "fresh")
INDEX = {name: place for place, name in enumerate(FEATURES)}


@dataclass(frozen=True)
class Asked:
    """A query as the features see it."""

    terms: dict[str, int]  # stems without speakers' names → count
    order: Sequence[str]  # the same stems in order
    vector: NDArray[np.float32] | None
    mentions: Mentions
    kinds: Mark
    names: frozenset[str]
    span: TimeSpan | None
    now: datetime | None


class Scale(NamedTuple):
    """What is usual over a history."""

    mean: float
    deviation: float  # 0 where nothing differs

    def of(self, values: Floats) -> Floats:
        """z-scores; 0 where nothing differs."""
        if not self.deviation:
            return np.zeros_like(values)
        scaled: Floats = (values - self.mean) / self.deviation
        return scaled


def scale(values: Floats, over: NDArray[np.bool_]) -> Scale:
    """Of the rows in `over`."""
    chosen = values[: over.size] if over.all() else values[: over.size][over]
    if not chosen.size:
        return Scale(0.0, 0.0)
    mean = float(chosen.mean())
    centred = chosen - mean
    deviation = float(np.sqrt(centred @ centred / chosen.size))
    return Scale(mean, deviation if deviation >= 1e-9 else 0.0)


def standard(values: Floats, over: NDArray[np.bool_]) -> Floats:
    """z-scores over the rows in `over`; 0 where they do not differ."""
    return scale(values, over).of(values)


@dataclass(frozen=True)
class Lanes:
    """Scores over all rows. Each is (n + 1,), the last entry 0 for 'no neighbour'."""

    lexical: dict[str, Floats]  # by kernel
    session: Floats  # (sessions,) BM25 of whole sessions
    cosines: Cosines | None
    weights: dict[str, float]  # inverse document frequency of each known term
    eligible: NDArray[np.bool_]  # (n,) rows that may be returned
    scales: dict[str, Scale]  # of each lane: a kernel's, or one of `Cosines`


def scales(columns: Columns, lexical: dict[str, Floats], cosines: Cosines | None) -> dict[str, Scale]:
    lanes = lexical if cosines is None else lexical | cosines._asdict()
    return {name: scale(values, columns.alive) for name, values in lanes.items()}


def damping(lengths: Floats, mean: float) -> Floats:
    """What a count is damped by for its text's length."""
    found: Floats = K1 * (1 - B + B * lengths / max(mean, 1e-9))
    return found


def saturate(counts: Floats, damped: Floats) -> Floats:
    found: Floats = counts * (K1 + 1) / (counts + damped)
    return found


def lexical_lanes(
    rows: Rows, columns: Columns, terms: dict[str, int]
) -> tuple[dict[str, Floats], Floats, dict[str, float]]:
    """BM25 over turns, windows and sessions from one posting list per term; touches only rows near a hit."""
    n = len(rows)
    present = columns.once("present", lambda: max(int(columns.alive.sum()), 1))
    damped, of_session = columns.once("damping", lambda: _dampings(columns, present))
    scores = {name: np.zeros(n + 1) for name in KERNELS}
    scratch = np.zeros(n + 1)
    session_score = np.zeros(columns.sessions)
    weights: dict[str, float] = {}
    for word, repeats in terms.items():
        found, counts = rows.postings(word)
        held = counts.astype(np.float64)
        if len(rows.row_of) < n:
            keep = columns.alive[found]
            found, held = found[keep], held[keep]
        if not found.size:
            continue
        weight = float(np.log1p((present - found.size + 0.5) / (found.size + 0.5)))
        weights[word] = weight
        scores["turn"][found] += repeats * weight * saturate(held, damped["turn"][found])
        for name in ("near", "wide"):
            touched, sums = near_sums(columns.links, found, held, KERNELS[name], scratch)
            # A row that comes twice is written twice, not added to twice.
            scores[name][touched] += repeats * weight * saturate(sums, damped[name][touched])
        by_session = _by_session(columns, found, held)
        holding = int((by_session > 0).sum())
        rarity = float(np.log1p((columns.sessions - holding + 0.5) / (holding + 0.5)))
        session_score += repeats * rarity * saturate(by_session, of_session)
    for values in scores.values():
        values[n] = 0.0
    return scores, session_score, weights


def _dampings(columns: Columns, present: int) -> tuple[dict[str, Floats], Floats]:
    """Of each kernel's windows, (n + 1,), and of sessions."""
    found = {}
    for name, kernel in KERNELS.items():
        lengths = columns.spread(columns.length, kernel)
        found[name] = damping(lengths, float(lengths[:-1].sum()) / present)
    by_session = _by_session(columns, slice(None), columns.length[:-1])
    return found, damping(by_session, float(by_session.mean()) if columns.sessions else 1.0)


def _by_session(columns: Columns, rows: Ints | slice, values: Floats) -> Floats:
    return np.bincount(columns.session[rows], values, columns.sessions).astype(np.float64, copy=False)


def rough(lanes: Lanes) -> Floats:
    """The cheap lanes together, up to a constant: which rows are worth describing. (n + 1,)"""
    chosen = {name: lanes.lexical[name] for name in ("turn", "wide")}
    if lanes.cosines is not None:
        chosen |= {"best": lanes.cosines.best, "whole": lanes.cosines.whole}
    total = np.zeros(lanes.eligible.size + 1)
    for name, values in chosen.items():
        if lanes.scales[name].deviation:
            total += values / lanes.scales[name].deviation
    return total


def standing_orders(rows: Rows, columns: Columns, lanes: Lanes) -> Ints:
    """The user's orders to the assistant that fit the query best, best first: an order seldom shares a word
    with what it is to govern, so these few rows are looked at whatever the lanes say."""
    given = columns.once("orders", lambda: _orders_given(rows, columns))
    here = given[lanes.eligible[given]]
    fit = lanes.lexical["wide"] if lanes.cosines is None else lanes.cosines.best
    return here[np.argsort(-fit[here], kind="stable")[:ORDERS]]


def _orders_given(rows: Rows, columns: Columns) -> Ints:
    """Rows in which a user tells an assistant how to answer from now on."""
    users, assistants = _roles(rows)
    if not users or not assistants:
        return np.zeros(0, np.int64)
    here = np.flatnonzero(columns.marks[:-1] & Mark.ORDERS)
    return here[np.isin(columns.speaker[here], users)]


def _roles(rows: Rows) -> tuple[list[int], list[int]]:
    """Codes of the user and of the assistant among the speakers."""
    return (
        [code for name, code in rows.speakers.items() if name.lower() in USER_NAMES],
        [code for name, code in rows.speakers.items() if name.lower() in ASSISTANT_NAMES],
    )


def describe(
    rows: Rows,
    columns: Columns,
    asked: Asked,
    lanes: Lanes,
    pool: Ints,
    *,
    fresh: Floats | None = None,
    orders: Ints | None = None,
) -> NDArray[np.float32]:
    """The feature matrix of the pool. `fresh` is how unlike the two turns before each is, `orders` are rows
    of `standing_orders`. (pool,) → (pool, features)"""
    matrix = np.zeros((pool.size, len(FEATURES)), np.float32)

    def put(name: str, values: NDArray[np.generic]) -> None:
        matrix[:, INDEX[name]] = values

    _put_lexical(put, rows, columns, asked, lanes, pool)
    if lanes.cosines is not None:
        _put_dense(put, columns, lanes, lanes.cosines, pool)
    if fresh is not None:
        put("fresh", fresh)
    _put_akin(put, rows, columns, asked, lanes, pool)
    if orders is not None:
        fits = np.zeros(len(rows))
        fits[orders] = 0.5 ** np.arange(orders.size)
        put("order", fits[pool])
    _put_turns(put, rows, columns, asked, pool)
    _put_times(put, columns, asked, pool)
    return matrix


def _put_lexical(put: Put, rows: Rows, columns: Columns, asked: Asked, lanes: Lanes, pool: Ints) -> None:
    n = len(rows)
    for name, values in lanes.lexical.items():
        put(f"lex_{name}", lanes.scales[name].of(values[pool]))
    everyone = np.ones(columns.sessions, np.bool_)
    put("lex_session", standard(lanes.session, everyone)[columns.session[pool]])
    total = sum(asked.terms[word] * weight for word, weight in lanes.weights.items())
    unknown = sum(repeats for word, repeats in asked.terms.items() if word not in lanes.weights)
    mean_weight = float(np.mean(list(lanes.weights.values()))) if lanes.weights else 1.0
    total = max(total + unknown * mean_weight, 1e-9)
    turn = lanes.lexical["turn"]
    for name, step in (("lex_before", -1), ("lex_after", 1)):
        put(name, turn[columns.links[step][pool]] / (total * (K1 + 1)) * 2)
    shares = {name: np.zeros(pool.size) for name in ("turn", "near", "wide", "session")}
    rarest = np.zeros(pool.size)
    top = max(lanes.weights.values(), default=1.0)
    held_by: dict[str, NDArray[np.bool_]] = {}
    for word, weight in lanes.weights.items():
        found, _ = rows.postings(word)
        flag = np.zeros(n + 1, np.bool_)
        flag[found] = True
        here = flag[pool]
        held_by[word] = here
        near = here | flag[columns.links[1][pool]] | flag[columns.links[-1][pool]]
        wide = near | flag[columns.links[2][pool]] | flag[columns.links[-2][pool]]
        by_session = np.zeros(columns.sessions, np.bool_)
        by_session[columns.session[found[columns.alive[found]]]] = True
        portion = asked.terms[word] * weight / total
        shares["turn"] += portion * here
        shares["near"] += portion * near
        shares["wide"] += portion * wide
        shares["session"] += portion * by_session[columns.session[pool]]
        rarest = np.maximum(rarest, here * weight / top)
    for name, values in shares.items():
        put(f"share_{name}", values)
    put("rarest", rarest)
    together = [
        (held_by[a] & held_by[b]) * 1.0
        for a, b in zip(asked.order, asked.order[1:], strict=False)
        if a != b and a in held_by and b in held_by
    ]
    put("pairs", np.mean(together, axis=0) if together else np.zeros(pool.size))


def _put_akin(put: Put, rows: Rows, columns: Columns, asked: Asked, lanes: Lanes, pool: Ints) -> None:
    """A term counts wherever it or a word akin to it stands, for as much as the two are alike."""
    kin = shipped_kin()
    n, present = len(rows), max(int(columns.alive.sum()), 1)
    before, after = columns.links[-1][pool], columns.links[1][pool]
    here, near, total = np.zeros(pool.size), np.zeros(pool.size), 0.0
    unknown = float(np.log1p(2 * present + 1))  # of a term that no row holds
    for term in asked.terms:
        best = np.zeros(n + 1)
        for word, likeness in chain(kin.of(term), [(term, 1.0)]):
            best[rows.postings(word)[0]] = likeness
        weight = lanes.weights.get(term, unknown)
        total += weight
        here += weight * best[pool]
        near += weight * np.maximum(best[pool], AKIN_BESIDE * np.maximum(best[before], best[after]))
    put("kin_turn", here / max(total, 1e-9))
    put("kin_near", near / max(total, 1e-9))


def _put_dense(put: Put, columns: Columns, lanes: Lanes, cosines: Cosines, pool: Ints) -> None:
    cosine = cosines.best
    for name, lane in (("turn", "best"), ("whole", "whole"), ("first", "first")):
        put(f"dense_{name}", lanes.scales[lane].of(getattr(cosines, lane)[pool]))
    near = columns.spread(cosine, NEAR)
    put("dense_near", scale(near, columns.turn).of(near[pool]))
    put("cosine", cosine[pool])
    put("cosine_whole", cosines.whole[pool])
    put("cosine_before", cosine[columns.links[-1][pool]])
    put("cosine_after", cosine[columns.links[1][pool]])
    best = session_best(columns, cosine)
    put("dense_session", standard(best, np.ones(columns.sessions, np.bool_))[columns.session[pool]])


def session_best(columns: Columns, values: Floats, top: int = 3) -> Floats:
    """Mean of each session's `top` best rows. (n + 1,) → (sessions,)"""
    groups = columns.once("groups", lambda: groups_of(columns.session, columns.sessions, columns.alive))
    return mean_of_best(values[:-1], groups, top)


def _put_turns(put: Put, rows: Rows, columns: Columns, asked: Asked, pool: Ints) -> None:
    said_by = {code for name, code in rows.speakers.items() if name in asked.mentions.speakers}
    speaker = columns.speaker
    if said_by and len(said_by) < len([name for name in rows.speakers if name]):
        codes = np.array(sorted(said_by))
        put("speaker", np.isin(speaker[pool], codes))
        put("speaker_other", np.isin(speaker[pool], codes, invert=True))
        put("speaker_before", np.isin(speaker[columns.links[-1][pool]], codes))
    users, assistants = _roles(rows)
    if users and assistants:
        put("own", np.isin(speaker[pool], users))
        put("own_other", np.isin(speaker[pool], assistants))
    shown = columns.marks[pool]
    around = columns.marks[columns.links[-1][pool]] | columns.marks[columns.links[1][pool]]
    wanted = [mark for mark in ASKABLE if mark in asked.kinds]
    if wanted:
        put("kind", np.mean([(shown & mark) > 0 for mark in wanted], axis=0))
        put("kind_near", np.mean([(around & mark) > 0 for mark in wanted], axis=0))
    for name, mark in zip(
        ("when_time", "where_place", "who_person", "many_number", "why_reason", "which_name"),
        ASKABLE,
        strict=True,
    ):
        if mark in asked.kinds:
            put(name, ((shown & mark) > 0) * 1.0 - 0.5)
    if asked.names:
        put("names", np.array([len(asked.names & rows.names[row]) for row in pool]) / len(asked.names))
    put("asks", (shown & Mark.ASKS) > 0)
    put("answers", ((columns.marks[columns.links[-1][pool]] & Mark.ASKS) > 0) & ((shown & Mark.ASKS) == 0))
    put("greets", (shown & Mark.GREETS) > 0)
    put("first", (shown & Mark.FIRST) > 0)
    put("shows", (shown & Mark.SHOWS) > 0)
    put("length", np.log1p(columns.length[pool]) / 3)
    put("opening", columns.position[pool] < 2)
    put("fact", columns.fact[pool])
    put("summary", columns.summary[pool])


def _put_times(put: Put, columns: Columns, asked: Asked, pool: Ints) -> None:
    times = columns.time[pool]
    known = ~np.isnan(times)
    if asked.span is not None:
        inside = (times >= asked.span.start.timestamp()) & (times < asked.span.end.timestamp())
        put("in_time", np.where(known, inside, 0.0))
        told = columns.told[pool]
        put(
            "told_time",
            (told[:, 0] < asked.span.end.timestamp()) & (told[:, 1] > asked.span.start.timestamp()),
        )
    newest = asked.now.timestamp() if asked.now is not None else np.nanmax(columns.time, initial=0.0)
    days = np.maximum(newest - np.where(known, times, newest), 0.0) / 86400
    put("recent", 1.0 / (1.0 + days / 30))
