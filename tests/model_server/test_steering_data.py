"""A steering as plain JSON: whole there and back, and nothing else is let in."""

import json

import numpy as np
import pytest

from mnemon.agent.decoding import Branch, KLBudget, ProseOnly, RewardHead, Shortlist, Steering, Term
from mnemon.agent.decoding.heads import HeadCard
from mnemon.agent.decoding.policies import (
    BestOfSet,
    EntropyGated,
    Fixed,
    LeakyBucket,
    PrintedPanda,
    ReplyBudget,
)
from mnemon.agent.decoding.presets import (
    budgeted,
    classifier_free_guidance,
    cope,
    grounding_term,
    on_topic,
    styled,
)
from mnemon.agent.decoding.rewards import BranchScore, PlainWords
from mnemon.agent.decoding.traits import TRAITS, trait
from mnemon.agent.model_server import as_data, from_data
from mnemon.errors import UsageError

OTHER = Branch(name="other", ids=(5, 6, 7), model="small", adapter="ana")
POLICIES = [
    *(
        Fixed(1.5),
        EntropyGated(0.5),
        KLBudget(0.1, entropy_gated=True),
        LeakyBucket(3.0, 0.2),
        ReplyBudget(0.3),
    ),
    *(BestOfSet((0.0, 1.0), 0.5), PrintedPanda((0.5, 2.0))),
]


def through_json(steering: Steering) -> Steering:
    return from_data(json.loads(json.dumps(as_data(steering), allow_nan=False)))


def test_every_rule_comes_back_as_it_was():
    terms = [term for name in TRAITS for term in trait(name, end_ids=[2, 0], weight=-0.5)]
    terms += [Term(name="spared", reward=PlainWords(spared=["Biscuit"]), weight=0.1, normalise="minmax")]
    terms += [
        on_topic(),
        grounding_term(Branch(name="bare", messages=({"role": "user", "content": "Hé 🐕"},))),
    ]
    steering = budgeted(terms, epsilon=0.3)
    assert through_json(steering) == steering


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_every_policy_comes_back_as_it_was(policy):
    steering = Steering(
        name="all of it",
        policy=policy,
        terms=(Term(name="other", reward=BranchScore(OTHER)),),
        mix={"base": 0.5, "other": 0.5},
        branches=(OTHER,),
        shortlist=Shortlist(top=None, plausibility=0.2, rest="drop", judge="other"),
        gates=(ProseOnly(quotes=False),),
        freeze_end=True,
        temperature=0.7,
        scale=1.5,
    )
    assert through_json(steering) == steering


@pytest.mark.parametrize(
    "steering",
    [
        classifier_free_guidance(OTHER, 1.5),
        cope(OTHER, Branch(name="task", instruction="Be kind.")),
        styled("ana"),
    ],
    ids=lambda steering: steering.name,
)
def test_published_methods_come_back_as_they_were(steering):
    assert through_json(steering) == steering


def test_a_head_comes_back_with_its_card():
    card = HeadCard(model="tiny", pairs=9, held_out_pairs=3, accuracy=0.6, accuracy_stderr=0.1)
    head = RewardHead(np.array([0.1, -0.25, 1e-9]), card)
    sent = through_json(budgeted([Term(name="taste", reward=head)])).terms[0].reward
    assert isinstance(sent, RewardHead)
    assert sent.weight.tolist() == head.weight.tolist()
    assert sent.card == card


GOOD = {"policy": {"kind": "Fixed", "lam": 1.0}}
LEXICON = {"name": "words", "reward": {"kind": "Lexicon", "words": ["maybe"]}}


def with_term(**changes):
    return {**GOOD, "terms": [{**LEXICON, **changes}]}


def test_what_is_left_out_has_its_default():
    assert from_data(GOOD) == Steering(name="sent", policy=Fixed(1.0))
    assert from_data(with_term()).terms[0].normalise == "zscore"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "steering is \\[\\]; an object"),
        ({}, "no policy"),
        ({"policy": "Fixed"}, "steering.policy is 'Fixed'"),
        ({"policy": {"kind": "Scheduled"}}, "'Scheduled', which is not known"),
        ({"policy": {"kind": "Fixed"}}, "steering.policy.lam: Field required"),
        ({"policy": {"kind": "Fixed", "lam": "much"}}, "steering.policy.lam: .*number"),
        ({"policy": {"kind": "KLBudget", "epsilon": -1}}, "no budget"),
        ({**GOOD, "speed": 1}, "'speed', which means nothing"),
        ({**GOOD, "terms": {}}, "steering.terms: .*list"),
        ({**GOOD, "terms": [1]}, "steering.terms.0 is 1"),
        (with_term(reward={"kind": "Rule"}), "'Rule', which is not known"),
        (with_term(reward={"kind": "Lexicon", "words": "maybe"}), "reward.words is 'maybe'; a list"),
        (with_term(reward={"kind": "Lexicon", "words": []}), "at least one word"),
        (with_term(reward={"kind": "Lexicon", "words": ["a"], "x": 1}), "'x', which means nothing"),
        (with_term(reward={"kind": "SentenceMark", "mark": ";"}), "ends with"),
        (with_term(normalise="loud"), "steering.terms.0.normalise"),
        (with_term(weight="much"), "steering.terms.0.weight"),
        (with_term(name=None), "steering.terms.0.name"),
        ({**GOOD, "mix": {"base": "all"}}, "steering.mix.base"),
        ({**GOOD, "shortlist": {"top": 0}}, "empty"),
        ({**GOOD, "branches": [{"name": "x", "ids": [1], "instruction": "y"}]}, "more than one"),
        ({**GOOD, "gates": [{"kind": "Anything"}]}, "'Anything', which is not known"),
    ],
)
def test_what_is_no_steering_is_refused_by_its_place(data, says):
    with pytest.raises(UsageError, match=says):
        from_data(data)
