"""What messages ask of memory, over sentences of our own."""

from datetime import UTC, datetime

import pytest

from mnemon.agent.understanding import speaks_of, stands_alone, understand

NOW = datetime(2024, 6, 12, 9, tzinfo=UTC)  # a Wednesday


def read(message: str, *earlier: str):
    return understand(message, earlier, now=NOW)


@pytest.mark.parametrize(
    "message",
    [
        "Hello!",
        "thanks",
        "Good morning.",
        "Thank you so much!",
        "ok great, thanks",
        "Bye then!",
        "How are you today?",
    ],
)
def test_small_talk_needs_no_memory(message):
    assert read(message).matter == "small talk"
    assert not read(message).needs_memory


@pytest.mark.parametrize(
    "message", ["I moved to Faro.", "My sister is called Ines.", "Actually, we sold the car last week"]
)
def test_what_is_told_is_no_question(message):
    assert read(message).matter == "telling"
    assert read(message).kind is None


@pytest.mark.parametrize(
    "message",
    [
        "Translate 'good night' into Italian.",
        "What is the capital of France?",
        "Who wrote Hamlet?",
        "What is 12 * 7?",
        "How do you spell rhythm?",
        "Define entropy.",
    ],
)
def test_what_the_world_knows_needs_no_memory(message):
    assert (read(message).matter, read(message).needs_memory) == ("world", False)


@pytest.mark.parametrize(
    "message",
    [
        "Send Ines a message that I am late.",
        "Set my alarm for seven.",
        "Call my mother.",
        "Add milk to my list.",
    ],
)
def test_what_is_to_be_done_is_not_told(message):
    assert read(message).matter != "telling"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("What is my dog called?", "extraction"),
        ("Where did we go last summer?", "extraction"),
        ("When is my mother's birthday?", "extraction"),
        ("How old am I?", "extraction"),
        ("Summarise what I told you about my job.", "abstraction"),
        ("What do you know about me?", "abstraction"),
        ("How has my knee been lately?", "abstraction"),
        ("How often do I go running?", "abstraction"),
        ("List all my appointments.", "abstraction"),
        ("What should I cook tonight?", "generalisation"),
        ("Recommend a book for my sister.", "generalisation"),
        ("Can you help me plan the weekend?", "generalisation"),
        ("Would she like a concert ticket?", "generalisation"),
        ("Write a short toast for the wedding.", "generalisation"),
    ],
)
def test_kinds(message, kind):
    assert read(message).kind == kind


@pytest.mark.parametrize(
    ("message", "only_memory"),
    [
        ("What is my dog called?", True),
        ("Do I like olives?", True),
        ("Where does Ines live?", True),
        ("When did we move here?", True),
        ("How long have I been learning Italian?", True),
        ("Why does my knee hurt?", False),
        ("How do I boil an egg?", False),
        ("How is the weather in Porto?", False),
        ("What should I cook tonight?", False),
        ("Tell me a joke about my profession.", False),
        ("What did you recommend to me?", False),
        ("Can you fix my code?\nfor i in range(3): print(i", False),
        ("How tall is Mount Everest?", False),
    ],
)
def test_what_only_the_person_can_have_said(message, only_memory):
    assert read(message).only_memory_answers is only_memory


def test_two_questions_are_asked_one_by_one():
    assert read("Where does Ines live and what is my dog called?").queries == (
        "Where does Ines live",
        "what is my dog called?",
    )
    assert read("What is my dog called? And how old is he?").queries[0] == "What is my dog called?"
    assert read("Do I like salt and pepper?").queries == ("Do I like salt and pepper?",)


@pytest.mark.parametrize(
    ("message", "earlier", "asked"),
    [
        (
            "And for my sister?",
            "What should I cook tonight?",
            "What should I cook tonight? And for my sister?",
        ),
        (
            "Where does she live?",
            "My sister is called Ines.",
            "My sister is called Ines. Where does she live?",
        ),
        ("Where does Karl live?", "My sister is called Ines.", "Where does Karl live?"),
    ],
)
def test_what_points_back_is_asked_with_what_it_points_to(message, earlier, asked):
    assert read(message, "Hello.", earlier).queries[0] == asked


def test_advice_also_asks_for_likings_and_limits():
    assert "allergic" in read("What should I cook tonight?").queries[1]
    assert "books" in read("Recommend a novel for me.").queries[1]
    assert len(read("What is my dog called?").queries) == 1


def test_the_second_try_uses_the_words_that_carry_meaning():
    assert read("What was the name of the restaurant in Lisbon?").again == ("name restaurant Lisbon",)
    assert read("Which town was it?", "I went on holiday.").again[-1] == "town"


def test_time():
    asked = read("Where was I last week?")
    assert asked.since is not None
    assert asked.until is not None
    assert asked.since < asked.until <= NOW
    assert read("Where do I live?").since is None


@pytest.mark.parametrize(
    ("question", "memory", "about"),
    [
        ("What is my cat called?", "My beagle is called Biscuit.", False),
        ("What is my dog called?", "My beagle is called Biscuit.", True),
        ("What's my brother's name?", "The user's sister is called Ines.", False),
        ("What is my mum's name?", "My mother is called Rita.", True),
        ("When is my sister's birthday?", "My sister Ines lives in Porto.", False),
        ("When is my sister's birthday?", "My sister was born on 3 May.", True),
        ("Where does Karl live?", "My sister Ines lives in Porto.", False),
        ("Where does Ines live?", "My sister Ines lives in Porto.", True),
        ("What is my job?", "I work as a nurse.", True),
        ("Where do I live?", "I moved to Faro.", True),
    ],
)
def test_a_memory_of_another_relation_is_no_answer(question, memory, about):
    assert speaks_of(question, memory) is about


@pytest.mark.parametrize(
    ("message", "alone"),
    [
        ("What is the moon?", True),
        ("Explain photosynthesis.", True),
        ("Why is the sea salty?", True),
        ("Why?", False),
        ("Tell me more.", False),
        ("Shorter, please.", False),
        ("Can you give me an example?", False),
        ("And in Faro?", False),
        ("What does she do?", False),
    ],
)
def test_some_messages_cannot_be_understood_alone(message, alone):
    assert stands_alone(message) is alone


@pytest.mark.parametrize(
    ("message", "impersonal"),
    [
        ("How many legs does a spider have?", True),
        ("How do planes stay in the air?", True),
        ("What is the locker number?", True),
        ("What is my locker number?", False),
        ("Where did we meet?", False),
        ("Recommend a good detective novel.", False),  # likings help there
    ],
)
def test_some_questions_do_not_say_that_they_are_the_persons(message, impersonal):
    assert read(message).impersonal is impersonal


def test_what_a_word_means_is_the_worlds():
    assert not read("What is knitting?").needs_memory
    assert not read("What is a glacier?").needs_memory
    assert read("What is Ines?").needs_memory
    assert read("What is the plan?").needs_memory
