"""What can be measured: mnemon, controls, floors and peers. `catalogue` says how to add one."""

from mnemon.evals.systems.base import DocumentSystem, Remembering, TextIndex
from mnemon.evals.systems.catalogue import SYSTEMS, Entry, Equipment, TextsCached, named_systems, open_system
from mnemon.evals.systems.mnemon import MemorySystem, RetrieverSystem

__all__ = [
    "SYSTEMS",
    "DocumentSystem",
    "Entry",
    "Equipment",
    "MemorySystem",
    "Remembering",
    "RetrieverSystem",
    "TextIndex",
    "TextsCached",
    "named_systems",
    "open_system",
]
