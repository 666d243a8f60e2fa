"""The decode loop: equality with the base model, order of the step, gates, endings, and what can go wrong."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mnemon.agent.decoding import presets
from mnemon.agent.decoding.gates import ProseOnly
from mnemon.agent.decoding.picking import Picker, Sampling, from_transformers, nucleus
from mnemon.agent.decoding.policies import EntropyGated, Fixed, KLBudget, LeakyBucket, Scheduled
from mnemon.agent.decoding.rewards import Contrast
from mnemon.agent.decoding.rows import RowPrompt
from mnemon.agent.decoding.steering import (
    Branch,
    Choice,
    Floats,
    LambdaPolicy,
    PolicyStep,
    RunningGate,
    Shortlist,
    Steering,
    StepView,
    Term,
)
from mnemon.agent.decoding.stepping import Steerer
from mnemon.errors import UsageError
from tests.agent import tiny_llama
from tests.agent.steered import PROMPT, Run
from tests.agent.test_presets import REWARD

FORMAL = Branch(name="formal", ids=(5, 60, 61, 62, 17, 33, 4, 8, 90))
MODELS = {"base": tiny_llama.rows(0)}
SAMPLED = Sampling(temperature=0.9, top_p=0.95, seed=7)


def ours(epsilon: float = 0.3, policy: LambdaPolicy | None = None) -> Steering:
    terms = [Term(name="formal", reward=Contrast(FORMAL))]
    return presets.budgeted(terms, epsilon=epsilon, policy=policy, plausibility=0.0, prose_only=False)


class Broken:
    """A reward that stops being a number at one step."""

    branches = ()

    def __init__(self, at: int) -> None:
        self.at = at

    def score(self, view: StepView) -> Floats:
        scores = -np.arange(len(view.candidates), dtype=np.float64)[::-1].copy()
        if view.t == self.at:
            scores[0] = math.nan
        return scores


class Loudest:
    """Wants one token, always."""

    branches = ()

    def __init__(self, token: int) -> None:
        self.token = token

    def score(self, view: StepView) -> Floats:
        return (view.candidates == self.token).astype(np.float64)


@pytest.mark.parametrize("sampling", [Sampling(), SAMPLED])
@pytest.mark.parametrize(
    "steering",
    [
        presets.budgeted([]),
        ours(epsilon=0.0),
        presets.classifier_free_guidance(FORMAL, 0.0),
        presets.drift({"f": (FORMAL, 0.0)}, Branch(name="neutral", ids=PROMPT)),
        presets.budgeted([Term(name="formal", reward=Contrast(FORMAL), weight=0.0)]),
    ],
)
def test_without_persona_or_lambda_it_is_the_base_model(steering: Steering, sampling: Sampling) -> None:
    base = Run(MODELS, None, tokens=30, sampling=sampling)
    same = Run(MODELS, steering, tokens=30, sampling=sampling)
    assert same.tokens == base.tokens
    assert same.counts.rows == base.counts.rows  # and it costs what the base model costs
    assert [token.token for token in same.trace] == base.tokens
    assert all(token.base_probability == token.steered_probability > 0 for token in same.trace)


class AlwaysZero:
    """λ that happens to be 0 at every step, which no one knows beforehand."""

    never = False

    def start(self) -> "AlwaysZero":
        return self

    def choose(self, step: PolicyStep) -> Choice:
        return Choice(0.0)

    def spent(self, kl: float) -> None:
        assert kl == 0


@pytest.mark.parametrize("sampling", [Sampling(), SAMPLED])
def test_a_lambda_that_turns_out_zero_leaves_the_base_logits_untouched(sampling: Sampling) -> None:
    base = Run(MODELS, None, tokens=30, sampling=sampling)
    steering = ours(policy=AlwaysZero())
    same = Run(MODELS, steering, tokens=30, sampling=sampling)
    assert same.tokens == base.tokens
    assert all(t.kl == 0 and not t.changed for t in same.trace)
    assert all(t.base_probability == t.steered_probability for t in same.trace)


def test_the_budget_bounds_every_beginning_of_a_reply_and_the_trace_adds_up() -> None:
    run = Run(MODELS, ours(0.2), tokens=40)
    spent = np.cumsum([t.kl for t in run.trace])
    assert (spent <= 0.2 * np.arange(1, 41) * (1 + 1e-6)).all()
    assert sum(t.kl for t in run.trace) > 1.0  # it is spent, too
    assert any(t.changed for t in run.trace)


def test_the_reported_divergence_is_that_of_the_whole_distributions() -> None:
    rows = MODELS["base"].prefill([RowPrompt(PROMPT), RowPrompt(FORMAL.ids or ())], room=4)
    logits = {"base": rows.logits[0], "formal": rows.logits[1]}
    for rest in ("keep", "drop"):
        steering = Steering(
            name="x",
            policy=Fixed(1.0),
            terms=(Term(name="formal", reward=Contrast(FORMAL)),),
            shortlist=Shortlist(top=16, rest=rest),  # type: ignore[arg-type]
            freeze_end=rest == "keep",
        )
        ends = frozenset({int(rows.logits[0].topk(4).indices[2])})
        outcome = Steerer(steering, ends, str).decide(logits, None, lambda c: c)
        log_q = outcome.logits.double().log_softmax(-1)
        log_p = outcome.base.double().log_softmax(-1)
        q = log_q.exp()
        kl = torch.where(q > 0, q * (log_q - log_p), 0.0).sum()
        assert outcome.kl == pytest.approx(float(kl), rel=1e-4)
        if rest == "keep":
            end = next(iter(ends))
            assert log_q[end] == pytest.approx(float(log_p[end]), abs=1e-5)  # the end keeps its probability
            outside = outcome.logits.topk(128).indices[100:]
            torch.testing.assert_close(log_q[outside], log_p[outside], atol=1e-5, rtol=0)


def test_contributions_are_the_log_odds_that_each_term_added() -> None:
    brief = Branch(name="brief", ids=(5, 9, 70, 71, 4, 8, 90))
    terms = [
        Term(name="formal", reward=Contrast(FORMAL), weight=1.0),
        Term(name="brief", reward=Contrast(brief), weight=-0.5),
    ]
    steering = presets.budgeted(terms, epsilon=0.3, top=128, plausibility=0.0, prose_only=False)
    run = Run(MODELS, steering, tokens=20)
    chosen = [t for t in run.trace if t.lam > 0]
    assert chosen
    for token in chosen:
        added = sum(token.contributions.values())
        moved = math.log(token.steered_probability / token.base_probability)
        assert moved <= added + 1e-4  # what was added, less the normaliser, which is never negative
        assert set(token.contributions) == {"formal", "brief"}


def test_a_reward_that_is_not_a_number_costs_one_step_and_is_told() -> None:
    steering = Steering(name="x", policy=Fixed(3.0), terms=(Term(name="odd", reward=Broken(at=2)),))
    run = Run(MODELS, steering, tokens=5)
    assert [bool(t.note) for t in run.trace] == [False, False, True, False, False]
    assert "'odd' was not a number" in run.trace[2].note
    broken = run.trace[2]
    assert broken.lam == 0
    assert not broken.changed
    assert broken.base_probability == broken.steered_probability


def test_a_lambda_that_is_not_a_number_costs_its_step_too() -> None:
    steering = ours(policy=Scheduled(lambda t: math.nan if t == 1 else 1.0))
    run = Run(MODELS, steering, tokens=3)
    assert [t.note for t in run.trace] == ["", "λ was not a number; the base model's token was kept", ""]
    assert run.trace[1].kl == run.trace[1].lam == 0
    assert not run.trace[1].changed


class OneForAll:
    branches = ()

    def score(self, view: StepView) -> Floats:
        return np.ones(1)


def test_a_reward_that_does_not_score_each_candidate_is_refused() -> None:
    steering = Steering(name="x", policy=Fixed(1.0), terms=(Term(name="lazy", reward=OneForAll()),))
    with pytest.raises(UsageError, match=r"'lazy' gave scores of shape \(1,\); one for each of the 64"):
        Run(MODELS, steering)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Fixed(math.nan), "λ=nan"),
        (lambda: EntropyGated(math.inf), "λ=inf"),
        (lambda: Term(name="odd", reward=Loudest(1), weight=math.nan), "'odd' has the weight nan"),
        (lambda: ours_with(mix={}), "at least one finite share"),
        (lambda: ours_with(mix={"base": math.nan}), "nan"),
        (lambda: ours_with(temperature=0.0), "temperature 0.0"),
        (lambda: ours_with(scale=math.inf), "scale inf"),
        (lambda: ours_with(terms=(Term(name="a", reward=Loudest(n)) for n in (1, 2))), "terms called 'a'"),
    ],
)
def test_steerings_that_make_no_sense_are_refused_when_made(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


def ours_with(**given: object) -> Steering:
    values = {"name": "x", "policy": Fixed(1.0), **given}
    return Steering(**values | {"terms": tuple(given.get("terms", ()))})  # type: ignore[arg-type, call-overload]


class ShutAt:
    def __init__(self, *steps: int) -> None:
        self.steps, self.seen = steps, 0

    def start(self) -> RunningGate:
        self.seen = 0
        return self

    def push(self, piece: str) -> None:
        self.seen += 1

    def openness(self) -> float:
        return 0.0 if self.seen in self.steps else 1.0


def test_a_closed_gate_keeps_the_base_models_token_and_looks_at_nothing() -> None:
    steering = Steering(
        name="x", policy=Fixed(2.0), terms=(Term(name="r", reward=REWARD),), gates=(ShutAt(1, 2),)
    )
    run = Run(MODELS, steering, tokens=5)
    assert [t.note for t in run.trace] == ["", "gate closed", "gate closed", "", ""]
    assert [t.lam > 0 for t in run.trace] == [True, False, False, True, True]
    # Looked at 64 candidates three times; two plain steps (one of them after a closed gate's token).
    assert run.counts.rows == 3 * 64 + 2


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ("Plain words, and more", True),
        ("Here:\n```python\nx = ", False),
        ("Here:\n```python\nx = 1\n```\nDone", True),
        ("Call `run", False),
        ("Call `run` now", True),
        ('She said "never', False),
        ('She said "never" again', True),
        ("She said “never", False),
        ('A stray " quote\nends with its line', True),
        ('{"a": ', False),
        ("  [1, 2", False),
        ("<tool_call>{", False),
        ("<tool_call>{}</tool_call> so", True),
        ("it's five o'clock", True),
    ],
)
def test_prose_is_steered_and_nothing_else(text: str, open_: bool) -> None:
    gate = ProseOnly().start()
    for letter in text:
        gate.push(letter)
    assert gate.openness() == float(open_)


class OnlyTokens:
    """A grammar that allows some tokens at every step."""

    finished = False

    def __init__(self, *tokens: int) -> None:
        self.tokens = tokens
        self.taken: list[int] = []

    def allowed(self) -> NDArray[np.bool_]:
        mask = np.zeros(tiny_llama.VOCABULARY, dtype=bool)
        mask[list(self.tokens)] = True
        return mask

    def advance(self, token: int) -> None:
        self.taken.append(token)


@pytest.mark.parametrize("rest", ["keep", "drop"])
def test_a_grammar_has_the_last_word(rest: str) -> None:
    steering = Steering(
        name="x",
        policy=Fixed(50.0),
        terms=(Term(name="loud", reward=Loudest(3), normalise="none"),),
        shortlist=Shortlist(top=4, rest=rest),  # type: ignore[arg-type]
    )
    grammar = OnlyTokens(100, 101, 102)
    run = Run(MODELS, steering, tokens=8, constraint=grammar)
    assert set(run.tokens) <= {100, 101, 102}
    assert grammar.taken == run.tokens
    steered = Steering(
        name="x", policy=Fixed(50.0), terms=(Term(name="l", reward=Loudest(101), normalise="none"),)
    )
    assert Run(MODELS, steered, tokens=4, constraint=OnlyTokens(100, 101)).tokens == [101] * 4


@pytest.mark.parametrize("rest", ["keep", "drop"])
def test_a_grammar_may_leave_nothing_but_the_end(rest: str) -> None:
    steering = Steering(
        name="x",
        policy=Fixed(5.0),
        terms=(Term(name="loud", reward=Loudest(3)),),
        shortlist=Shortlist(rest=rest),  # type: ignore[arg-type]
        freeze_end=True,
    )
    run = Run(MODELS, steering, tokens=8, constraint=OnlyTokens(2), end_ids=frozenset({2}))
    assert run.tokens == [2]
    assert run.trace[0].note == "one plausible token"


def test_the_callers_processors_see_the_steered_logits() -> None:
    seen: list[tuple[int, float]] = []

    def forbid(written: list[int], values: Floats) -> Floats:
        seen.append((len(written), float(values[3])))
        values[3] = -np.inf
        return values

    steering = Steering(
        name="x", policy=Fixed(50.0), terms=(Term(name="l", reward=Loudest(3), normalise="none"),),
        shortlist=Shortlist(top=None),
    )  # fmt: skip
    assert Run(MODELS, steering, tokens=3).tokens == [3, 3, 3]
    run = Run(MODELS, steering, tokens=3, processors=[forbid])
    assert 3 not in run.tokens
    assert [n for n, _ in seen[::2]] == [0, 1, 2]  # called for the steered logits, then for the base's
    assert seen[0][1] > -0.01  # the steered log-probability: nearly certain


def test_processors_of_transformers_work_too() -> None:
    from transformers import NoRepeatNGramLogitsProcessor

    repeats = Run(MODELS, ours(0.3), tokens=60).tokens
    assert len(set(repeats)) < len(repeats)
    no_repeat = from_transformers(NoRepeatNGramLogitsProcessor(1))
    run = Run(MODELS, ours(0.3), tokens=60, processors=[no_repeat])
    assert len(set(run.tokens)) == 60


def test_a_frozen_end_is_the_base_models_end() -> None:
    base = Run(MODELS, None, tokens=30)
    end = base.tokens[9]
    ends = frozenset({end})
    stopped = Run(MODELS, None, tokens=30, end_ids=ends)
    assert stopped.tokens == base.tokens[: base.tokens.index(end) + 1]
    wanted = Steering(
        name="x", policy=Fixed(50.0), terms=(Term(name="l", reward=Loudest(end), normalise="none"),),
        shortlist=Shortlist(top=None, rest="keep"), freeze_end=True,
    )  # fmt: skip
    first = Run(MODELS, wanted, tokens=30, end_ids=ends)
    assert first.tokens[0] != end  # however loudly it is asked for


def test_the_same_seed_writes_the_same_and_another_seed_does_not() -> None:
    once = Run(MODELS, ours(), tokens=30, sampling=SAMPLED).tokens
    assert once == Run(MODELS, ours(), tokens=30, sampling=SAMPLED).tokens
    assert once != Run(MODELS, ours(), tokens=30, sampling=Sampling(0.9, 0.95, 8)).tokens


def test_sampling_follows_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    picker = Picker(Sampling(temperature=0.7, seed=1))
    draws = [picker.pick(logits, picker.roll(4)) for _ in range(8000)]
    expected = (logits / 0.7).softmax(-1).numpy()
    np.testing.assert_allclose(np.bincount(draws, minlength=4) / 8000, expected, atol=0.02)


def test_the_nucleus_is_the_smallest_that_holds_enough() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert (~torch.isneginf(nucleus(logits, 0.7))).tolist() == [True, True, False, False]
    assert (~torch.isneginf(nucleus(logits, 0.8001))).tolist() == [True, True, True, False]
    assert (~torch.isneginf(nucleus(logits, 1e-9))).tolist() == [True, False, False, False]


def test_experts_of_another_vocabulary_are_refused() -> None:
    models = {"base": tiny_llama.rows(0), "small": tiny_llama.rows(1, vocabulary=130)}
    steering = presets.proxy_tuning(
        Branch(name="expert", model="small"), Branch(name="anti", model="small", ids=PROMPT)
    )
    with pytest.raises(UsageError, match="vocabularies differ"):
        Run(models, steering)


def test_a_branch_that_nothing_declares_is_refused() -> None:
    steering = Steering(name="x", policy=Fixed(1.0), mix={"base": 0.5, "ghost": 0.5})
    with pytest.raises(UsageError, match="ghost"):
        Run(MODELS, steering)


def test_two_branches_of_one_name_are_refused() -> None:
    terms = (
        Term(name="a", reward=Contrast(FORMAL)),
        Term(name="b", reward=Contrast(Branch(name="formal", ids=PROMPT))),
    )
    with pytest.raises(UsageError, match="Two different branches"):
        Run(MODELS, Steering(name="x", policy=Fixed(1.0), terms=terms))


def test_a_reward_of_hidden_states_needs_a_shortlist() -> None:
    steering = Steering(
        name="x",
        policy=Fixed(1.0),
        terms=(Term(name="r", reward=REWARD),),
        shortlist=Shortlist(top=None),
    )
    with pytest.raises(UsageError, match="whole vocabulary"):
        Run(MODELS, steering)


def test_one_row_for_a_branch_that_several_terms_share() -> None:
    terms = (
        Term(name="a", reward=Contrast(FORMAL)),
        Term(name="b", reward=Contrast(FORMAL), weight=0.5),
    )
    counts = Run(MODELS, Steering(name="x", policy=KLBudget(0.1), terms=terms), tokens=5).counts
    assert counts.rows == 4 * 2


def test_a_response_budget_is_kept_over_the_whole_reply() -> None:
    run = Run(MODELS, ours(policy=LeakyBucket(capacity=0.5, refill=0.02)), tokens=50)
    total = 0.0
    for n, token in enumerate(run.trace, start=1):
        total += token.kl
        assert total <= 0.5 + 0.02 * n + 1e-6
