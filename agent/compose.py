"""From what was recalled and the running thread to the messages that a model reads.

A small model follows few memories and short instructions, a large one many and long: `Layout` says how,
and `layout_for` picks by size. Recalled text is data: it is quoted, stripped of anything that could end its
fence, and never becomes a message of its own.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeVar

from mnemon.agent.fence import fenced, orders, quotable, quoted_lines
from mnemon.agent.seams import Message, Observation
from mnemon.agent.templates import template
from mnemon.agent.tools import shown_text
from mnemon.agent.understanding import stands_alone, tells
from mnemon.errors import UsageError

REPLY_ROOM = 256  # tokens kept free for the reply itself


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """One memory offered to the model. `mark` is how a reply cites it."""

    mark: str
    id: str
    text: str
    time: datetime
    speaker: str
    score: float
    form: Literal["own words", "others' words", "fact"] = "own words"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How much a model of one size is given, and in which form. The token limits share one context."""

    memories: int  # at most so many recalled lines
    fenced: bool  # memories in a fenced block of the system text, or plainly before the question
    thread_tokens: int  # of the running conversation
    wide: int = 0  # lines when many things are asked about at once; 0: as many as `memories`
    memory_tokens: int = 2_000
    profile_tokens: int = 150
    tool_tokens: int = 800
    tool_rounds: int = 3  # how often tools may be asked for before there has to be an answer

    def lines(self, *, many: bool) -> int:
        return max(self.memories, self.wide) if many else self.memories


# Parameters of the model (upper bound) → layout. Two lines are what the 135 M default can use: of twelve
# personal questions, steered for grounding, it answered 12 right with two lines and 9 with three. The rows
# for larger models are set by their context, not yet by measurement.
_LAYOUTS: tuple[tuple[float, Layout], ...] = (
    (
        1e9,
        Layout(
            memories=2,
            wide=4,
            fenced=False,
            thread_tokens=150,
            memory_tokens=200,
            profile_tokens=40,
            tool_tokens=150,
            tool_rounds=1,
        ),
    ),
    (4e9, Layout(memories=6, wide=12, fenced=True, thread_tokens=1_500)),
    (
        float("inf"),
        Layout(
            memories=12,
            wide=30,
            fenced=True,
            thread_tokens=4_000,
            memory_tokens=4_000,
            profile_tokens=400,
            tool_tokens=4_000,
            tool_rounds=6,
        ),
    ),
)


def layout_for(parameters: int | None) -> Layout:
    """The layout for a model of that many parameters; an unknown size (an endpoint) counts as large."""
    size = float("inf") if parameters is None else parameters
    return next(layout for bound, layout in _LAYOUTS if size <= bound)


_T = TypeVar("_T")
_TOLD_ALIKE = 3  # memories in a prompt from which on their way of telling outweighs what the best one says
_ANYTHING = "Tell me something."  # what nobody's memory is asked for


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the model reads, the same without what it is to be held to (for grounding), and what went into it.

    `ungrounded` keeps all memories but the best and asks for nothing in particular, so that grounding favours
    what that one says to the question, and neither the way in which all are told nor telling them again. It
    asks the same, without any of them, where there are one or two, of which the best may be the one that no
    longer holds, or where many things are asked about.
    """

    messages: tuple[Message, ...]
    ungrounded: tuple[Message, ...]
    memories: tuple[Recalled, ...]
    left_out: int  # messages of the thread that did not fit
    question: str = ""
    observed: tuple[Observation, ...] = ()  # as they stand in the messages, cut to what fits
    withheld: int = 0  # texts of others that give orders, kept from a model too small to know a fence
    sizes: Mapping[str, int] = field(default_factory=dict)  # tokens by part


def apart_from_the_best(
    told: Sequence[_T], is_best: Callable[[_T], bool] | None, question: str
) -> tuple[tuple[_T, ...], str]:
    """What grounding contrasts a prompt with: the memories that its twin keeps, and what the twin asks (see
    `Prompt`). `is_best` is None where no one of them is best."""
    if is_best is None or len(told) < _TOLD_ALIKE:
        return (), question
    return tuple(one for one in told if not is_best(one)), _ANYTHING


def compose(
    question: str,
    recalled: Sequence[Recalled],
    thread: Sequence[Message],
    *,
    layout: Layout,
    count_tokens: Callable[[str], int],
    context_length: int,
    name: str,
    now: datetime,
    many: bool = False,
    unknown: bool = False,
    profile: Sequence[str] = (),
    observed: Sequence[Observation] = (),
) -> Prompt:
    """The prompt for one question. `thread` is oldest first and does not hold the question. `many`: it asks
    about many things at once. `unknown`: only the person could have said it, and did not. `profile`: how the
    person likes to be answered, most important first."""
    asked = count_tokens(question)
    room = context_length - REPLY_ROOM - asked
    if room <= 0:
        raise UsageError(
            f"The message has {asked} tokens; the model reads {context_length} in all.",
            hint=f"Shorten it to about {max(1, context_length - 2 * REPLY_ROOM)} tokens.",
        )
    telling = not layout.fenced and tells(question)
    wishes = _fitting_lines(profile, min(layout.profile_tokens, room // 4), count_tokens)
    system = _system(layout, telling=telling, name=name, now=now, wishes=wishes)
    system += f"\n{template('unknown', name=name)}" if unknown and layout.fenced else ""
    room -= count_tokens(system)
    seen = [] if telling else list(recalled[: layout.lines(many=many)])
    harmless = [one for one in seen if layout.fenced or not orders(one.text)]
    chosen = _fitting_memories(harmless, min(layout.memory_tokens, room // 2), count_tokens)
    in_time = tuple(sorted(chosen, key=lambda memory: memory.time))
    for_memories = sum(count_tokens(line.text) for line in in_time)
    safe = [one for one in observed if layout.fenced or not orders(one.text)]
    results = _fitting_observations(safe, min(layout.tool_tokens, (room - for_memories) // 2), count_tokens)
    for_tools = sum(count_tokens(one.text) for one in results)
    # A small model takes the thread's last subject for this one's: the tail is for what only it can answer.
    alone = telling or (not layout.fenced and (bool(chosen or results) or stands_alone(question)))
    left = min(layout.thread_tokens, room - for_memories - for_tools)
    tail = [] if alone else _fitting_tail(thread, left, count_tokens)
    before = [*(_LISTENING if telling else ()), *tail]
    build = _fenced if layout.fenced else _plain
    # A small model takes the "No" of "No, she is called Ines." for its own opinion and says it back.
    put = (_PUT_RIGHT.sub("", question) or question) if telling else question
    others, asking = apart_from_the_best(in_time, None if many else lambda memory: memory is chosen[0], put)
    return Prompt(
        messages=build(system, in_time, results, before, put),
        ungrounded=build(system, others, (), before, asking),
        memories=in_time,
        left_out=len(thread) - len(tail),
        question=question,
        observed=results,
        withheld=len(seen) - len(harmless) + len(observed) - len(safe),
        sizes={
            "system": count_tokens(system) - sum(count_tokens(line) for line in wishes),
            "profile": sum(count_tokens(line) for line in wishes),
            "memories": for_memories,
            "tools": for_tools,
            "thread": sum(count_tokens(message["content"]) for message in tail),
            "question": asked,
        },
    )


def _system(layout: Layout, *, telling: bool, name: str, now: datetime, wishes: Sequence[str]) -> str:
    kind = "converse" if layout.fenced else "listen" if telling else "answer"
    system = template(kind, name=name, today=f"{now:%A, %d %B %Y}")
    if not wishes:
        return system
    lines = " ".join(wishes) if not layout.fenced else "\n".join(f"- {wish}" for wish in wishes)
    return f"{system} {lines}" if not layout.fenced else f"{system}\n{name} likes to be answered so:\n{lines}"


_PUT_RIGHT = re.compile(r"\A\s*(?:no|actually|sorry|wait|correction|oops)\b[\s,.!:]*", re.IGNORECASE)

# Four exchanges show a small model how to take in what it is told; described in words it condoles or invents.
_LISTENING: tuple[Message, ...] = (
    {"role": "user", "content": "My exam is on Friday and I am nervous."},
    {"role": "assistant", "content": "Good luck with your exam on Friday! You will do well."},
    {"role": "user", "content": "My brother Karl lives in Oslo."},
    {"role": "assistant", "content": "Your brother Karl lives in Oslo, noted! I will remember that."},
    {"role": "user", "content": "I don't eat fish."},
    {"role": "assistant", "content": "You don't eat fish, noted! I will remember that."},
    {"role": "user", "content": "I play the guitar."},
    {"role": "assistant", "content": "How lovely that you play the guitar! I will remember that."},
)


def _fenced(
    system: str,
    memories: Sequence[Recalled],
    observed: Sequence[Observation],
    tail: Sequence[Message],
    question: str,
) -> tuple[Message, ...]:
    lines = [f"[{one.mark}] {one.time:%Y-%m-%d}, {one.speaker}: {quotable(one.text)}" for one in memories]
    block = "\n" + fenced("\n".join(lines)) if lines else ""
    found = "\n".join(f"{_shown_call(one)}\n{quoted_lines(shown_text(one))}" for one in observed)
    asked = f"What tools gave back:\n{fenced(found)}\n\n{question}" if found else question
    return ({"role": "system", "content": system + block}, *tail, {"role": "user", "content": asked})


def _shown_call(observation: Observation) -> str:
    arguments = json.dumps(dict(observation.call.arguments), ensure_ascii=False)
    return quotable(f"{observation.call.name} {arguments}{'' if observation.ok else ' failed'}:")


def _plain(
    system: str,
    memories: Sequence[Recalled],
    observed: Sequence[Observation],
    tail: Sequence[Message],
    question: str,
) -> tuple[Message, ...]:
    # Measured with the 135 M default: lines in the person's own message are used twice as often as the same
    # lines in the system text; "Question:" keeps it from continuing the list; and said to it as "your", what
    # it copies is already the answer.
    known = "".join(f"- {_addressed(one)}\n" for one in memories)
    found = "".join(f"- {quotable(shown_text(one))}\n" for one in observed)
    asked = (f"Remember:\n{known}\n" if known else "") + (f"Found just now:\n{found}\n" if found else "")
    asked = f"{asked}Question: {question}" if asked else question
    return ({"role": "system", "content": system}, *tail, {"role": "user", "content": asked})


_OTHER_PERSON = {
    "i": "you",
    "i'm": "you're",
    "i've": "you've",
    "i'd": "you'd",
    "i'll": "you'll",
    "am": "are",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "we": "you",
    "our": "your",
    "us": "you",
}
_FIRST_PERSON = re.compile(r"\b(?:I['’](?:m|ve|d|ll)|I|am|my(?:self)?|mine|me|we|our|us)\b", re.IGNORECASE)


# Facts speak of "the user" in the third person.
_USER_VERB = re.compile(r"\bthe user (is|was|has|does|\w+s)\b", re.IGNORECASE)
_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do"}


def _addressed(memory: Recalled) -> str:
    """What the person said of themselves, said to them: "My dog" becomes "Your dog". Others' words stay."""
    text = quotable(memory.text)
    if memory.form == "own words":
        return _FIRST_PERSON.sub(_other_person, text)
    if memory.form == "fact":
        return fact_addressed(text)
    return text


def fact_addressed(text: str) -> str:
    """A fact as it is said to the person: "The user lives in Faro." becomes "You live in Faro."."""
    text = _USER_VERB.sub(lambda found: f"you {_plural(found.group(1))}", text)
    text = re.sub(r"\bthe user's\b", "your", text, flags=re.IGNORECASE)
    text = re.sub(r"\bthe user\b", "you", text, flags=re.IGNORECASE)
    return text[:1].upper() + text[1:]


def _plural(verb: str) -> str:
    """The form of a verb after "you": lives → live, studies → study, goes → go."""
    if verb in _VERBS:
        return _VERBS[verb]
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    return verb[:-2] if verb.endswith(("oes", "sses", "shes", "ches", "xes")) else verb[:-1]


def _other_person(found: re.Match[str]) -> str:
    word = found.group()
    if word == "US" or word == "AM":  # a country, half past nine
        return word
    other = _OTHER_PERSON[word.lower().replace("’", "'")]
    before = found.string[: found.start()].rstrip()
    return other.capitalize() if not before or before[-1] in ".!?" else other


def _fitting_memories(
    memories: Sequence[Recalled], room: int, count_tokens: Callable[[str], int]
) -> list[Recalled]:
    """The best ones, in order of score, that fit; one that is too long is passed over."""
    chosen: list[Recalled] = []
    for memory in memories:
        cost = count_tokens(memory.text) + 12  # the date, the mark and the speaker
        if cost <= room:
            chosen.append(memory)
            room -= cost
    return chosen


def _fitting_lines(lines: Sequence[str], room: int, count_tokens: Callable[[str], int]) -> list[str]:
    """The first ones that fit."""
    chosen: list[str] = []
    for line in lines:
        room -= count_tokens(line)
        if room < 0:
            break
        chosen.append(line)
    return chosen


def _fitting_observations(
    observed: Sequence[Observation], room: int, count_tokens: Callable[[str], int]
) -> tuple[Observation, ...]:
    """All of them, each cut to an equal share of the room."""
    share = room // max(1, len(observed))
    return tuple(_cut(one, share, count_tokens) for one in observed)


def _cut(observation: Observation, room: int, count_tokens: Callable[[str], int]) -> Observation:
    text = observation.text
    while text and count_tokens(text) > room:
        # Never more than what the count says is too much, and never so little that it takes for ever.
        text = text[: min(len(text) * 9 // 10, int(len(text) * room / max(1, count_tokens(text))) + 1)]
    gone = len(observation.text) - len(text)
    return replace(observation, text=text, left_out=observation.left_out + gone) if gone else observation


def _fitting_tail(thread: Sequence[Message], room: int, count_tokens: Callable[[str], int]) -> list[Message]:
    """The newest messages that fit, beginning with one of the person's."""
    tail: list[Message] = []
    for message in reversed(thread):
        room -= count_tokens(message["content"]) + 4  # the template's own tokens
        if room < 0:
            break
        tail.insert(0, message)
    while tail and tail[0]["role"] != "user":
        tail.pop(0)
    return tail


def cited(text: str, memories: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """The memories that a reply cites by their marks, in the order of citation."""
    by_mark = {memory.mark: memory for memory in memories}
    marks = dict.fromkeys(re.findall(r"\[(m\d+)\]", text))
    return tuple(by_mark[mark] for mark in marks if mark in by_mark)
