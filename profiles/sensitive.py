"""What about a person is sensitive, by its words: health, religion, politics, sexuality, ethnicity, offences.

Such a thing is kept only where the person's own words state it, is marked, and steers nothing unless allowed.
It errs on the side of marking: an allergy is health, and "the church choir" religion.
"""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

# Attributes of facts that are sensitive whatever their value.
_ATTRIBUTES = {
    "condition": "health",
    "allergic to": "health",
    "intolerant to": "health",
    "nationality": "ethnicity",
}


def sensitive(*texts: str, attribute: str = "") -> str:
    """The category of what these texts say, "" for none."""
    if attribute in _ATTRIBUTES:
        return _ATTRIBUTES[attribute]
    return next((name for name, words in _categories().items() if any(map(words.search, texts))), "")


def stated(category: str, quotes: Iterable[str], *, attribute: str = "") -> bool:
    """Whether the person's own words say it: what was only concluded from them is not kept."""
    words = _categories()[category]
    return any(bool(words.search(quote)) or attribute in _ATTRIBUTES for quote in quotes)


def categories() -> tuple[str, ...]:
    return tuple(_categories())


@cache
def _categories() -> dict[str, re.Pattern[str]]:
    text = files("mnemon.profiles").joinpath("data/sensitive.toml").read_text(encoding="utf-8")
    listed: dict[str, list[str]] = tomllib.loads(text)
    return {
        name: re.compile(rf"\b(?:{'|'.join(map(_expression, words))})\b", re.IGNORECASE)
        for name, words in listed.items()
    }


def _expression(word: str) -> str:
    escaped = re.escape(word.removesuffix("*")).replace(r"\ ", r"\s+")
    return escaped + (r"\w*" if word.endswith("*") else "")
