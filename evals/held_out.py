"""What a ranker reaches on a conversation that it was not trained on, and what a person's choices then add.

Both learn from a benchmark's own evidence, one conversation left out at a time, so their numbers are rows of
their own and never those of the shipped ranker. Knows the retriever by its candidates and features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import DataError
from mnemon.evals.benchmark import Benchmark
from mnemon.evals.seams import Case, Interval
from mnemon.evals.stats import mean_interval
from mnemon.retrievers import Document, Embedder, HistoryRetriever, Query
from mnemon.retrievers.head import Comparison, Head
from mnemon.retrievers.learning import Question, Trunk, adapt

SPLITS = 20  # orders in which a person's questions are asked


class Asked(NamedTuple):
    question: Question
    cluster: str


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Mean recall over questions, its interval over conversations, and each conversation's own."""

    questions: int
    recall: Interval
    by_conversation: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HeadGain:
    """What a head gains over its trunk on questions that follow the choices: mean reciprocal rank."""

    choices: int
    people: int
    questions: int  # later questions, over all orders
    trunk: float
    head: float
    gain: Interval


def pools(task: Benchmark, embedder: Embedder | None) -> list[Asked]:
    """The headline questions of a benchmark with evidence among the turns, as the rankers see them."""
    found: list[Asked] = []
    retriever, name, seen = HistoryRetriever(embedder, trunk="hand-set"), "", 0
    for case in task.cases():
        if not case.headline or not case.gold.ids:
            continue
        if case.history.id != name or case.visible < seen:
            retriever, name, seen = HistoryRetriever(embedder, trunk="hand-set"), case.history.id, 0
        retriever.add(_documents(case, seen))
        seen = case.visible
        pool = retriever.describe(Query(text=case.question.text, time=case.question.time))
        gold = np.isin(pool.ids, list(case.gold.ids))
        wanted = len(set(case.gold.ids))
        found.append(Asked(Question(name, pool.features, gold, wanted), case.cluster))
    if not any(asked.question.gold.any() for asked in found):
        raise DataError(
            f"{task.name}: no question here has its evidence among turns.",
            hint="Of RealMem, whose evidence are sessions, `mnemon rerank train` reports people left out.",
        )
    return found


def _documents(case: Case, seen: int) -> list[Document]:
    return [
        Document(
            id=turn.id,
            text=turn.text,
            time=turn.time,
            session=session.id,
            position=turn.position,
            speaker=turn.speaker,
        )
        for session in case.history.sessions[seen : case.visible]
        for turn in session.turns
    ]


def held_out(
    asked: Sequence[Asked],
    trunk: Trunk,
    *,
    k: int = 10,
    advance: Callable[[int, int], None] | None = None,
) -> HeldOut:
    """Recall at k of each conversation by this trunk, adapted to the others."""
    clusters = sorted({one.cluster for one in asked})
    shares: list[float] = []
    names: list[str] = []
    for number, cluster in enumerate(clusters):
        learnt = adapt(trunk, [one.question for one in asked if one.cluster != cluster])
        theirs = [one.question for one in asked if one.cluster == cluster]
        shares += [_share(question, learnt, k) for question in theirs]
        names += [cluster] * len(theirs)
        if advance is not None:
            advance(number + 1, len(clusters))
    mean = mean_interval(shares, names)
    assert mean is not None
    by = {
        name: float(np.mean([s for s, n in zip(shares, names, strict=True) if n == name]))
        for name in clusters
    }
    return HeldOut(questions=len(shares), recall=mean, by_conversation=by)


def _share(question: Question, trunk: Trunk, k: int) -> float:
    scores = trunk.scores(trunk.represent(question.features))
    top = np.argsort(-scores, kind="stable")[:k]
    return float(question.gold[top].sum() / question.wanted)


def head_gain(asked: Sequence[Asked], trunk: Trunk, *, choices: int = 20, seed: int = 0) -> HeadGain:
    """A head fitted to a person's first `choices` questions against the bare trunk on the rest, in `SPLITS`
    random orders. A question's gain is averaged over the orders in which it came later; the interval is over
    people."""
    gains: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for cluster in sorted({one.cluster for one in asked}):
        theirs = [one.question for one in asked if one.cluster == cluster and one.question.gold.any()]
        seen = [trunk.represent(question.features) for question in theirs]
        plain = [
            _reciprocal(question, trunk.scores(part)) for question, part in zip(theirs, seen, strict=True)
        ]
        for order in range(SPLITS if len(theirs) > choices else 0):
            rng = np.random.default_rng([seed, order])
            places = rng.permutation(len(theirs))
            lessons = [
                Comparison(seen[place][row], seen[place][~theirs[place].gold])
                for place in places[:choices].tolist()
                for row in np.flatnonzero(theirs[place].gold).tolist()
            ]
            head = Head.prior(trunk.rank).fit(lessons, base=trunk.weights, basis=trunk.basis)
            for place in places[choices:].tolist():
                scores = trunk.scores(seen[place]) + head.adjust(seen[place], trunk.basis)
                pair = plain[place], _reciprocal(theirs[place], scores)
                gains.setdefault((cluster, place), []).append(pair)
    if not gains:
        raise DataError(f"Nobody here has more than {choices} questions.", hint="Use fewer --choices.")
    mean = {key: np.mean(pairs, axis=0) for key, pairs in gains.items()}
    gain = mean_interval([float(b - a) for a, b in mean.values()], [cluster for cluster, _ in mean])
    assert gain is not None
    before, after = np.mean(list(mean.values()), axis=0).tolist()
    return HeadGain(
        choices=choices,
        people=len({cluster for cluster, _ in mean}),
        questions=sum(map(len, gains.values())),
        trunk=before,
        head=after,
        gain=gain,
    )


def _reciprocal(question: Question, scores: NDArray[np.floating]) -> float:
    order = np.argsort(-scores, kind="stable")
    return float(1.0 / (1 + np.flatnonzero(question.gold[order])[0]))
