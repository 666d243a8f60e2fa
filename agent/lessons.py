"""What a turn taught, taken in at once: how the reply before it was liked, what is not to be kept, which
facts it put right, and how the person wants to be answered from now on.

Memory and profile learn from the turn itself; this acts on what was said of the reply before, and tells what
changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mnemon.agent.compose import fact_addressed
from mnemon.agent.feedback_words import heard
from mnemon.agent.manner import Manner
from mnemon.memory import Episode, Fact, Person

LOOKED_BACK = 8  # turns among which the last reply is looked for: what tools said may lie between


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One thing that was learnt, as the person is told of it."""

    kind: Literal["rating", "forgotten", "fact", "manner"]
    text: str


def last_exchange(person: Person, thread: str) -> tuple[Episode | None, Episode | None]:
    """The last reply of a thread, and what the person had said before it."""
    turns = person.timeline(session=thread, limit=LOOKED_BACK, newest_first=True)
    if not turns or turns[0].role != "assistant":
        return None, None
    said = next((turn for turn in turns if turn.role == "user"), None)
    return turns[0], said


def take_in(person: Person, text: str, thread: str) -> list[Lesson]:
    """What a message says of the reply before it becomes a rating, or is forgotten. Called before the message
    itself is kept, so that taking back the last write takes back the turn."""
    reply, said = last_exchange(person, thread)
    if reply is None:
        return []
    what = heard(text, before=reply.text)
    if what == "not to be kept":
        gone = [person.forget(one.id) for one in (reply, said) if one is not None]
        turns = sum(len(one.episodes) for one in gone)
        facts = sum(len(one.facts) for one in gone)
        return [Lesson(kind="forgotten", text=f"{_count(turns, 'turn')}, {_count(facts, 'fact')}.")]
    if what is None:
        return []
    person.rate(reply.id, 1 if what == "liked" else -1, why=text)
    told = "you liked that reply." if what == "liked" else "you did not like that reply."
    return [Lesson(kind="rating", text=told)]


def taken_in(person: Person, ids: Sequence[str], manner: Manner | None) -> list[Lesson]:
    """What the memory put right and the persona learnt from turns that were just kept."""
    return [*_put_right(person, ids), *_wished(ids, manner)]


def _put_right(person: Person, ids: Sequence[str]) -> list[Lesson]:
    written = person.diff()
    if written is None or not any(getattr(one.after, "id", None) in ids for one in written.differences):
        return []
    facts = [(one.before, one.after) for one in written.differences if isinstance(one.after, Fact)]
    over = [
        after
        for before, after in facts
        if isinstance(before, Fact) and _holds(before, written.at) and not _holds(after, written.at)
    ]
    lessons = []
    for old in over:
        new = next((one for _, one in facts if one.id == old.closed_by), None)
        text = f"no longer: {fact_addressed(old.text)}"
        lessons.append(Lesson(kind="fact", text=f"{fact_addressed(new.text)} ({text})" if new else text))
    return lessons


def _holds(fact: Fact, at: datetime) -> bool:
    return fact.status == "current" and (fact.valid_to is None or fact.valid_to > at)


def _wished(ids: Sequence[str], manner: Manner | None) -> list[Lesson]:
    if manner is None:
        return []
    return [Lesson(kind="manner", text=one) for turn in ids for one in manner.learnt_from(turn)]


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"
