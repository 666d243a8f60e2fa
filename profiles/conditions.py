"""What a question is about, and what it asks of memory: the conditions under which a persona's traits hold.

A condition is a topic of the shipped list ("code"), or any words ("my thesis"). The three kinds of question
are those of the surveys of personalisation. By words alone: no model, microseconds.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

QueryKind = Literal["extraction", "abstraction", "generalisation"]
QUERY_KINDS: tuple[QueryKind, ...] = get_args(QueryKind)

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_CODE = re.compile(r"```|\b\w+\(\)|\bdef \w+|\b[a-z]+_[a-z_]+\b|[{};]\s*$", re.MULTILINE)
_SMALL = frozenset(
    (
        "a",
        "an",
        "the",
        "my",
        "your",
        "our",
        "of",
        "for",
        "in",
        "on",
        "at",
        "to",
        "with",
        "about",
        "is",
        "are",
        "and",
    )
)

_SELF = r"(?:i|i'?m|i'?ve|my|me|mine|we|our)"
# About what the person is or tends to: the answer stands in no single thing they said.
_ABSTRACT = re.compile(
    r"\bwhat (?:kinds?|sorts?|types?) of\b[^?]*\b(?:do|am|would) i\b"
    r"|\b(?:describe|summari[sz]e|sum up|characteri[sz]e) (?:me|my|who i am|what you know about me)\b"
    r"|\bwhat (?:do you know|have you learn(?:ed|t)) about me\b|\bwho am i\b|\bwhat am i like\b"
    r"|\bwhat (?:do|are) (?:i|my) (?:usually|generally|tend to|like|prefer|enjoy)\b"
    r"|\bwhat (?:do|are) (?:i|my) (?:preferences?|tastes?|habits?|interests?)\b"
    r"|\bhow would you describe (?:me|my)\b",
    re.IGNORECASE,
)
_ASKS_FACT = re.compile(
    r"^\W*(?:(?:hey|hi|ok(?:ay)?|so|and|please|remind me|tell me|can you tell me|do you (?:know|remember)"
    r"|remember)\W+)*"
    r"(?:(?:what|who|where|when)(?:['’]?s)?|whose|which|how (?:many|much|old|long|often)"
    r"|did|do|does|have|has|was|is|am)\b",
    re.IGNORECASE,
)
_OWN = re.compile(rf"\b{_SELF}\b", re.IGNORECASE)
_OPEN = re.compile(
    r"\b(?:should|could|would|recommend|suggest|ideas?|advice|best|better|help|how (?:do|can|to)"
    r"|write|plan|make)\b",
    re.IGNORECASE,
)


def query_kind(query: str) -> QueryKind:
    """Extraction: a fact that the person told. Abstraction: what they are like. Generalisation: all else,
    something new that should suit them."""
    if _ABSTRACT.search(query):
        return "abstraction"
    if _ASKS_FACT.match(query) and _OWN.search(query) and not _OPEN.search(query):
        return "extraction"
    return "generalisation"


def topics(query: str) -> list[str]:
    """Topics of the shipped list that a question touches, the one with most of its words first."""
    scores = {name: len(set(found.findall(query.casefold()))) for name, found in _topics().items()}
    if _CODE.search(query):
        scores["code"] = scores.get("code", 0) + 2
    return sorted((name for name, score in scores.items() if score), key=lambda name: -scores[name])


def topic_names() -> tuple[str, ...]:
    return tuple(_topics())


def named_topic(words: str) -> str:
    """A condition in somebody's words as a topic of the list where it is one: "coding" is "code"."""
    wanted = condition(words)
    if wanted in _topics():
        return wanted
    found = topics(wanted)
    return found[0] if found and len(wanted.split()) <= 2 else wanted


def condition(words: str) -> str:
    """One spelling of a condition."""
    return " ".join(words.casefold().split())


def holds(when: str, query: str) -> bool:
    """Whether a condition holds for a question; "" always does. Words of its own must all be there."""
    if not when:
        return True
    if when in _topics():
        return when in topics(query)
    wanted = [word for word in _WORD.findall(when.casefold()) if word not in _SMALL]
    said = {_stem(word) for word in _WORD.findall(query.casefold())}
    return bool(wanted) and all(_stem(word) in said for word in wanted)


def _stem(word: str) -> str:
    """Plural and singular as one; enough for conditions."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@cache
def _topics() -> dict[str, re.Pattern[str]]:
    text = files("mnemon.profiles").joinpath("data/topics.toml").read_text(encoding="utf-8")
    listed: dict[str, list[str]] = tomllib.loads(text)
    return {
        name: re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in words)})\b")
        for name, words in listed.items()
    }
