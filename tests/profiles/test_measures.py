"""What is counted, worked by hand on short texts; and that every trait's measure exists."""

import pytest

from mnemon.profiles.measures import MEASURES, measure_text, syllables
from mnemon.profiles.traits import TraitBank

LIST = "Do this:\n1. Wrap it.\n2. Freeze it."  # 6 words in 3 sentences; the list's numbers tell nothing


@pytest.mark.parametrize(
    ("measure", "text", "value"),
    [
        ("words", "It's 3 o'clock, Ana.", 3),
        ("words", LIST, 6),
        ("sentence_words", "One two. Three four five six.", 3),
        ("sentence_words", LIST, 2),
        ("sentence_words", "It costs 3.50 in all.", 4),
        ("letters_per_word", "Put it in a bag", 11 / 5),
        ("grade", "The cat sat.", 0.39 * 3 + 11.8 - 15.59),
        ("variety", "tea tea tea milk", 0.5),
        ("variety", "tea " * 60, 1 / 30),
        ("formality", "Therefore, one should obtain tea.", 100 * 3 / 5),
        ("formality", "Hey, that's cool stuff", 100 * -3 / 4 - 0.5 * 25),
        ("contractions", "You don't know it's Ana's.", 40),
        ("courtesies", "Please sit, thank you.", 50),
        ("warmth", "I hope you enjoy tea.", 40),
        ("praise", "Well done, great question!", 50),
        ("humour", "Just kidding :)", 100),
        ("emoji", "Tea 😀 and cake 👍🏽", 100 * 2 / 3),
        ("emoji", "Plain text.", 0),
        ("exclamations", "Yes! No. Maybe!", 2 / 3),
        ("second_person", "You know your tea", 50),
        ("questions", "Tea? Or milk. Say.", 1 / 3),
        ("ends_asking", "In a bag. Do you have one? ", 1),
        ("ends_asking", "Why? In a bag.", 0),
        ("answer_first", "Freeze it today.", 1),
        ("answer_first", "Great question! Freeze it.", 0),
        ("answer_first", "Is it fresh? Freeze it.", 0),
        ("hedges", "Perhaps it might rain", 50),
        ("hedges", "It rains.", 0),
        ("caveats", "Keep in mind the risk", 40),
        ("contrasts", "Cheap, but slow", 100 / 3),
        ("options", "Tea or milk; alternatively water", 40),
        ("examples", "Fruit, for example apples, such as these", 100 * 2 / 7),
        ("analogies", "Imagine a hose: like a heart", 100 * 2 / 6),
        ("citations", "According to one study [1]", 75),
        ("numbers", "Take 2 eggs and 1,000 g", 50),
        ("numbers", LIST, 0),
        ("metric_units", "It is 3 km, and 2 miles, or 5 kg.", 1 / 3),
        ("metric_units", "I'm there.", 0),
        ("british_spelling", "My favourite colour, not color", 1 / 3),
        ("steps", LIST, 100 * 2 / 6),
        ("steps", "First wrap, then freeze.", 50),
        ("bullets", "So:\n- one\n* two", 2 / 3),
        ("list_lines", "Here:\n- Wrap it.\n- Freeze it.\n\nGood luck.", 0.5),
        ("list_lines", "- Only one point", 0),
        ("list_lines", "It is -5 degrees.\n2023 was warm.", 0),
        ("headings", "# Tea\nHot.\n**Milk**\nCold **and** white.", 2),
        ("code", "Use `ls` and\n```sh\nls\n```", 40),
    ],
)
def test_a_measure_worked_by_hand(measure: str, text: str, value: float) -> None:
    assert measure_text(text)[measure] == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "  \n ", "?!", "12 34", "\ud800", "。", "- \n- "])
def test_text_without_words_measures_no_rates(text: str) -> None:
    found = measure_text(text)
    assert found["words"] == found["hedges"] == found["grade"] == found["letters_per_word"] == 0
    assert all(abs(value) < 100 for value in found.values())


@pytest.mark.parametrize(("word", "count"), [("tea", 1), ("bicycle", 3), ("cake", 1), ("the", 1), ("hm", 1)])
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_what_a_trait_names_is_measured() -> None:
    assert {trait.measure for trait in TraitBank.load().values()} - {""} <= set(MEASURES)


def test_a_step_is_felt_alike_wherever_it_starts() -> None:
    words, hedges, grade = MEASURES["words"], MEASURES["hedges"], MEASURES["grade"]
    assert words.felt(127) - words.felt(63) == pytest.approx(words.felt(15) - words.felt(7))
    assert (hedges.felt(9), MEASURES["formality"].felt(-4)) == (3, -2)
    assert grade.felt(-1.5) == -1.5
