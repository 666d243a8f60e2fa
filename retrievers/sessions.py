"""Ranking whole sessions: what their turns scored, what they are about, and what came after them.

A session is worth reading again when its turns match, when it is recent, when no later session about the
same thing has taken its place, and when it belongs to what the best matches belong to. Knows no text; works
on the lanes' arrays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnemon.retrievers.columns import NONE, Columns, Floats, Ints
from mnemon.retrievers.features import Lanes, session_best
from mnemon.retrievers.slots import best

SESSION_FEATURES = (
    "lex", "lex_turn", "lex_wide", "turn_best", "turn_top",  # BM25 of the session; its best turns
    "dense_best", "dense_top", "dense_mean", "dense_open", "dense_close",  # cosines: its turns, its mean
    "newest", "recent_rank", "recent_days", "age_log",  # how long ago, in sessions and in days
    "replaced", "replaced_by_better", "thread", "thread_last", "size",  # later sessions about the same thing
    "linked_since", "begun_before", "taken_up_since",  # its place among what the question is about
)  # fmt: skip
CANDIDATES = 200  # sessions that are described
ALIKE = 0.55  # cosine of two sessions' means from which they count as about the same thing


@dataclass(frozen=True)
class SessionPool:
    sessions: Ints  # (s,) session numbers
    features: NDArray[np.float32]  # (s, SESSION_FEATURES)


def describe_sessions(
    columns: Columns,
    lanes: Lanes,
    turn_scores: Floats,
    means: NDArray[np.float32] | None,
    vector: NDArray[np.float32] | None,
    now: float,
) -> SessionPool:
    """turn_scores (n + 1,) are the ranker's, low where a turn was not in its pool."""
    n = columns.alive.size
    open_ = np.flatnonzero(lanes.eligible & columns.turn)
    present = np.unique(columns.session[open_])
    if not present.size:
        return SessionPool(present, np.zeros((0, len(SESSION_FEATURES)), np.float32))
    hidden = np.ones(n + 1, np.bool_)
    hidden[open_] = False
    aggregate = _Aggregates(columns, hidden, present)
    lex = _z(lanes.session[present])
    rough = lex + _z(aggregate.best(turn_scores))
    if present.size > CANDIDATES:
        keep = np.sort(best(rough, np.arange(present.size), CANDIDATES))
        present, lex = present[keep], lex[keep]
        aggregate = _Aggregates(columns, hidden, present)
    table: dict[str, Floats] = {
        "lex": lex,
        "lex_turn": _z(aggregate.best(lanes.lexical["turn"])),
        "lex_wide": _z(aggregate.best(lanes.lexical["wide"])),
        "turn_best": _z(aggregate.best(turn_scores)),
        "turn_top": _z(aggregate.top(turn_scores)),
        "size": np.log1p(aggregate.count) / 3,
    }
    table.update(_ages(columns, hidden, present, now))
    if lanes.cosines is not None and means is not None and vector is not None:
        table.update(_meanings(columns, lanes.cosines.best, aggregate, means[present] @ vector))
        table.update(_threads(table, means[present]))
        table.update(_links(table, means[present]))
    matrix = np.zeros((present.size, len(SESSION_FEATURES)), np.float32)
    for place, name in enumerate(SESSION_FEATURES):
        if name in table:
            matrix[:, place] = table[name]
    return SessionPool(present, matrix)


def _z(values: Floats) -> Floats:
    deviation = float(values.std())
    scaled: Floats = (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros_like(values)
    return scaled


class _Aggregates:
    """Best and mean of best of a row score, by session."""

    def __init__(self, columns: Columns, hidden: NDArray[np.bool_], present: Ints) -> None:
        self._columns, self._hidden, self._present = columns, hidden, present
        rows = np.flatnonzero(~hidden[:-1])
        self.count = np.bincount(columns.session[rows], minlength=columns.sessions)[present].astype(
            np.float64
        )

    def best(self, values: Floats) -> Floats:
        return self._seen(values, 1)

    def top(self, values: Floats) -> Floats:
        return self._seen(values, 3)

    def _seen(self, values: Floats, top: int) -> Floats:
        floor = float(values[:-1][~self._hidden[:-1]].min(initial=0.0))
        masked = np.where(self._hidden, floor, values)
        return session_best(self._columns, masked, top)[self._present]


def _ages(columns: Columns, hidden: NDArray[np.bool_], present: Ints, now: float) -> dict[str, Floats]:
    rows = np.flatnonzero(~hidden[:-1])
    last = np.full(columns.sessions, -np.inf)
    times = np.where(np.isnan(columns.time[rows]), -np.inf, columns.time[rows])
    np.maximum.at(last, columns.session[rows], times)
    when = last[present]
    rank = np.empty(present.size)
    rank[np.argsort(-when, kind="stable")] = np.arange(present.size)
    days = np.where(np.isfinite(when), np.maximum(now - when, 0.0) / 86400, 365.0)
    return {
        "newest": (rank < 1) * 1.0,
        "recent_rank": 1.0 / (1.0 + rank / 3),
        "recent_days": np.exp(-days / 14),
        "age_log": np.log1p(rank) / 3,
    }


def _meanings(
    columns: Columns,
    cosine: Floats,
    aggregate: _Aggregates,
    of_means: NDArray[np.float32],
) -> dict[str, Floats]:
    opening = np.where(np.append(columns.position < 2, False), cosine, -1.0)
    closing = np.where(columns.links[2] == NONE, cosine, -1.0)
    return {
        "dense_best": _z(aggregate.best(cosine)),
        "dense_top": _z(aggregate.top(cosine)),
        "dense_mean": _z(of_means.astype(np.float64)),
        "dense_open": _z(aggregate.best(opening)),
        "dense_close": _z(aggregate.best(closing)),
    }


def _threads(table: dict[str, Floats], means: NDArray[np.float32]) -> dict[str, Floats]:
    """Sessions about the same thing: is this one the latest of them, and do the others match as well?"""
    alike = np.clip((means @ means.T).astype(np.float64) - ALIKE, 0.0, None) / (1.0 - ALIKE)  # (s, s)
    np.fill_diagonal(alike, 0.0)
    age = table["age_log"]
    later = alike * (age[None, :] < age[:, None])  # [i, j]: j is alike and later than i
    matching = (table["dense_mean"] + table["lex"] + table["turn_best"]) / 3
    better = later * (matching[None, :] > matching[:, None])
    support = alike @ np.clip(matching, 0.0, None) / np.maximum(alike.sum(1), 1e-9)
    return {
        "replaced": np.minimum(later.sum(1), 4.0),
        "replaced_by_better": better.max(1, initial=0.0),
        "thread": support,
        "thread_last": (later.max(1, initial=0.0) < 0.2) * np.clip(matching, 0.0, None),
    }


def _links(table: dict[str, Floats], means: NDArray[np.float32]) -> dict[str, Floats]:
    """Who goes on with a matter seldom says its name: how much of what goes along with the best matches came
    after each session, and what it went on with or was taken up by.

    Sessions are alike here by what sets them apart from this person's others: what all have in common is
    taken off, so that no threshold is needed.
    """
    apart = (means - means.mean(0)).astype(np.float64)
    apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
    alike = np.clip(apart @ apart.T, 0.0, None)  # (s, s)
    np.fill_diagonal(alike, 0.0)
    age = table["age_log"]
    later = age[None, :] < age[:, None]  # [i, j]: j is later than i
    matching = (table["dense_mean"] + table["lex"] + table["turn_best"]) / 3
    share = np.exp(2.0 * (matching - matching.max()))
    share /= share.sum()
    part = alike @ share + share
    return {
        "linked_since": np.log1p(later @ part / part.max()),
        "begun_before": np.log1p((alike * later.T).sum(1)),
        "taken_up_since": np.log1p((alike * later).sum(1)),
    }
