"""How one person likes to be answered: their persona, read again whenever the profile has changed.

Joins what was learnt of the person with what was set for this assistant by hand. Knows no model: what comes
of a plan is the speaker's business.
"""

from collections.abc import Mapping
from dataclasses import replace

from mnemon.errors import UsageError
from mnemon.memory import Person
from mnemon.profiles import Persona, Plan, TraitBank, persona_of


class Manner:
    """`strength` scales how hard a steerable model is led; 0 leaves the persona out."""

    def __init__(
        self,
        person: Person,
        *,
        persona: Persona | None = None,
        traits: Mapping[str, float] | None = None,
        strength: float = 1.0,
    ) -> None:
        self._person = person
        self._given = persona
        self._bank = TraitBank.load()
        self._by_hand = Persona()
        for name, weight in (traits or {}).items():
            self._by_hand = self._by_hand.leaning(name, weight, bank=self._bank)
        self._learns = True
        self.lead(strength)

    def lead(self, strength: float) -> None:
        """How hard to lead from now on."""
        if strength < 0:
            raise UsageError(f"strength={strength!r} is negative; 0 leaves the persona out, 1 is usual.")
        self._strength = strength

    def persona(self) -> Persona:
        """The persona that holds now; the profile keeps itself level with the memory."""
        persona = self._learnt() if self._given is None else self._given
        return persona.having(self._by_hand.leanings)

    def plan(self, question: str) -> Plan | None:
        """What of it holds for a question; None where nothing does."""
        if not self._strength:
            return None
        plan = self.persona().plan(question, bank=self._bank)
        return replace(plan, strength=plan.strength * self._strength) if plan else None

    def learnt_from(self, turn: str) -> list[str]:
        """What one of the person's turns says of how to answer them, as instructions."""
        said = [one for one in self._learnt().leanings if one.origin == "said" and turn in one.evidence]
        return [
            self._bank[one.trait].said(one.weight) + (f" (when {one.when})" if one.when else "")
            for one in said
            if one.trait in self._bank
        ]

    def _learnt(self) -> Persona:
        if not self._learns:
            return Persona()
        try:
            return persona_of(self._person)
        except UsageError:  # a memory that was opened without a profiler learns no persona
            self._learns = False
            return Persona()
