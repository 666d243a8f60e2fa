"""Training the shared ranker: histories with known evidence → a trunk, and the directions in which people
differ.

Stage 1: one small network over all questions, by listwise softmax over each question's pool. Stage 2: for
each history the best weights near the shared ones; the main directions of those differences, and a little of
each feature by itself, become the basis U, scaled so that a person's coordinates have unit variance: the
Gaussian prior of `head.Head`. Needs torch. The ranker of sessions has one weight a feature and does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import DataError
from mnemon.retrievers.features import DENSE, FEATURES, INDEX
from mnemon.retrievers.fusion import hand_set_scores
from mnemon.retrievers.history import HistoryRetriever
from mnemon.retrievers.pairs import Example, History
from mnemon.retrievers.seams import Embedder, Query
from mnemon.retrievers.sessions import SESSION_FEATURES
from mnemon.retrievers.threads import one_thread
from mnemon.retrievers.trunk import CLIP, Array, Trunk

RIVALS, OTHERS = 80, 40  # rows of a pool that are trained on, besides the evidence
MADE_UP = 0.3  # weight of a made-up wish beside a query that was really asked, for the ranker of sessions
# Prior variance of weights moved to suit few questions, many of them alike: of a trunk's, and of those of
# sessions, which start from nothing.
SPREAD, SESSION_SPREAD = 0.03, 0.1
# A person's weights vary along the directions learnt, less than the histories trained on did, and a little in
# every feature: nobody's ways are quite those of the people trained on.
LEARNT, OWN = 0.5, 0.1
LIVELY = 0.02  # a feature that varies less than this in training is switched off
ORDER_UNIT = 0.25  # of the feature "order": measured by how seldom orders are, all would be clipped alike
NEWTON, SETTLED = 12, 1e-3  # steps at most; a step that moves no weight by more ends them


@dataclass(frozen=True)
class Question:
    """One question's pool: features, which rows are evidence, and how much evidence there was in all."""

    history: str
    features: Array  # (pool, F)
    gold: NDArray[np.bool_]  # (pool,)
    wanted: int
    weight: float = 1.0  # how many questions it counts for


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. Few dials; the defaults are what the shipped trunk was trained with."""

    hidden: int = 16
    epochs: int = 4
    rate: float = 3e-3
    decay: float = 2.0  # a ranker that fits its histories well ranks others badly: few epochs, held back hard
    dropout: float = 0.1
    unseen: float = 0.3  # share of the features hidden at each step, so that no lane is all that counts
    networks: int = 3  # trained alike from different beginnings, and averaged
    rank: int = 6
    by_words: float = 0.25  # share of the questions seen a second time without the dense lanes
    spread: float = 0.05  # prior variance of a history's weights around the shared ones
    seed: int = 0


class Indexed(NamedTuple):
    """A history and a retriever that holds it."""

    history: History
    retriever: HistoryRetriever


def index(histories: Iterable[History], embedder: Embedder | None) -> list[Indexed]:
    found = []
    for history in histories:
        retriever = HistoryRetriever(embedder, trunk="hand-set")
        retriever.add(history.documents)
        found.append(Indexed(history, retriever))
    return found


def turn_questions(indexed: Sequence[Indexed]) -> list[Question]:
    """Pools of all examples that name their evidence."""
    found: list[Question] = []
    for history, retriever in indexed:
        for example in history.examples:
            if not example.gold:
                continue
            pool = retriever.describe(_query(example))
            gold = np.isin(pool.ids, list(example.gold))
            wanted = len(set(example.gold))
            found.append(Question(history.name, pool.features, gold, wanted, example.weight))
    if not any(question.gold.any() for question in found):
        raise DataError("The training data holds no question whose evidence is among its turns.")
    return found


def session_questions(indexed: Sequence[Indexed], trunk: Trunk) -> list[Question]:
    """Pools of sessions, seen with this ranker of turns. Where no example names sessions, those of the
    evidence count."""
    named = any(example.sessions for history, _ in indexed for example in history.examples)
    found: list[Question] = []
    for history, retriever in indexed:
        home = {document.id: document.session for document in history.documents}
        retriever.trunk = trunk
        for example in history.examples:
            wanted = set(example.sessions) if named else {home[id_] for id_ in example.gold}
            if wanted:
                pool = retriever.describe_sessions(_query(example))
                gold = np.isin(pool.ids, list(wanted))
                weight = MADE_UP if example.gold and named else 1.0
                found.append(Question(history.name, pool.features, gold, len(wanted), weight))
    return found


def _query(example: Example) -> Query:
    return Query(text=example.text, time=example.time, before=example.before)


def train_trunk(data: Sequence[Question], recipe: Recipe | None = None) -> Trunk:
    """A trunk for these questions."""
    with one_thread(), _torch_in_one_thread():  # sums taken by several threads differ from run to run
        return _trained(data, recipe or Recipe())


@contextmanager
def _torch_in_one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trained(data: Sequence[Question], recipe: Recipe) -> Trunk:
    mean, scale = _usual(data)
    # The mean of several networks is one network with their hidden units side by side.
    parts = [_shared(data, mean, scale, recipe, seed) for seed in range(recipe.networks)]
    hidden = np.concatenate([part[0] for part in parts], axis=1)
    bias = np.concatenate([part[1] for part in parts])
    straight = np.mean([part[2][: len(mean)] for part in parts], axis=0)
    weights = np.concatenate([straight, *(part[2][len(mean) :] / recipe.networks for part in parts)])
    size = weights.size
    plain = Trunk(
        features=FEATURES, mean=mean, scale=scale,
        hidden=hidden, bias=bias, weights=weights,
        basis=np.zeros((size, 0), np.float32),
    )  # fmt: skip
    return _with_directions(plain, data, recipe)


def _usual(data: Sequence[Question]) -> tuple[Array, Array]:
    """Mean of each feature, and one over its standard deviation."""
    everything = np.concatenate([question.features for question in data])
    mean, deviation = everything.mean(0), everything.std(0)
    if _is_turn(data[0]):
        deviation[INDEX["order"]] = ORDER_UNIT
    scale = np.where(deviation < LIVELY, 0.0, 1.0 / np.maximum(deviation, LIVELY))
    return mean.astype(np.float32), scale.astype(np.float32)


def train_sessions(data: Sequence[Question]) -> Trunk:
    """A ranker of whole sessions: weights alone, no network."""
    mean, scale = _usual(data)
    count = len(SESSION_FEATURES)
    blank = Trunk(
        features=SESSION_FEATURES, mean=mean, scale=scale,
        hidden=np.zeros((count, 0), np.float32), bias=np.zeros(0, np.float32),
        weights=np.zeros(count, np.float32), basis=np.zeros((count, 0), np.float32),
    )  # fmt: skip
    return adapt(blank, data, spread=SESSION_SPREAD)


def adapt(trunk: Trunk, data: Sequence[Question], *, spread: float = SPREAD) -> Trunk:
    """The trunk with the weights that suit these questions best, under a Gaussian around its own."""
    order = np.random.default_rng(0)
    used = [_thinned(question, order) for question in data if question.gold.any()]
    with one_thread():
        return replace(trunk, weights=_nearest(trunk, used, spread).astype(np.float32))


def _shared(
    data: Sequence[Question], mean: Array, scale: Array, recipe: Recipe, network: int
) -> tuple[Array, Array, Array]:
    import torch

    torch.manual_seed(1000 * recipe.seed + network)
    order = np.random.default_rng(1000 * recipe.seed + network)
    used = [_thinned(question, order) for question in data if question.gold.any()]
    width, count = max(len(question.gold) for question in used), len(mean)
    inputs = torch.zeros(len(used), width, count)
    target = torch.zeros(len(used), width)
    absent = torch.full((len(used), width), -1e9)
    weight = torch.tensor([question.weight for question in used])
    for place, question in enumerate(used):
        scaled = np.clip((question.features - mean) * scale, -CLIP, CLIP)
        inputs[place, : len(scaled)] = torch.from_numpy(scaled)
        target[place, : len(scaled)] = torch.from_numpy(question.gold / question.gold.sum())
        absent[place, : len(scaled)] = 0.0
    straight = torch.nn.Linear(count, 1, bias=False)
    layer, out = torch.nn.Linear(count, recipe.hidden), torch.nn.Linear(recipe.hidden, 1, bias=False)
    torch.nn.init.zeros_(out.weight)
    drop = torch.nn.Dropout(recipe.dropout)
    parameters: list[Any] = [*straight.parameters(), *layer.parameters(), *out.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.decay)
    batches = -(-len(used) // 32)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * batches)
    for _ in range(recipe.epochs):
        for chosen in np.array_split(order.permutation(len(used)), batches):
            batch = torch.from_numpy(chosen)
            seen = inputs[batch]
            if recipe.unseen:
                seen = seen * (torch.rand(len(batch), 1, count) > recipe.unseen) / (1.0 - recipe.unseen)
            scores = (straight(seen) + out(drop(torch.tanh(layer(seen))))).squeeze(-1) + absent[batch]
            losses = -(target[batch] * torch.log_softmax(scores, 1)).sum(1)
            loss = (losses * weight[batch]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        weights = torch.cat([straight.weight[0], out.weight[0]]).numpy()
        return layer.weight.T.contiguous().numpy().copy(), layer.bias.numpy().copy(), weights.copy()


def _thinned(question: Question, order: np.random.Generator) -> Question:
    """The evidence, its strongest rivals, a few others: the rest of a pool teaches nothing and costs time."""
    rough = np.argsort(-hand_set_scores(question.features), kind="stable") if _is_turn(question) else None
    if rough is None or len(question.gold) <= RIVALS + OTHERS:
        return question
    others = order.permutation(rough[RIVALS:])[:OTHERS]
    kept = np.union1d(np.union1d(rough[:RIVALS], others), np.flatnonzero(question.gold))
    return replace(question, features=question.features[kept], gold=question.gold[kept])


def _is_turn(question: Question) -> bool:
    return bool(question.features.shape[1] == len(FEATURES))


def _with_directions(trunk: Trunk, data: Sequence[Question], recipe: Recipe) -> Trunk:
    """The basis, from how the best weights of each history differ from the shared ones."""
    by_history: dict[str, list[Question]] = {}
    order = np.random.default_rng(recipe.seed)
    for question in data:
        if question.gold.any():
            by_history.setdefault(question.history, []).append(_thinned(question, order))
    differences = np.stack(
        [_nearest(trunk, part, recipe.spread) - trunk.weights for part in by_history.values()]
    )
    _, size, directions = np.linalg.svd(differences, full_matrices=False)
    rank = min(recipe.rank, len(size))
    learnt = directions[:rank].T * size[:rank] / np.sqrt(len(differences)) * LEARNT
    own = np.eye(trunk.weights.size, len(trunk.features)) * OWN * (trunk.scale > 0)
    return replace(trunk, basis=np.concatenate([learnt, own], axis=1).astype(np.float32))


def _nearest(trunk: Trunk, part: Sequence[Question], spread: float) -> NDArray[np.float64]:
    """The best weights for some questions under a Gaussian around the shared ones. Newton on the listwise
    softmax; a step moves no weight by more than one."""
    pools = [trunk.represent(question.features).astype(np.float64) for question in part]
    weights = trunk.weights.astype(np.float64)
    shared = weights.copy()
    precision = np.eye(weights.size) / spread
    for _ in range(NEWTON):
        gradient, hessian = -precision @ (weights - shared), precision.copy()
        for pool, question in zip(pools, part, strict=True):
            scores = pool @ weights
            chance = np.exp(scores - scores.max())
            chance /= chance.sum()
            average = chance @ pool
            gradient += question.weight * (question.gold @ pool / question.gold.sum() - average)
            hessian += question.weight * ((pool * chance[:, None]).T @ pool - np.outer(average, average))
        step = np.linalg.solve(hessian, gradient)
        most = float(np.abs(step).max())
        weights = weights + step / max(most, 1.0)
        if most < SETTLED:
            break
    found: NDArray[np.float64] = weights
    return found


def recall(data: Sequence[Question], trunk: Trunk, *, k: int = 10) -> float:
    """Mean share of each question's evidence among its k best rows."""
    shares = []
    for question in data:
        scores = trunk.scores(trunk.represent(question.features))
        top = np.argsort(-scores, kind="stable")[:k]
        shares.append(question.gold[top].sum() / question.wanted)
    return float(np.mean(shares))


class Trained(NamedTuple):
    turns: Trunk
    sessions: Trunk
    card: dict[str, object]


def train_rankers(
    histories: Sequence[History], embedder: Embedder | None, *, recipe: Recipe | None = None, source: str = ""
) -> Trained:
    """Both rankers from the same histories, with a card: what they were trained on, and how well rankers made
    in the same way do on people they were not trained on (`held_out`)."""
    recipe = recipe or Recipe()
    indexed = index(histories, embedder)
    turns = turn_questions(indexed)
    trunk = _of_turns(turns, recipe)
    whole = session_questions(indexed, trunk)
    of_sessions = train_sessions(whole)
    card: dict[str, object] = {
        "source": source,
        "questions": {"turns": len(turns), "sessions": len(whole)},
        "histories": len(histories),
        "recipe": asdict(recipe),
        "session_recipe": {"spread": SESSION_SPREAD, "made_up": MADE_UP},
        "held_out": held_out(indexed, turns, recipe),
    }
    return Trained(replace(trunk, card=card), replace(of_sessions, card=card), card)


def _of_turns(turns: Sequence[Question], recipe: Recipe) -> Trunk:
    return train_trunk([*turns, *without_meaning(turns, share=recipe.by_words, seed=recipe.seed)], recipe)


def held_out(
    indexed: Sequence[Indexed], turns: Sequence[Question], recipe: Recipe
) -> dict[str, dict[str, float]]:
    """What rankers reach on each person (what stands before the "-" of a history's name) when both are
    trained without that person: on turns, and on sessions for queries that were really asked."""
    groups = sorted({history.name.partition("-")[0] for history, _ in indexed})
    if len(groups) < 2:
        return {}
    of_turns: dict[str, float] = {}
    of_sessions: dict[str, float] = {}
    for group in groups:
        theirs, rest = _parted(turns, group)
        trunk = _of_turns(rest, replace(recipe, networks=1))
        if theirs:
            of_turns[group] = round(recall(theirs, trunk, k=10), 4)
        asked, others = _parted(session_questions(indexed, trunk), group)
        asked = [question for question in asked if question.history.endswith("-asked")] or asked
        if asked and others:
            of_sessions[group] = round(recall(asked, train_sessions(others), k=5), 4)
    return {"turn_recall_at_10": of_turns, "session_recall_at_5": of_sessions}


def _parted(data: Sequence[Question], group: str) -> tuple[list[Question], list[Question]]:
    """The group's questions, and all others."""
    theirs = [question for question in data if question.history.partition("-")[0] == group]
    return theirs, [question for question in data if question.history.partition("-")[0] != group]


def without_meaning(data: Sequence[Question], *, share: float, seed: int) -> list[Question]:
    """Some questions again as they look where there is no embedder, so that words alone rank well too."""
    dense = [place for place, name in enumerate(FEATURES) if name in DENSE]
    chosen = np.random.default_rng(seed).permutation(len(data))[: int(share * len(data))]
    found = []
    for place in sorted(chosen.tolist()):
        features = data[place].features.copy()
        features[:, dense] = 0.0
        found.append(replace(data[place], features=features))
    return found
