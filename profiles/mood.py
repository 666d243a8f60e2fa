"""How the person says they feel: stated feelings, never guessed ones. An optional section of the profile."""

import re

from mnemon.memory import Episode, Quote
from mnemon.profiles.profile import Statement

_FEELING = re.compile(
    r"\bi(?:['’]?m| am| feel|['’]?ve been|['’]?m feeling| am feeling|['’]?ve been feeling| was)\s+"
    r"(?:(?:so|very|really|a bit|a little|quite|pretty|just|feeling|totally|extremely|kind of|still)\s+)*"
    r"(?P<word>sad|lonely|anxious|stressed|worried|nervous|angry|furious|upset|frustrated|tired|exhausted"
    r"|overwhelmed|burnt out|depressed|miserable|heartbroken|scared|afraid|ashamed|bored|disappointed"
    r"|happy|glad|excited|thrilled|proud|relieved|grateful|hopeful|calm|content|delighted|over the moon)\b"
    r"[^.!?\n]{0,80}",
    re.IGNORECASE,
)
_NOT_NOW = re.compile(r"\b(?:not|never|if|when|would|used to)\b[^.!?]{0,20}\Z", re.IGNORECASE)
_HEALTH = frozenset({"depressed", "anxious", "burnt out"})


def felt(turn: Episode) -> Statement | None:
    """The feeling that a turn states; None where it states none."""
    found = _FEELING.search(turn.text)
    if found is None or _NOT_NOW.search(turn.text[: found.start()]):
        return None
    word = found["word"].lower()
    words = found.group().strip()
    return Statement(
        section="mood",
        text=f"The user felt {word}.",
        key=f"mood:{turn.id}",
        quotes=(Quote(turn.id, words, turn.text.index(words)),),
        said_at=turn.time,
        confidence=0.8,
        sensitive="health" if word in _HEALTH else "",
    )
