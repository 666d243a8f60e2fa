"""Who the person is: profile, persona, traits, and what is learnt of them from what they say and choose."""

from mnemon.profiles.measures import MEASURES, measure_text
from mnemon.profiles.persona import Leaning, Persona
from mnemon.profiles.plan import Plan, Steerable
from mnemon.profiles.traits import Trait, TraitBank

__all__ = [
    "MEASURES",
    "Leaning",
    "Persona",
    "Plan",
    "Steerable",
    "Trait",
    "TraitBank",
    "measure_text",
]
