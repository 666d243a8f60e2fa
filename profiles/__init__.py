"""Who the person is: profile, persona, traits, and what is learnt of them from what they say and choose."""

from mnemon.profiles.choices import Taste
from mnemon.profiles.editor import Editor
from mnemon.profiles.measures import MEASURES, measure_text
from mnemon.profiles.persona import Leaning, Persona
from mnemon.profiles.plan import Plan
from mnemon.profiles.profile import Profile, Statement
from mnemon.profiles.profiler import ModelProfiler, PatternProfiler
from mnemon.profiles.reading import persona_of, profile_of
from mnemon.profiles.traits import Trait, TraitBank

__all__ = [
    "MEASURES",
    "Editor",
    "Leaning",
    "ModelProfiler",
    "PatternProfiler",
    "Persona",
    "Plan",
    "Profile",
    "Statement",
    "Taste",
    "Trait",
    "TraitBank",
    "measure_text",
    "persona_of",
    "profile_of",
]
