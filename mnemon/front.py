"""Memory as the front door opens it: with the parts that memory itself must not know."""

from mnemon import memory
from mnemon.profiles import PatternProfiler

__all__ = ["Memory"]


class Memory(memory.Memory):
    """Many persons' memories in one store, with profiles. `Memory.open` makes one with the usual parts."""

    @classmethod
    def usual_profiler(cls) -> PatternProfiler:
        return PatternProfiler()
