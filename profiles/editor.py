"""Edits of one person's profile by hand, for those who build on profiles: each is kept, and the profile with
it."""

from collections.abc import Sequence

from mnemon.memory import Person
from mnemon.profiles import edits
from mnemon.profiles.profile import Profile
from mnemon.profiles.reading import profile_of


class Editor:
    """Every edit gives the profile as it is after it. An edit is one write: `Person.undo` takes it back."""

    def __init__(self, person: Person) -> None:
        self._person = person

    def set_trait(self, trait: str, weight: float, *, when: str = "") -> Profile:
        """Lean so far towards a trait (1) or its opposite (−1), whatever was learnt."""
        edits.set_trait(self._person, trait, weight, when=when)
        return profile_of(self._person)

    def drop_trait(self, trait: str, *, when: str = "") -> Profile:
        """Lean no way, whatever was learnt before."""
        edits.drop_trait(self._person, trait, when=when)
        return profile_of(self._person)

    def add_statement(self, section: str, text: str) -> Profile:
        edits.add_statement(self._person, section, text)
        return profile_of(self._person)

    def remove_statement(self, key: str) -> Profile:
        """Never say this again; the fact itself stays until it is forgotten."""
        edits.remove_statement(self._person, key)
        return profile_of(self._person)

    def follow(self, parents: Sequence[str]) -> Profile:
        """Answer as these shared personas say where the person's own says little; none of them for none."""
        edits.set_parents(self._person, parents)
        return profile_of(self._person)

    def allow(self, categories: Sequence[str]) -> Profile:
        """Sensitive categories that may steer replies from now on; all others may not."""
        edits.allow(self._person, categories)
        return profile_of(self._person)

    def show_mood(self, wanted: bool) -> Profile:
        """Whether the profile says how the person said they feel; it does not unless asked."""
        edits.show_mood(self._person, wanted)
        return profile_of(self._person)
