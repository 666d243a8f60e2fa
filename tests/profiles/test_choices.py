"""What choices teach: the posterior against a slow one, weaker evidence, topics, forgetting, keeping."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mnemon.errors import DataError, UsageError
from mnemon.memory import Feedback, Memory
from mnemon.profiles.choices import BLOB, EVIDENCE, Taste
from mnemon.profiles.evidence import ENOUGH, Evidence, Ledger
from mnemon.profiles.persona import Leaning
from mnemon.profiles.population import Population, features, shipped_population
from mnemon.profiles.variants import questions, replies
from mnemon.testing import FrozenClock

SHORT = "Freeze it in a bag."
LONG = (
    "There are many ways to keep bread. You could freeze it in a bag, you could store it in a box of wood, "
    "and you could also dry it and make crumbs, which keep for months in a jar with a lid."
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def small_population(size: int = 2) -> Population:
    """The shipped measures, of which only the first few differ between people."""
    count = len(features())
    residual = np.where(np.arange(count) < size, 1.0, 1e-6)
    zero = np.zeros(count)
    return Population(
        features=features(), centre=zero, scale=np.ones(count), mean=zero,
        basis=np.zeros((count, 1)), residual=residual,
    )  # fmt: skip


def table(taste: Taste) -> dict[str, float]:
    return {name: round(weight.mean, 6) for name, weight in taste.weights().items()}


def pair(number: int, good: str, bad: str, *, note: str = "chosen", query: str = "") -> Feedback:
    at = NOW + timedelta(minutes=number)
    return Feedback(
        id=f"b{number}", about="pair", query=query, recorded_at=at, good=(good,), bad=(bad,), note=note
    )


def test_ten_short_choices_make_somebody_concise() -> None:
    taste = Taste()
    before = taste.weights()["concise"]
    for question in questions()[:10]:
        long, short = sorted(replies(question, 6, seed=5), key=len)[-1], question.plain[0] + "."
        taste.update(short, long, query=question.ask)
    weight = taste.weights()["concise"]
    assert weight.mean > 0.3 > before.mean + 0.1
    assert weight.deviation < before.deviation
    assert weight.confidence > 0.8
    assert taste.prefers(SHORT, LONG) > 0.8
    assert taste.prefers(LONG, SHORT) == pytest.approx(1 - taste.prefers(SHORT, LONG))
    assert taste.score(SHORT).mean > taste.score(LONG).mean
    told = {one.trait: one for one in taste.leanings()}
    assert told["concise"].weight > 0.5
    assert (told["concise"].origin, told["concise"].when) == ("choices", "")
    assert "expert" not in told or "plain-words" not in told, "one measure speaks for one trait"


def test_the_posterior_is_the_slow_one() -> None:
    """Against the mean and spread of the exact posterior, added up on a grid over two weights."""
    population, rng = small_population(), np.random.default_rng(3)
    ledger = Ledger()
    rows = rng.normal(size=(12, len(features())))
    weights = rng.choice([0.3, 0.5, 1.0], size=12)
    for row, weight in zip(rows, weights, strict=True):
        ledger.add(Evidence(row[None], float(weight)))
    head = ledger.posterior(population, population.prior(), half_life=20.0)

    axis = np.linspace(-4, 4, 401)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log = -0.5 * (grid**2).sum(axis=1)
    for place, (row, weight) in enumerate(zip(rows, weights, strict=True)):
        log -= weight * 0.5 ** ((11 - place) / 20.0) * np.log1p(np.exp(-(grid @ row[:2])))
    mode = grid[log.argmax()]
    chance = np.exp(log - log.max())
    chance /= chance.sum()
    mean = chance @ grid
    deviation = np.sqrt(chance @ (grid - mean) ** 2)
    assert head.mean[:2] == pytest.approx(mode, abs=0.02)
    assert np.sqrt(np.diag(head.covariance)[:2]) == pytest.approx(deviation, rel=0.12)
    assert mean == pytest.approx(mode, abs=0.2)  # Laplace's mode is near enough to the mean


def test_weaker_evidence_moves_less() -> None:
    found = {}
    for how in EVIDENCE:
        taste = Taste()
        taste.update(SHORT, LONG, how=how)
        found[how] = taste.weights()["concise"]
    start = Taste().weights()["concise"]
    assert found["chosen"].mean > found["edited"].mean > found["regenerated"].mean > start.mean
    assert found["chosen"].deviation < found["edited"].deviation < found["regenerated"].deviation


def test_a_thumb_compares_with_what_the_person_usually_gets() -> None:
    taste = Taste()
    taste.rate(LONG, 1)
    assert taste.choices == 0, "the first reply of all has nothing to be compared with"
    taste.rate(SHORT, -1)
    assert taste.choices == 1
    assert taste.weights()["concise"].mean < Taste().weights()["concise"].mean
    taste.rate(SHORT, 0)
    assert taste.choices == 1


def test_a_topic_has_weights_of_its_own_once_there_are_choices_about_it() -> None:
    taste = Taste()
    for _ in range(3 * ENOUGH):
        taste.update(SHORT, LONG, query="Why does this python function loop?")
        taste.update(LONG, SHORT, query="Which novel should I read?")
    code, books = taste.weights("code")["concise"], taste.weights("films-and-books")["concise"]
    assert code.mean > taste.weights()["concise"].mean > books.mean
    assert taste.prefers(SHORT, LONG, query="fix my python code") > 0.5
    assert taste.prefers(SHORT, LONG, query="a good novel") < 0.5
    assert {(one.trait, one.when) for one in taste.leanings()} >= {("concise", "code")}


def test_old_choices_fade() -> None:
    def concise(half_life: float) -> float:
        taste = Taste(half_life=half_life)
        for _ in range(15):
            taste.update(SHORT, LONG)
        for _ in range(10):
            taste.update(LONG, SHORT)
        return taste.weights()["concise"].mean

    assert concise(4.0) < 0 < concise(1e9)


def test_what_was_said_moves_the_start_and_stays_unsure() -> None:
    plain = Taste().weights()["concise"]
    told = Taste(told=[Leaning(trait="concise", weight=0.8), Leaning(trait="stories", weight=1.0)])
    assert told.weights()["concise"].mean > plain.mean + 0.2
    assert 0 < told.weights()["concise"].deviation < plain.deviation
    assert told.leanings() == [], "nothing was chosen yet"


def test_feedback_is_read_once_and_kept_with_the_person() -> None:
    clock = FrozenClock(NOW)
    with Memory.open(":memory:", embedder=None, clock=clock) as memory:
        ana, ben = memory.for_user("ana"), memory.for_user("ben")
        ana.feedback("How do I keep bread?", SHORT, LONG)
        ana.feedback("How do I keep tea?", SHORT + " Now.", LONG, how="edited", why="too long")
        reply = ana.remember(LONG, role="assistant")[0]
        ana.rate(reply, -1)
        taste = Taste.for_person(ana)
        assert taste.choices == 3
        kept = ana.derived(BLOB)
        assert kept is not None
        assert SHORT.encode() not in kept, "numbers, no words"
        again = Taste.for_person(ana)
        assert again.choices == 3
        assert table(again) == table(taste)
        rebuilt = Taste.of(ana.feedback_log(), texts={reply: LONG}.get)
        assert table(rebuilt) == table(taste)
        assert Taste.for_person(ben).choices == 0
        ana.keep_derived(BLOB, b"damaged")
        assert table(Taste.for_person(ana)) == table(taste)
        ana.forget(reply)
        assert ana.derived(BLOB) is None
        assert Taste.for_person(ana).choices == 2


def test_what_was_learnt_under_one_population_is_not_taken_for_another() -> None:
    taste = Taste()
    taste.update(SHORT, LONG)
    body = taste.dumps()
    assert table(Taste.loads(body)) == table(taste)
    assert Taste.loads(None).choices == Taste.loads(b"damaged").choices == 0
    with pytest.raises(DataError, match="another population"):
        Ledger.loads(body, small_population())
    empty = Ledger.loads(Ledger().dumps(taste.population), taste.population)
    assert (empty.choices, empty.usual) == ([], None)


def test_notes_say_how_a_pair_came_about() -> None:
    edited = Taste.of([pair(1, SHORT, LONG, note="edited: too long")]).weights()["concise"]
    chosen = Taste.of([pair(1, SHORT, LONG)]).weights()["concise"]
    assert edited.mean < chosen.mean
    assert Taste.of([pair(1, SHORT, LONG), pair(1, SHORT, LONG)]).choices == 1


@pytest.mark.parametrize("half_life", [0.0, -1.0])
def test_a_half_life_is_positive(half_life: float) -> None:
    with pytest.raises(UsageError, match="half_life"):
        Taste(half_life=half_life)


def test_an_unknown_way_to_choose_is_refused() -> None:
    with pytest.raises(UsageError, match="no way to choose"):
        Taste().update(SHORT, LONG, how="guessed")  # type: ignore[arg-type]


def test_one_of_several_is_one_choice() -> None:
    taste = Taste()
    taste.update(SHORT, [LONG, LONG + " Or eat it."])
    assert taste.choices == 1
    taste.update(SHORT, [])
    assert taste.choices == 1


def test_fifty_choices_are_learnt_in_milliseconds() -> None:
    taste = Taste()
    for number in range(50):
        first, second = replies(questions()[number % 16], 2, seed=number)
        taste.update(first, second)
    taste.weights()
    taste.update(SHORT, LONG)
    start = time.process_time()
    taste.weights()
    assert time.process_time() - start < 0.25


def test_the_shipped_population_knows_where_it_is_from() -> None:
    population = shipped_population()
    assert "no real person" in str(population.card["from"])
    assert population.features == features()
    assert np.all(np.linalg.eigvalsh(population.covariance) > 0)
