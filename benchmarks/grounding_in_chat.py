"""Grounding as the assistant uses it: what it gains where memory is asked, and whether it is off elsewhere.

    python benchmarks/grounding_in_chat.py [--questions 200] [--model default] [--json]

A person has told the fifty facts of `grounding_gain`. They are asked for each in four ways; and fifty
messages are sent that bear on none of them. Every reply is written twice, greedily, with
grounding and without, from the same memories in the prompt. Prints how many questions are answered right
either way, how many of the other replies are equal letter by letter, for how many of those something was
recalled all the same, and grounding's share of all that steering added, as the traces have it.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from grounding_gain import ASKING, FACTS, says
from many_replies import mean

from mnemon.agent import Assistant, AssistantReply, LocalChatModel, ReplyOptions
from mnemon.evals.stats import paired_test
from mnemon.front import Memory

OPTIONS = ReplyOptions(max_tokens=32, temperature=0.0)
TERM = "memories"

ELSEWHERE = (
    "Hello!",
    "Good morning.",
    "How are you?",
    "Thank you very much.",
    "Good night.",
    "Tell me a joke.",
    "What can you do?",
    "Who made you?",
    "Happy New Year!",
    "Nice to meet you.",
    "Can you help me with something?",
    "You are funny.",
    "See you tomorrow.",
    "That was not what I meant.",
    "Write a short poem about the sea.",
    "Write two sentences about autumn.",
    "What is the capital of Mongolia?",
    "How many legs does a spider have?",
    "Explain how a rainbow forms.",
    "Why is the sky blue?",
    "What is seven times eight?",
    "Who wrote Hamlet?",
    "Translate 'thank you' into Spanish.",
    "What does HTTP stand for?",
    "How does a vaccine work?",
    "What is the boiling point of water?",
    "Name three planets.",
    "What is a prime number?",
    "How long is a marathon?",
    "Which gas do plants take in?",
    "What is photosynthesis?",
    "Describe a black hole in one sentence.",
    "What is the largest ocean?",
    "When did the Second World War end?",
    "How do I boil an egg?",
    "What is inflation?",
    "Give me a synonym for 'quick'.",
    "How does a bicycle stay upright?",
    "What is the square root of 81?",
    "Who painted the Mona Lisa?",
    "What is a haiku?",
    "Explain gravity to a child.",
    "How many days are in a leap year?",
    "What is the speed of light?",
    "Which metal is liquid at room temperature?",
    "What do bees make?",
    "List four colours.",
    "What is a verb?",
    "How are clouds made?",
    "What is the opposite of 'early'?",
)


def both(model: LocalChatModel, messages: Sequence[str]) -> list[dict[str, Any]]:
    """Per message the reply with grounding and without, and what the first one's trace says of it."""
    grounded, plain = (replies(model, messages, grounding) for grounding in (1.0, 0.0))
    return [
        {
            "asked": message,
            "grounded": one.text,
            "plain": other.text,
            "memories": [memory.text for memory in one.memories],
            "share": one.trace.shares().get(TERM, 0.0) if one.trace is not None else 0.0,
            "kl": one.trace.kl if one.trace is not None else 0.0,
        }
        for message, one, other in zip(messages, grounded, plain, strict=True)
    ]


def replies(model: LocalChatModel, messages: Sequence[str], grounding: float) -> list[AssistantReply]:
    """From a memory of its own: what is said to one assistant is not to be recalled by the other."""
    with Memory.open(":memory:") as memory:
        person = memory.for_user("ana")
        for number, fact in enumerate(FACTS):
            person.remember(fact.memory, session=f"day {number}")
        one = Assistant(person, model, options=OPTIONS, grounding=grounding, strength=0.0)
        return [one.reply(message, thread=str(number)) for number, message in enumerate(messages)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true", help="every reply, as JSON lines")
    given = parser.parse_args()
    model = LocalChatModel.open(given.model)
    asked = [(fact, way.format(q=fact.question)) for way in ASKING for fact in FACTS][: given.questions]
    told = both(model, [question for _, question in asked])
    other = both(model, ELSEWHERE)
    if given.json:
        for row in [*told, *other]:
            print(json.dumps(row, ensure_ascii=False))
    right = {
        form: [says(fact.answers)(row[form])["right"] for (fact, _), row in zip(asked, told, strict=True)]
        for form in ("plain", "grounded")
    }
    test = paired_test(right["plain"], right["grounded"], [fact.memory for fact, _ in asked])
    print(
        f"{len(told)} questions, something recalled for {sum(bool(row['memories']) for row in told)}: "
        f"right plain {test.first:.3f}, grounded {test.second:.3f} "
        f"({test.difference.value:+.3f} [{test.difference.low:+.3f}, {test.difference.high:+.3f}], "
        f"+{test.wins} −{test.losses}, p = {test.p_cluster:.2g} by fact)"
    )
    for name, rows in (
        ("recalled", [row for row in other if row["memories"]]),
        ("nothing recalled", [row for row in other if not row["memories"]]),
    ):
        equal = sum(row["plain"] == row["grounded"] for row in rows)
        share = mean([row["share"] for row in rows])
        print(f"{len(rows)} other messages, {name}: {equal} replies equal, share of grounding {share:.2f}")


if __name__ == "__main__":
    main()
