"""A person's profile with its type, and their persona joined with those above it: for those who build on
them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from mnemon.errors import UsageError
from mnemon.memory import Person
from mnemon.profiles.library import EVERYBODY, Library
from mnemon.profiles.persona import Persona
from mnemon.profiles.profile import Profile


def profile_of(person: Person, *, as_of: datetime | str | None = None) -> Profile:
    """`person.profile()`, made by one of this package's profilers."""
    found = person.profile(as_of=as_of)
    if not isinstance(found, Profile):
        raise UsageError(
            f"The profile of {person.user!r} was made by another profiler: {type(found).__name__}.",
            hint="Open the memory with mnemon.profiles.PatternProfiler.",
        )
    return found


def persona_of(person: Person, *, shared: Mapping[str, Persona] | None = None) -> Persona:
    """How the person wants to be answered, ready to compile: their own persona, the shared ones that they
    follow, and everybody's, which is the shared one of that name. A shared persona that is gone counts for
    nothing. `shared` are those of `<home>/personas` unless given."""
    own = profile_of(person).persona
    known = Library.usual().all() if shared is None else shared
    followed = replace(own, parents=tuple(name for name in own.parents if name in known))
    return followed.resolved(known, everybody=known.get(EVERYBODY))
