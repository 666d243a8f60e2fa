"""Who the person is: profile, persona, traits, and what is learnt of them from what they say and choose."""

from mnemon.profiles.persona import Leaning, Persona
from mnemon.profiles.plan import Plan, Steerable
from mnemon.profiles.profile import Profile, Statement
from mnemon.profiles.profiler import PatternProfiler
from mnemon.profiles.reading import profile_of
from mnemon.profiles.traits import Trait, TraitBank

__all__ = [
    "Leaning",
    "PatternProfiler",
    "Persona",
    "Plan",
    "Profile",
    "Statement",
    "Steerable",
    "Trait",
    "TraitBank",
    "profile_of",
]
