"""A person's profile with its type: what `Person.profile()` gives, as those who build on it need it."""

from datetime import datetime

from mnemon.errors import UsageError
from mnemon.memory import Person
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
