"""Recall for an answer: every question of a message is asked, and asked again where nothing was found.

Of what is found, only what is worth reading is offered: not what bears on nothing, what has ended, the
assistant's own words unless they are asked for, or of a fact and the turn it was learnt from the one that
fits less. Knows the memory and no model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mnemon.agent.compose import Layout, Recalled
from mnemon.agent.feedback_words import heard
from mnemon.agent.understanding import Understanding, asks_for_replies, share_a_name, speaks_of
from mnemon.memory import Hit, Person

NEAR = 0.3  # cosine of question and turn from which they are of one matter, with the default embedder
SHARED = 0.25  # or this share of the question's weight in words they have in common
# "What is a prime number?" is near to a locker's number and shares a word with it; "What is the locker
# number?" is 0.8 near. Chosen on fifty messages and twenty-five questions that nothing else is measured by.
JUST_THAT = 0.55
MARGIN = 1.5  # a hit that falls this far behind the best, in log odds, distracts more than it helps
# A wish for a text about the world, which tells nothing of the person: "Tell me about the moon."
_REQUEST = re.compile(
    r"\s*(?:please )?(?:tell me about|explain|describe|define|translate|summari[sz]e|write|draft|list)\b"
    r"(?!.*\b(?:my|our|i|we)\b)",
    re.IGNORECASE | re.DOTALL,
)


class Found(NamedTuple):
    recalled: list[Recalled]
    queries: tuple[str, ...]  # all that memory was asked
    again: bool  # the first ones found nothing


def bears_on(hit: Hit, *, impersonal: bool = False) -> bool:
    """Whether a hit is worth reading: it is about the question, and is neither a question or request itself
    nor about a reply.

    The best hit for a question about nothing in memory is still the best; it must not reach the model. An
    impersonal question is the world's, unless memory holds just that.
    """
    if hit.text.rstrip().endswith("?") or _REQUEST.match(hit.text):
        return False
    if heard(hit.text, before="a reply") is not None:
        return False
    near, shared = float(hit.why.get("cosine", 0.0)), float(hit.why.get("share_turn", 0.0))
    if impersonal:
        return (near or shared) >= JUST_THAT  # words alone only where there are no vectors
    return near >= NEAR or shared >= SHARED


@dataclass(frozen=True, kw_only=True)
class Recaller:
    """Recalls for one person and one size of model."""

    person: Person
    name: str
    layout: Layout

    def find(self, message: str, understood: Understanding, *, now: datetime) -> Found:
        if not understood.needs_memory:
            return Found([], (), again=False)
        many = understood.kind == "abstraction"
        if understood.about_everything:
            return Found(self._newest_facts(now), understood.queries, again=False)
        limit = self.layout.lines(many=many)
        first = self._asked(understood.queries, message, understood, now=now)
        chosen = self._once(first, limit, now=now, single=len(understood.queries) == 1 and not many)
        if chosen or not understood.again:
            return Found(self._offered(chosen, now), understood.queries, again=False)
        second = self._asked(understood.again, message, understood, now=now)
        chosen = self._once(second, limit, now=now, single=not many)
        return Found(self._offered(chosen, now), understood.queries + understood.again, again=True)

    def _newest_facts(self, now: datetime) -> list[Recalled]:
        """What is known at all has no best hit: the facts that were learnt last stand for it."""
        known = sorted(self.person.facts(), key=lambda fact: fact.recorded_at, reverse=True)
        return [
            Recalled(
                mark=f"m{place}",
                id=fact.id,
                text=fact.text,
                time=fact.valid_from or now,
                speaker=self.name,
                score=0.0,
                form="fact",
            )
            for place, fact in enumerate(known[: self.layout.lines(many=True)], start=1)
        ]

    def _asked(
        self, queries: Sequence[str], message: str, understood: Understanding, *, now: datetime
    ) -> list[Hit]:
        """The hits of all queries, the best of each before the second best of any."""
        # Much of what is found is of no use to an answer, so more is asked for than is used.
        asked = 10 + 2 * self.layout.lines(many=understood.kind == "abstraction")
        # Only a model that can be told of a fence can be told of what is near and no answer.
        strict = understood.only_memory_answers and not self.layout.fenced
        impersonal = understood.impersonal and not self.layout.fenced
        own_words = asks_for_replies(message)  # its own words are no evidence, unless they are asked for
        found: list[list[Hit]] = []
        for query in queries:
            asking = query if query in understood.queries else message  # keywords do not say whose
            hits = self.person.recall(query, k=asked, time=now, units=("turn", "fact"))
            found.append(
                [
                    hit
                    for hit in hits
                    if (own_words or hit.role != "assistant")
                    and bears_on(hit, impersonal=impersonal and not share_a_name(message, hit.text))
                    and hit.text.strip() not in query  # what the question quotes says nothing new
                    and not (strict and not speaks_of(asking, hit.text))
                ]
            )
        in_turn = [hit for rank in range(asked) for hits in found for hit in hits[rank : rank + 1]]
        return list({hit.id: hit for hit in reversed(in_turn)}.values())[::-1]

    def _once(self, hits: list[Hit], limit: int, *, now: datetime, single: bool) -> list[Hit]:
        """The best hits, without what has ended ("I live in Faro", once the person has moved), and with
        either a fact or the turn that it was learnt from."""
        facts = {fact.id: fact for fact in self.person.facts(closed=True)}
        over = {id_ for id_, fact in facts.items() if fact.valid_to is not None and fact.valid_to <= now}
        evidence = {id_: {quote.episode_id for quote in fact.quotes} for id_, fact in facts.items()}
        still_true = {turn for id_, turns in evidence.items() if id_ not in over for turn in turns}
        passed = over | {turn for id_ in over for turn in evidence[id_]} - still_true
        chosen: list[Hit] = []
        for hit in hits:
            if hit.id in passed or any(hit.text == one.text for one in chosen):
                continue
            if len(chosen) == limit or (single and chosen and hit.score < chosen[0].score - MARGIN):
                break
            chosen.append(hit)
            passed |= evidence.get(hit.id, set())
            passed |= {id_ for id_, turns in evidence.items() if hit.id in turns}
        return chosen

    def _offered(self, hits: Sequence[Hit], now: datetime) -> list[Recalled]:
        return [
            Recalled(
                mark=f"m{place}",
                id=hit.id,
                text=hit.text,
                time=hit.time or now,
                speaker=self.name if hit.role in ("user", None) else hit.speaker,
                score=hit.score,
                form="fact" if hit.unit == "fact" else "own words" if hit.role == "user" else "others' words",
            )
            for place, hit in enumerate(hits, start=1)
        ]
