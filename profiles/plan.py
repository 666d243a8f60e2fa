"""What of a persona holds for one question: which traits, how hard, for which kind of question and why.

A `Plan` is what profiles hand to a model. A steerable model turns it into rewards and a λ policy
(`Steerable.steering_for`); any other reads its `instructions` in the prompt. Knows no tensors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from mnemon.profiles.conditions import QueryKind, holds, query_kind, topics
from mnemon.profiles.traits import Trait, TraitBank

if TYPE_CHECKING:
    from mnemon.profiles.persona import Leaning

S = TypeVar("S", covariant=True)

MOST_TRAITS = 5  # each may cost two rows of the decoder's batch; a small model follows no more anyway
FAINTEST = 0.05  # weight × confidence under which a trait is not worth a row
# A question for a fact is answered by the fact: its wording is steered half as hard.
_STRENGTH: dict[QueryKind, float] = {"extraction": 0.5, "abstraction": 1.0, "generalisation": 1.0}


class Steerable(Protocol[S]):
    """A model whose decoder can be led; S is the form in which it takes its orders."""

    def steering_for(self, plan: "Plan", *, asked: str = "") -> S: ...


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A trait that holds for the question. `pull` is its weight times its confidence."""

    trait: Trait
    leaning: "Leaning"

    @property
    def pull(self) -> float:
        return self.leaning.weight * self.leaning.confidence

    @property
    def instruction(self) -> str:
        return self.trait.said(self.leaning.weight)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to answer one question. `strength` is the share of the λ budget to use: uncertainty lowers it."""

    wishes: tuple[Wish, ...]
    about: tuple[str, ...]  # lines about the person that the reply should suit
    strength: float
    kind: QueryKind
    topics: tuple[str, ...]
    left_out: tuple[str, ...] = ()  # what holds and is not used, with the reason

    def __bool__(self) -> bool:
        return bool(self.wishes or self.about)

    @property
    def instructions(self) -> list[str]:
        """The same for a prompt, the strongest first."""
        return [wish.instruction for wish in self.wishes]

    def to_dict(self) -> dict[str, object]:
        """For a trace: everything that decided, no object of ours."""
        return {
            "query_kind": self.kind,
            "topics": list(self.topics),
            "strength": round(self.strength, 4),
            "traits": [
                {
                    "trait": wish.trait.name,
                    "weight": round(wish.leaning.weight, 4),
                    "confidence": round(wish.leaning.confidence, 4),
                    "level": wish.leaning.level,
                    "origin": wish.leaning.origin,
                    "when": wish.leaning.when,
                    "evidence": list(wish.leaning.evidence),
                }
                for wish in self.wishes
            ],
            "about": list(self.about),
            "left_out": list(self.left_out),
        }


def make_plan(
    leanings: Iterable["Leaning"], query: str, *, bank: TraitBank, about: Sequence[str] = ()
) -> Plan:
    """The leanings that hold for a question. One with a condition that holds replaces the one without."""
    holding: dict[str, Leaning] = {}
    left_out: list[str] = []
    for one in sorted(leanings, key=lambda one: bool(one.when)):
        if one.trait not in bank:
            left_out.append(f"{one.trait}: no such trait in the bank")
        elif holds(one.when, query):
            holding[one.trait] = one
    wishes = [Wish(trait=bank[one.trait], leaning=one) for one in holding.values()]
    wishes.sort(key=lambda wish: (-abs(wish.pull), wish.trait.name))
    strong = [wish for wish in wishes if abs(wish.pull) >= FAINTEST]
    left_out += [f"{wish.trait.name}: too faint ({wish.pull:+.2f})" for wish in wishes if wish not in strong]
    left_out += [f"{wish.trait.name}: beyond the {MOST_TRAITS} strongest" for wish in strong[MOST_TRAITS:]]
    kind = query_kind(query)
    surest = max((abs(wish.pull) for wish in strong), default=1.0 if about else 0.0)
    return Plan(
        wishes=tuple(strong[:MOST_TRAITS]),
        about=tuple(about),
        strength=min(1.0, surest) * _STRENGTH[kind],
        kind=kind,
        topics=tuple(topics(query)),
        left_out=tuple(left_out),
    )
