"""What a question is about and what it asks of memory; which leanings hold for it, and how hard."""

import pytest

from mnemon.profiles import Leaning, Persona
from mnemon.profiles.conditions import holds, named_topic, query_kind, topics


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("What is my dog's name?", "extraction"),
        ("When did I move to Lisbon?", "extraction"),
        ("How many times have I been to Rome?", "extraction"),
        ("What kind of films do I like?", "abstraction"),
        ("Describe me in one line.", "abstraction"),
        ("What do you know about me?", "abstraction"),
        ("Recommend me a film.", "generalisation"),
        ("What should I cook tonight?", "generalisation"),
        ("How do I sort a list in Python?", "generalisation"),
        ("Hello!", "generalisation"),
    ],
)
def test_kinds_of_question(query: str, kind: str) -> None:
    assert query_kind(query) == kind


@pytest.mark.parametrize(
    ("query", "topic"),
    [
        ("Why does this Python loop never end?", "code"),
        ("What does foo_bar() return", "code"),
        ("A recipe for soup", "cooking"),
        ("Write an email to my landlord", "writing"),
    ],
)
def test_topics(query: str, topic: str) -> None:
    assert topics(query)[0] == topic


def test_a_topic_in_somebodys_words() -> None:
    assert named_topic("Coding") == "code"
    assert named_topic("my thesis on bees") == "my thesis on bees"


def test_words_of_ones_own_must_all_be_there() -> None:
    assert holds("my thesis", "Is my thesis too long?")
    assert not holds("my thesis", "Is my essay too long?")
    assert not holds("the", "the")
    assert holds("", "anything")


class TestPlan:
    persona = Persona().leaning("concise", -0.4).leaning("concise", 0.9, when="code").leaning("emoji", 0.02)

    def test_a_condition_that_holds_replaces_the_rest(self) -> None:
        assert self.persona.plan("Fix this python bug").wishes[0].pull == 0.9
        assert self.persona.plan("How are you?").wishes[0].pull == -0.4

    def test_what_is_left_out_is_named(self) -> None:
        assert any("emoji: too faint" in line for line in self.persona.plan("Hi").left_out)

    def test_uncertainty_lowers_the_strength(self) -> None:
        sure, unsure = (
            Persona(leanings=(Leaning(trait="concise", weight=1, confidence=c),)).plan("Hi") for c in (1, 0.2)
        )
        assert (sure.strength, unsure.strength) == (1, 0.2)

    def test_a_question_for_a_fact_is_steered_half_as_hard(self) -> None:
        assert Persona().leaning("warm", 1).plan("What is my name?").strength == 0.5

    def test_the_trace_names_level_kind_and_evidence(self) -> None:
        one = Leaning(trait="concise", weight=1, level="persona", origin="shared", evidence=("e-1",))
        shown = Persona(leanings=(one,)).plan("Fix this bug").to_dict()
        assert shown["query_kind"] == "generalisation"
        assert shown["topics"] == ["code"]
        assert shown["traits"] == [
            {
                "trait": "concise",
                "weight": 1,
                "confidence": 1,
                "level": "persona",
                "origin": "shared",
                "when": "",
                "evidence": ["e-1"],
            }
        ]

    def test_nothing_known_is_an_empty_plan(self) -> None:
        assert not Persona().plan("Hi")

    def test_a_trait_that_the_bank_lost_is_named(self) -> None:
        gone = Persona(leanings=(Leaning(trait="pirate", weight=1),)).plan("Hi")
        assert gone.left_out == ("pirate: no such trait in the bank",)
