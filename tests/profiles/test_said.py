"""What people say about how they want to be answered, and what only looks like it."""

from datetime import UTC, datetime

import pytest

from mnemon.memory import Episode
from mnemon.profiles import Leaning, TraitBank
from mnemon.profiles.said import added, wishes

NOW = datetime(2024, 5, 1, tzinfo=UTC)
BANK = TraitBank.load()


def heard(text: str, role: str = "user", speaker: str = "") -> dict[tuple[str, str], Leaning]:
    turn = Episode(id="e-1", text=text, time=NOW, role=role, speaker=speaker, recorded_at=NOW)  # type: ignore[arg-type]
    return {one.key: one for one in wishes(turn, BANK.values())}


@pytest.mark.parametrize(
    ("text", "trait", "sign"),
    [
        ("Keep it short.", "concise", 1),
        ("Please keep your answers brief from now on.", "concise", 1),
        ("I prefer detailed answers.", "concise", -1),
        ("That was too long!", "concise", 1),
        ("No jargon please.", "plain-words", 1),
        ("I hate jargon.", "plain-words", 1),
        ("Metric units only, I live in Porto.", "metric", 1),
        ("Give me temperatures in Fahrenheit.", "metric", -1),
        ("Stop using emojis.", "emoji", -1),
        ("I love it when you use emojis!", "emoji", 1),
        ("Don't be so formal.", "formal", -1),
        ("Use British spelling.", "british", 1),
        ("Always cite your sources.", "cites", 1),
        ("Explain it step by step.", "steps", 1),
        ("No spoilers!", "no-spoilers", 1),
        ("Please ask me questions before you answer.", "asks-back", 1),
        ("Stop apologising.", "polite", -1),
        ("Skip the disclaimers.", "caveats", -1),
        ("Be direct with me.", "direct", 1),
        ("Can you give me more examples?", "examples", 1),
        ("Shorter, please.", "concise", 1),
        ("Too long!", "concise", 1),
        ("Your answers are way too long.", "concise", 1),
        ("You talk too much.", "concise", 1),
        ("Answer me briefly from now on.", "concise", 1),
        ("No long explanations, please.", "concise", 1),
        ("I hate long explanations.", "concise", 1),
        ("I'm tired of your long answers.", "concise", 1),
        ("Stop giving me long answers.", "concise", 1),
        ("I can't stand short answers.", "concise", -1),
        ("More detail please", "concise", -1),
        ("No emojis please", "emoji", -1),
        ("Please never use exclamation marks.", "enthusiastic", -1),
    ],
)
def test_wishes(text: str, trait: str, sign: int) -> None:
    found = heard(text)
    assert (trait, "") in found, sorted(found)
    assert found[trait, ""].weight * sign > 0


@pytest.mark.parametrize(
    "text",
    [
        "My boss said to keep it short.",
        "She likes emojis.",
        "Should I keep it short?",
        "Write a short email to my landlord.",
        "Do you prefer metric units?",
        "> Keep it short.",
        "```\n# keep it short\n```",
        "It was a short walk.",
        "The queue was too long.",
        "The film is way too long.",
        "My hair should be shorter.",
        "Days are getting shorter now.",
        "I bought a short coat and a formal dress.",
        "He wants detailed answers.",
    ],
)
def test_what_is_no_wish(text: str) -> None:
    assert heard(text) == {}


def test_a_wish_that_is_said_again_less_surely_stays_as_sure_as_it_was() -> None:
    assert heard("Shorter, please. You talk too much.")["concise", ""].confidence == 0.8
    assert heard("Shorter, please. More detail, please.")["concise", ""].weight < 0


def test_only_the_person_is_heard() -> None:
    assert not heard("Keep it short.", role="assistant")
    assert not heard("Keep it short.", speaker="Ben")


@pytest.mark.parametrize(
    "text",
    [
        "When it's about code, keep it short.",
        "Keep your answers short for coding questions.",
        "Keep it short when I ask about programming.",
    ],
)
def test_conditions(text: str) -> None:
    assert list(heard(text)) == [("concise", "code")]


def test_a_wish_for_one_reply_counts_less() -> None:
    lasting, passing = heard("Always keep it short."), heard("Tell me in one sentence what a qubit is.")
    assert lasting["concise", ""].confidence > passing["concise", ""].confidence
    assert lasting["concise", ""].quote == "Always keep it short."
    assert lasting["concise", ""].evidence == ("e-1",)


def test_the_same_wish_is_surer_and_another_replaces_it() -> None:
    first = heard("Tell me in one sentence what a qubit is.")["concise", ""]
    assert added(first, first).confidence > first.confidence
    other = heard("I want longer answers.")["concise", ""]
    assert added(first, other) == other
