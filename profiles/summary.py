"""Statements joined by a language model, and the check that holds each to its evidence.

The model answers under a grammar: sentences, each with the numbers of the statements it was made from. What
its evidence does not say is dropped, and the statements it stood for stay as they were.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

from mnemon.memory import LanguageModel
from mnemon.profiles.profile import Section, Statement
from mnemon.profiles.sensitive import sensitive

MOST = 12  # statements that are put to the model at once
LONGEST = 160  # letters of a sentence
SUPPORT = 0.8  # share of a sentence's words that its evidence must hold
_WORD = re.compile(r"[\w'’]+")
_NOT = re.compile(r"\b(?:not|no|never|without|dislikes?|avoids?|hates?|refuses?|cannot|\w+n['’]t)\b", re.I)
_FREE = frozenset(
    ("the", "user", "user's", "they", "their", "them", "and", "or", "but", "also", "who", "with", "has")
) | {"have", "is", "are", "was", "a", "an", "in", "at", "of", "to", "as", "both", "which", "that", "called"}


def condense(model: LanguageModel, section: Section, statements: Sequence[Statement]) -> list[Statement]:
    """Fewer statements that say the same. A sentence without support is dropped; statements that no sentence
    stands for are kept."""
    given = [one for one in statements if not one.sensitive][:MOST]
    if len(given) < 2:
        return list(statements)
    numbered = "\n".join(f"{place}. {one.text}" for place, one in enumerate(given, start=1))
    prompt = files("mnemon.profiles").joinpath("prompts/condense.md").read_text(encoding="utf-8").strip()
    answer = model.complete(
        [{"role": "system", "content": prompt}, {"role": "user", "content": numbered}],
        json_schema=_schema(len(given)),
        max_tokens=60 * len(given) + 60,
    )
    kept: list[Statement] = []
    covered: set[str] = set()
    for sentence in _sentences(answer):
        text, places = sentence
        cited = [given[place - 1] for place in dict.fromkeys(places) if 1 <= place <= len(given)]
        if cited and supported(text, cited):
            kept.append(_joined(section, text, cited))
            covered.update(one.key for one in cited)
    return [*kept, *(one for one in statements if one.key not in covered)]


def supported(text: str, evidence: Iterable[Statement]) -> bool:
    """Whether evidence says it: nearly all its words, every number and name, and no more or less negation."""
    said = " ".join([part for one in evidence for part in (one.text, *(quote.words for quote in one.quotes))])
    known = {_stem(word) for word in _WORD.findall(said.casefold())}
    words = [word for word in _WORD.findall(text) if word.casefold() not in _FREE]
    if not words or bool(_NOT.search(text)) != bool(_NOT.search(said)):
        return False
    exact = [word for place, word in enumerate(words) if word[0].isdigit() or (place and word[0].isupper())]
    if any(_stem(word.casefold()) not in known for word in exact):
        return False
    return sum(_stem(word.casefold()) in known for word in words) >= SUPPORT * len(words)


def digest(statements: Iterable[Statement]) -> str:
    """What the statements of a section say, as a few letters: a summary holds while this is the same."""
    text = "\n".join(f"{one.key} {one.text}" for one in statements)
    return hashlib.blake2b(text.encode("utf-8", errors="replace"), digest_size=8).hexdigest()


def _joined(section: Section, text: str, cited: Sequence[Statement]) -> Statement:
    times = [one.said_at for one in cited if one.said_at is not None]
    return Statement(
        section=section,
        text=text,
        key=f"model:{digest(cited)}",
        quotes=tuple(dict.fromkeys(quote for one in cited for quote in one.quotes)),
        evidence=tuple(dict.fromkeys(name for one in cited for name in (one.key, *one.evidence))),
        said_at=max(times, default=None),
        confidence=min(one.confidence for one in cited),
        sensitive=sensitive(text),
        source="model",
    )


def _sentences(answer: str) -> list[tuple[str, list[int]]]:
    """What the model wrote, as far as it can be read; an answer in another form gives none."""
    try:
        found = json.loads(answer)["statements"]
        return [
            (" ".join(str(one["text"]).split())[:LONGEST], [int(n) for n in one["from"]]) for one in found
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _schema(count: int) -> dict[str, object]:
    number = {"type": "integer", "enum": list(range(1, count + 1))}
    sentence = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 8, "maxLength": LONGEST},
            "from": {"type": "array", "items": number, "minItems": 1, "maxItems": count},
        },
        "required": ["text", "from"],
        "additionalProperties": False,
    }
    listed = {"type": "array", "items": sentence, "minItems": 1, "maxItems": count}
    return {
        "type": "object",
        "properties": {"statements": listed},
        "required": ["statements"],
        "additionalProperties": False,
    }


def _stem(word: str) -> str:
    for ending in ("'s", "’s", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending)
    return word
