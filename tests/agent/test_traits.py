"""Traits that can be counted: rules that move a reply's words, at rest where they have no say."""

import pytest

from mnemon.agent.decoding.presets import budgeted, on_topic
from mnemon.agent.decoding.steering import BASE
from mnemon.agent.decoding.traits import RULE_WEIGHT, TRAITS, trait
from mnemon.errors import UsageError
from tests.agent.test_rewards import view

END_IDS = frozenset({8})  # "<end>" of the pieces in test_rewards


@pytest.mark.parametrize("name", TRAITS)
def test_every_trait_is_rules_that_cost_no_row(name: str) -> None:
    terms = trait(name, end_ids=END_IDS)
    steering = budgeted(terms)
    assert set(steering.used_branches()) == {BASE}
    assert steering.freeze_end == (name != "brief")
    assert steering.shortlist.plausibility < 0.1
    assert len({term.name for term in terms}) == len(terms)


@pytest.mark.parametrize(
    ("name", "written", "liked", "disliked"),
    [
        ("short sentences", "One two three four five six seven eight nine", ".", " perhaps"),
        ("plain", "A", " per", " extraordinarily"),
        ("brief", " ".join(["word"] * 30), "<end>", " perhaps"),
        ("excited", "Well done", "!", "."),
        ("careful", "It is", " perhaps", " extraordinarily"),
        ("personal", "", " you", " I"),
    ],
)
def test_a_trait_prefers_what_it_is_named_for(name: str, written: str, liked: str, disliked: str) -> None:
    seen = view(
        written, pieces=[" I", " perhaps", " per", "haps", "!", ".", " extraordinarily", " you", "<end>"]
    )
    texts = seen.candidate_texts()
    total = sum(term.weight * term.reward.score(seen) for term in trait(name, end_ids=END_IDS))  # type: ignore[union-attr]
    assert total[texts.index(liked)] > total[texts.index(disliked)]


def test_plain_words_leave_what_was_asked_about_its_name() -> None:
    seen = view("A", pieces=[" extraordinarily", " unquestionably"])
    asked = ("", "What happens extraordinarily often?")
    blind, knowing = (trait("plain", end_ids=END_IDS, asked=message)[0] for message in asked)
    assert blind.reward.score(seen).tolist() == [-5, -4]  # type: ignore[union-attr]
    assert knowing.reward.score(seen).tolist() == [0, -4]  # type: ignore[union-attr]


def test_a_disliked_trait_has_the_other_sign() -> None:
    (liked,), (disliked,) = trait("excited", end_ids=()), trait("excited", end_ids=(), weight=-0.5)
    assert liked.weight == RULE_WEIGHT
    assert disliked.weight == -0.5 * RULE_WEIGHT


def test_on_topic_compares_with_a_request_for_anything() -> None:
    assert [branch.name for branch in on_topic().reward.branches] == [BASE, "anything"]  # type: ignore[union-attr]
    assert budgeted([on_topic()]).shortlist.plausibility == 0.1


def test_an_unknown_trait_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'witty'.*'brief'"):
        trait("witty", end_ids=())
