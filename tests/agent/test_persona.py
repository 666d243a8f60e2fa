"""From plans to steerings: which rewards, how much λ, and that nothing known steers nothing."""

from pathlib import Path

import pytest

from mnemon.agent import LocalChatModel, ReplyOptions
from mnemon.agent.decoding.policies import DEFAULT_EPSILON
from mnemon.agent.decoding.rewards import (
    Contrast,
    Lexicon,
    PlainWords,
    ReplyLength,
    SentenceLength,
    SentenceMark,
)
from mnemon.agent.persona import PersonaSteering, steering_for
from mnemon.profiles import Leaning, Persona, TraitBank


def compiled(persona: Persona, query: str = "Hello", about: tuple[str, ...] = ()) -> PersonaSteering:
    return steering_for(persona.plan(query, about=about), end_ids=[0])


def test_nothing_known_steers_nothing() -> None:
    assert compiled(Persona()).idle


def test_plain_words_spare_those_of_the_message() -> None:
    plan = Persona().leaning("plain-words", 1).plan("Hello")
    terms = steering_for(plan, asked="Is photosynthesis a process?").active_terms()
    (rule,) = (term.reward for term in terms if isinstance(term.reward, PlainWords))
    assert rule.spared == ("photosynthesis", "process")


def test_questions_rest_where_they_are_wanted_and_never_where_not() -> None:
    for weight, rest in ((1.0, 2), (-1.0, 0)):
        terms = compiled(Persona().leaning("asks-back", weight)).active_terms()
        (marks,) = (term.reward for term in terms if isinstance(term.reward, SentenceMark))
        assert marks == SentenceMark("?", rest=rest)


@pytest.mark.parametrize("trait", sorted(TraitBank.load()))
@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_every_trait_and_its_opposite_can_be_steered(trait: str, weight: float) -> None:
    steering = compiled(Persona().leaning(trait, weight))
    assert steering.active_terms()
    assert set(steering.used_branches()) <= {
        "base",
        trait,
        f"not {trait}",
        *map("opposite of {}".format, (trait, f"not {trait}")),
        "anything",  # what keeps rules to the point
    }


def test_many_traits_and_lines_share_no_branch_by_accident() -> None:
    persona = Persona()
    for trait, weight in (("warm", 1), ("formal", -1), ("steps", 1), ("british", 1), ("emoji", -1)):
        persona = persona.leaning(trait, weight)
    steering = compiled(persona, about=("The user prefers tea.",))
    assert len(steering.used_branches()) == 1 + 2 * 5 + 1
    assert "- The user prefers tea." in steering.used_branches()["about the person"].instruction


def test_rules_are_taken_with_their_sign() -> None:
    *marks, on_topic = compiled(Persona().leaning("enthusiastic", -1)).terms
    assert {type(term.reward) for term in marks} == {SentenceMark}
    assert on_topic.name == "on topic"
    *terms, _ = compiled(Persona().leaning("metric", -0.5)).terms
    assert [term.weight < 0 for term in terms] == [True, False]
    assert all(isinstance(term.reward, Lexicon) for term in terms)
    long, _ = compiled(Persona().leaning("short-sentences", -1)).terms
    assert isinstance(long.reward, SentenceLength)
    assert long.weight > 0


def test_a_contrast_alone_needs_nothing_to_keep_it_to_the_point() -> None:
    assert [term.name for term in compiled(Persona().leaning("warm", 1)).terms] == ["warm"]


def test_length_may_move_the_end_and_nothing_else_may() -> None:
    concise = compiled(Persona().leaning("concise", 1))
    assert isinstance(concise.terms[0].reward, ReplyLength)
    assert not concise.freeze_end
    assert compiled(Persona().leaning("warm", 1)).freeze_end


def test_uncertainty_lowers_the_budget() -> None:
    def epsilon(confidence: float) -> float:
        one = Leaning(trait="warm", weight=1, confidence=confidence)
        return compiled(Persona(leanings=(one,))).policy.epsilon  # type: ignore[attr-defined,no-any-return]

    assert epsilon(1) == DEFAULT_EPSILON
    assert epsilon(0.25) == pytest.approx(DEFAULT_EPSILON / 4)


def test_what_it_was_made_from_is_at_hand_for_the_trace() -> None:
    steering = compiled(Persona().leaning("warm", 1), "What is my name?")
    assert steering.plan.to_dict()["query_kind"] == "extraction"


def test_weights_order_the_terms() -> None:
    steering = compiled(Persona().leaning("warm", 0.2).leaning("formal", -0.9))
    contrasts = {term.name: term.weight for term in steering.terms if isinstance(term.reward, Contrast)}
    assert contrasts == {"not formal": 0.9, "warm": 0.2}


@pytest.mark.model
def test_the_default_model_takes_a_persona(chat_weights: Path) -> None:
    model = LocalChatModel.open(chat_weights)
    question = "How was your day?"
    messages = [{"role": "user", "content": question}]
    steering = Persona().leaning("enthusiastic", 1).compile(model, question)
    trace = model.steer(messages, steering, options=ReplyOptions(max_tokens=12)).reply.trace  # type: ignore[attr-defined]
    assert trace.steering == "persona"
    unsure = Persona(leanings=(Leaning(trait="warm", weight=1, confidence=0),))
    assert unsure.compile(model, question).idle
