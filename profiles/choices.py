"""What a person's choices say about the replies they like: weights of traits, and how sure they are.

    taste = Taste()
    taste.update(chosen, rejected, query="How do I sleep better?")
    taste.weights()["concise"]          # Weight(mean=0.9, deviation=0.4)
    taste.next_pair()                   # which two replies to ask about

Bradley–Terry over the measures of replies, from the population's prior to a Gaussian posterior (Laplace).
Clear choices count one; edits, regenerations and thumbs less; older ones fade. A topic with choices of its
own moves the weights there. Sees form alone: two replies that measure alike are alike. Knows no model.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

import numpy as np

from mnemon.errors import DataError, UsageError
from mnemon.memory import Feedback, Person
from mnemon.profiles.asking import Candidates, Pair, best_pair, chance, shipped_candidates
from mnemon.profiles.conditions import topics
from mnemon.profiles.evidence import Evidence, Ledger, widened
from mnemon.profiles.persona import Leaning
from mnemon.profiles.population import Floats, Population, shipped_population
from mnemon.profiles.traits import Trait, TraitBank
from mnemon.retrievers.head import Head

How = Literal["chosen", "edited", "regenerated", "rated"]
# How many clear choices each counts for. An edit may be about the content; who asks for another reply had not
# yet seen it; a thumb compares with what the person had in mind.
EVIDENCE: Mapping[How, float] = {"chosen": 1.0, "edited": 0.5, "regenerated": 0.3, "rated": 0.3}
HALF_LIFE = 60.0  # choices after which one counts half: tastes drift
SURE = 0.6  # confidence from which a learnt leaning is told
BLOB = "taste"


class Weight(NamedTuple):
    """What one step of a trait (a standard deviation among usual replies) adds to the log odds of a reply."""

    mean: float
    deviation: float

    @property
    def confidence(self) -> float:
        """0 where both signs are as likely, 1 where there is no doubt about the sign."""
        return math.erf(abs(self.mean) / max(self.deviation, 1e-9) / math.sqrt(2))


class Taste:
    """One person's weights. Choices are taken in by `update`, `rate` and `read`; the posterior is found when
    it is asked for, in milliseconds. `told` is what the person said of themselves: it moves the start."""

    def __init__(
        self,
        population: Population | None = None,
        *,
        told: Iterable[Leaning] = (),
        half_life: float = HALF_LIFE,
    ) -> None:
        if not half_life > 0:
            raise UsageError(f"half_life={half_life!r} must be positive; math.inf never forgets.")
        self.population = population or shipped_population()
        self.half_life = half_life
        self._told = tuple(told)
        self._ledger = Ledger()
        self._fitted: Head | None = None

    @property
    def choices(self) -> int:
        """How many have been taken in."""
        return len(self._ledger.choices)

    @classmethod
    def of(
        cls,
        feedback: Iterable[Feedback],
        *,
        texts: Callable[[str], str | None] = lambda _: None,
        population: Population | None = None,
    ) -> "Taste":
        """From feedback, oldest first. `texts` gives the replies that were rated, by their ids."""
        taste = cls(population)
        taste.read(feedback, texts=texts)
        return taste

    @classmethod
    def for_person(cls, person: Person, *, told: Iterable[Leaning] = ()) -> "Taste":
        """From all feedback of a person. What was measured is kept with them, so that only new feedback is
        read; forgetting drops it, and what is left is read again."""
        taste = cls.loads(person.derived(BLOB), told=told)
        feedback = [one for one in person.feedback_log() if one.about in ("pair", "reply")]
        rated = any(one.about == "reply" for one in feedback)
        replies = {turn.id: turn.text for turn in person.timeline()} if rated else {}
        if taste.read(feedback, texts=replies.get):
            person.keep_derived(BLOB, taste.dumps())
        return taste

    def dumps(self) -> bytes:
        """All that was taken in, as numbers; `told` is not kept."""
        return self._ledger.dumps(self.population)

    @classmethod
    def loads(cls, body: bytes | None, *, told: Iterable[Leaning] = ()) -> "Taste":
        """What `dumps` gave. Nothing, where there is nothing, or where it is damaged or of another version:
        it is derived, and found again from the feedback."""
        taste = cls(told=told)
        if body:
            with suppress(DataError):
                taste._ledger = Ledger.loads(body, taste.population)
        return taste

    # --- learning

    def update(
        self, chosen: str, rejected: str | Sequence[str], *, query: str = "", how: How = "chosen"
    ) -> None:
        """The person wants `chosen` rather than the other, or than all of several others."""
        if how not in EVIDENCE:
            raise UsageError(f"how={how!r} is no way to choose; expected one of {', '.join(EVIDENCE)}.")
        others = [rejected] if isinstance(rejected, str) else rejected
        if not others:
            return
        rows = np.stack([self.population.represent(text) for text in (chosen, *others)])
        self._ledger.saw(rows)
        self._ledger.add(Evidence(rows[0] - rows[1:], EVIDENCE[how], tuple(topics(query))))
        self._fitted = None

    def rate(self, reply: str, rating: float, *, query: str = "") -> None:
        """A thumb for one reply: weak evidence that it is better, or worse, than what the person usually
        gets. The first reply of all has nothing to be compared with."""
        row = self.population.represent(reply)
        usual = self._ledger.usual
        if usual is not None and rating:
            difference = math.copysign(1.0, rating) * (row - usual)[None]
            weight = EVIDENCE["rated"] * min(1.0, abs(rating))
            self._ledger.add(Evidence(difference, weight, tuple(topics(query))))
            self._fitted = None
        self._ledger.saw(row[None])

    def read(self, feedback: Iterable[Feedback], *, texts: Callable[[str], str | None]) -> int:
        """Take in what was not yet taken in; a rated reply that is forgotten is passed over. Gives the number
        of records that were new."""
        known = len(self._ledger.read)
        for one in feedback:
            if one.id in self._ledger.read or one.about not in ("pair", "reply"):
                continue
            self._ledger.read.add(one.id)
            if one.about == "pair":
                how: How = next((how for how in EVIDENCE if one.note.startswith(how)), "chosen")
                self.update(one.good[0], one.bad, query=one.query, how=how)
            else:
                for reply in filter(None, map(texts, (*one.good, *one.bad))):
                    self.rate(reply, one.rating or 0.0, query=one.query)
        return len(self._ledger.read) - known

    # --- what was learnt

    def weights(self, topic: str = "", *, bank: TraitBank | None = None) -> dict[str, Weight]:
        """The weight of every trait that can be measured; of a topic, where there were choices about it."""
        mean, covariance = self._gaussian((topic,))
        found = {}
        for trait in (bank or TraitBank.load()).values():
            if trait.measure in self.population.features:
                place = self.population.features.index(trait.measure)
                sign = -1.0 if trait.falls else 1.0
                found[trait.name] = Weight(sign * float(mean[place]), math.sqrt(covariance[place, place]))
        return found

    def score(self, reply: str, *, query: str = "") -> Weight:
        """How much the person should like a reply, in log odds against the usual one, with the doubt."""
        row = self.population.represent(reply)
        mean, covariance = self._gaussian(topics(query))
        return Weight(float(row @ mean), math.sqrt(row @ covariance @ row))

    def prefers(self, first: str, second: str, *, query: str = "") -> float:
        """The chance that the person chooses the first."""
        difference = self.population.represent(first) - self.population.represent(second)
        mean, covariance = self._gaussian(topics(query))
        doubt = np.array([difference @ covariance @ difference])
        return float(chance(np.array([difference @ mean]), doubt)[0])

    def next_pair(self, candidates: Sequence[Candidates] | None = None) -> Pair:
        """Which two replies to ask about: the pair whose answer should tell most. Without candidates, replies
        that come with mnemon, other ones each time."""
        groups = shipped_candidates(each=8, seed=self.choices) if candidates is None else candidates
        rows = [np.stack([self.population.represent(text) for text in group.replies]) for group in groups]
        return best_pair(groups, rows, *self._gaussian(()))

    def leanings(self, *, bank: TraitBank | None = None) -> list[Leaning]:
        """What was learnt, for a persona: traits of whose sign there is little doubt. A measure that several
        traits name speaks for the one that the person wants. Nothing before the first choice."""
        traits = bank or TraitBank.load()
        found = self._leanings(self.weights(bank=traits), traits, when="") if self.choices else []
        always = {one.trait: one.weight for one in found}
        for topic in self._ledger.topics():
            there = self._leanings(self.weights(topic, bank=traits), traits, when=topic)
            found += [one for one in there if abs(one.weight - always.get(one.trait, 0.0)) > 0.2]
        return found

    def _leanings(self, weights: Mapping[str, Weight], bank: TraitBank, *, when: str) -> list[Leaning]:
        typical = float(np.sqrt(np.mean(self.population.typical**2)))
        chosen: dict[str, Trait] = {}
        for name, weight in weights.items():
            trait = bank[name]
            if trait.measure not in chosen or weight.mean > 0:
                chosen[trait.measure] = trait
        return [
            Leaning(
                trait=trait.name,
                weight=math.tanh(weights[trait.name].mean / typical),
                confidence=weights[trait.name].confidence,
                when=when,
                origin="choices",
            )
            for trait in chosen.values()
            if weights[trait.name].confidence >= SURE
        ]

    def _gaussian(self, about: Sequence[str]) -> tuple[Floats, Floats]:
        """Mean and covariance of the weights over the measures, when a question is about these topics."""
        if self._fitted is None:
            self._fitted = self._ledger.posterior(self.population, self._start(), half_life=self.half_life)
        size = len(self.population.mean)
        picked = widened(np.eye(size), about, self._ledger.topics())  # (D, D·(1 + topics))
        mean = self.population.mean + picked @ self._fitted.mean
        return mean, picked @ self._fitted.covariance @ picked.T

    def _start(self) -> Head:
        """The prior, moved by what the person said: each statement is one noisy look at a weight."""
        prior, typical = self.population.prior(), self.population.typical
        mean, covariance = prior.mean, prior.covariance
        bank = TraitBank.load()
        for one in self._told:
            trait = bank.get(one.trait)
            if trait is None or one.when or trait.measure not in self.population.features:
                continue
            place = self.population.features.index(trait.measure)
            wanted = (-1.0 if trait.falls else 1.0) * one.weight * 2 * typical[place]
            noise = typical[place] ** 2 / max(one.confidence, 0.1)
            gain = covariance[:, place] / (covariance[place, place] + noise)
            mean = mean + gain * (wanted - self.population.mean[place] - mean[place])
            covariance = covariance - np.outer(gain, covariance[place])
        return Head(mean, covariance)
