"""The front door of mnemon. Importing it loads nothing heavy: names are fetched when first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemon.agent import Assistant
    from mnemon.errors import (
        DataError,
        EndpointError,
        MissingExtra,
        MnemonError,
        ModelError,
        StoreError,
        UsageError,
    )
    from mnemon.front import Memory
    from mnemon.memory import Hit, Person
    from mnemon.profiles import Persona
    from mnemon.settings import Settings, load_settings

__version__ = "0.1.0"

_HOMES = {
    "Assistant": "mnemon.agent",
    "DataError": "mnemon.errors",
    "EndpointError": "mnemon.errors",
    "Hit": "mnemon.memory",
    "Memory": "mnemon.front",
    "MissingExtra": "mnemon.errors",
    "MnemonError": "mnemon.errors",
    "ModelError": "mnemon.errors",
    "Person": "mnemon.memory",
    "Persona": "mnemon.profiles",
    "Settings": "mnemon.settings",
    "StoreError": "mnemon.errors",
    "UsageError": "mnemon.errors",
    "load_settings": "mnemon.settings",
}

__all__ = [
    "Assistant",
    "DataError",
    "EndpointError",
    "Hit",
    "Memory",
    "MissingExtra",
    "MnemonError",
    "ModelError",
    "Person",
    "Persona",
    "Settings",
    "StoreError",
    "UsageError",
    "load_settings",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mnemon' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
