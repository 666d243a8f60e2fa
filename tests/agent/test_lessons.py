"""Feedback by words: what is heard, what only looks like it, and what becomes of it at once."""

import pytest

from mnemon.agent import Assistant
from mnemon.agent.feedback_words import heard
from mnemon.front import Memory
from mnemon.testing import FrozenClock, HashEmbedder, ScriptedChatModel

REPLY = "Porto lies on the Douro."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("That was great", "liked"),
        ("That's perfect, thanks!", "liked"),
        ("Great answer!", "liked"),
        ("Good job.", "liked"),
        ("What a helpful explanation!", "liked"),
        ("Wow, that's exactly what I needed!", "liked"),
        ("That was really helpful, thank you so much.", "liked"),
        ("I love that answer.", "liked"),
        ("That was wrong.", "disliked"),
        ("That’s not what I asked.", "disliked"),
        ("No, that's wrong. She lives in Faro.", "disliked"),
        ("Your answer was not helpful.", "disliked"),
        ("That didn't help.", "disliked"),
        ("This isn't right.", "disliked"),
        ("You already told me", "told already"),
        ("You've told me that before.", "told already"),
        ("You keep repeating yourself", "told already"),
        ("Don't remember that", "not to be kept"),
        ("Please don't remember that.", "not to be kept"),
        ("Please forget what I just said.", "not to be kept"),
        ("Delete that from your memory.", "not to be kept"),
        ("You don't need to remember that.", "not to be kept"),
        ("Could you forget what I told you?", "not to be kept"),
        ("That was off the record.", "not to be kept"),
    ],
)
def test_what_is_said_of_the_reply_before(said, meant):
    assert heard(said, before=REPLY) == meant
    assert heard(said, before="") is None


@pytest.mark.parametrize(
    "said",
    [
        "The concert was great.",
        "I went to a concert. That was great.",
        "Great!",
        "Thanks!",
        "That was great weather.",
        "That was my sister.",
        "My answer was wrong.",
        "The advice was bad, but from my doctor.",
        "She told me that already.",
        "You already told me that Ines lives in Porto, but where exactly?",
        "What did you already tell me?",
        "My boss said that was a great answer.",
        "It was a good idea to move.",
        "Was that good?",
        "Is that right?",
        "He is wrong.",
        "I have a bad idea.",
        "I don't remember that.",
        "Don't remember the milk?",
        "Don't forget that I am vegetarian.",
        "Don't let me forget that.",
        "Remember that.",
        "Do you remember that?",
        "Forget it.",
        "Forget that.",
        "Never mind.",
        "I forgot what I just said.",
        "Right.",
    ],
)
def test_ordinary_talk_is_no_feedback(said):
    assert heard(said, before=REPLY) is None


def test_an_answer_to_a_question_of_the_assistant_is_about_what_was_asked():
    assert heard("That was great!", before="How was the concert?") is None
    assert heard("Great answer!", before="Shall I go on?") == "liked"


@pytest.fixture
def clock():
    return FrozenClock("2024-06-01T09:00:00+00:00")


@pytest.fixture
def assistant(tmp_path, clock):
    with Memory.open(tmp_path / "people.db", embedder=HashEmbedder(), clock=clock) as memory:
        model = ScriptedChatModel(lambda messages, _: f"<{messages[-1]['content']}>")
        yield Assistant(memory.for_user("ana"), model, clock=clock)


def say(assistant, text):
    """What was learnt, as it is told; a minute passes."""
    assistant._nodes.clock.advance(minutes=1)
    told = [one for event in assistant.events(text) for one in event.get("lessons", [])]
    assert tuple(told) == assistant.last.lessons
    return [(one.kind, one.text) for one in told]


def test_praise_and_blame_rate_the_reply_before(assistant):
    assert say(assistant, "What is the Douro?") == []
    first = assistant.last.id
    assert say(assistant, "That was great!") == [("rating", "you liked that reply.")]
    second = assistant.last.id
    assert say(assistant, "You already told me that.") == [("rating", "you did not like that reply.")]
    kept = assistant.person.feedback_log("reply")
    assert [(one.good, one.bad, one.rating, one.note) for one in kept] == [
        ((first,), (), 1, "That was great!"),
        ((), (second,), -1, "You already told me that."),
    ]


def test_a_wish_changes_the_very_next_reply(assistant):
    say(assistant, "What is a rainbow?")
    assert say(assistant, "Shorter please") == [("manner", "Answer in one or two short sentences.")]
    say(assistant, "What is the moon?")
    system = assistant.model.calls[-1].messages[0]["content"]
    assert "Answer in one or two short sentences." in system
    assert [one.trait for one in assistant.last.traits] == ["concise"]


def test_a_wish_with_a_condition_says_so(assistant):
    (told,) = say(assistant, "When it's about code, give me more detail.")
    assert told[1].endswith("(when code)")


def test_what_was_put_right_is_told_with_what_it_replaces(assistant):
    assert say(assistant, "My sister is called Ana.") == []
    assert say(assistant, "No, my sister is called Ines.") == [
        ("fact", "Your sister is called Ines. (no longer: Your sister is called Ana.)")
    ]
    assert [fact.text for fact in assistant.person.facts("sister")] == ["The user's sister is called Ines."]


def test_what_is_not_to_be_kept_goes_with_what_came_of_it(assistant):
    say(assistant, "My dog is called Rex.")
    say(assistant, "My sister is called Ines.")
    assert say(assistant, "Please don't remember that.") == [("forgotten", "2 turns, 1 fact.")]
    assert assistant.last.text == "All right, I keep nothing of that."
    left = " ".join([turn.text for turn in assistant.person.timeline()])
    assert "Rex" in left
    assert "Ines" not in left
    assert [fact.text for fact in assistant.person.facts()] == ["The user's dog is called Rex."]


def test_nothing_is_forgotten_where_nothing_came_before(assistant):
    assert say(assistant, "Don't remember that.") == []
    assert assistant.last.text == "<Don't remember that.>"


def test_undo_takes_back_the_turn_and_not_the_rating(assistant):
    say(assistant, "What is the Douro?")
    say(assistant, "That was great!")
    assert "That was great!" in str(assistant.person.undo())


def test_the_strength_of_steering_is_refused_where_nothing_is_steered(assistant):
    from mnemon.errors import UsageError

    with pytest.raises(UsageError, match="not steered"):
        assistant.lead(0.5)


def test_what_was_said_of_replies_is_no_memory(assistant):
    say(assistant, "What is the Douro?")
    say(assistant, "That was a great explanation of rivers!")
    say(assistant, "Great explanation!")
    say(assistant, "Whose great explanation was it?")
    assert "Great explanation!" not in [one.text for one in assistant.last.memories]


def test_a_request_of_before_is_no_memory(assistant):
    say(assistant, "Tell me about the moon.")
    say(assistant, "Tell me about my sister: she likes the moon.")
    say(assistant, "What about the moon?")
    assert [one.text for one in assistant.last.memories] == ["Tell me about my sister: she likes the moon."]
