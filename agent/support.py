"""Which memories a reply used, where it cites none: by the words that it can have from nowhere else."""

import re
from collections.abc import Sequence

from mnemon.agent.compose import Recalled

_COMMON = frozenset(
    [
        *("the", "and", "you", "your", "that", "this", "with", "for", "are", "was", "were", "have", "has"),
        *("not", "but", "from", "about", "what", "where", "when", "who", "will", "would", "can", "called"),
        *("user", "they", "them", "their", "she", "her", "his", "him", "its", "our", "all", "one", "said"),
    ]
)


def used(reply: str, question: str, memories: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """The memories that share words with the reply that the question does not hold, most shared first."""
    new = _words(reply) - _words(question)
    shared = [(len(new & _words(memory.text)), memory) for memory in memories]
    return tuple(memory for count, memory in sorted(shared, key=lambda pair: -pair[0]) if count)


def _words(text: str) -> set[str]:
    found = re.findall(r"[^\W_]+", text.lower())
    return {word.removesuffix("s") for word in found if len(word) > 2 and word not in _COMMON}
