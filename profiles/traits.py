"""The traits by which replies differ, and the bank that holds them: shipped ones, and a person's own file.

A trait is one direction of writing with a name, what to say to a model that should have it or its opposite,
how to count it, and how a person asks for it. Knows no person and no model.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from mnemon.errors import DataError, UsageError
from mnemon.profiles.measures import MEASURES

Way = Literal[
    "attribute",
    "reply-length",
    "sentence-length",
    "plain-words",
    "lexicon",
    "sentence-mark",
    "sentence-opening",
]
WAYS: tuple[Way, ...] = get_args(Way)
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")


@dataclass(frozen=True, kw_only=True)
class Trait:
    """One direction in which a reply may lean. A weight above 0 wants it, below 0 wants its opposite."""

    name: str
    instruction: str
    opposite: str
    measure: str = ""  # what counts it in a text; "" where nothing objective does
    falls: bool = False  # more of the trait is less of the measure
    steering: tuple[Way, ...] = ("attribute",)
    words: tuple[str, ...] = ()  # what the trait brings in, for the rules that look at words
    opposite_words: tuple[str, ...] = ()
    mirrors: bool = False  # a person's own writing says what they want to read
    asks: tuple[re.Pattern[str], ...] = ()  # how a person asks for it
    refuses: tuple[re.Pattern[str], ...] = ()  # how a person asks for the opposite

    def said(self, weight: float) -> str:
        """The instruction for a weight: its own, or the opposite's."""
        return self.instruction if weight >= 0 else self.opposite


class TraitBank(Mapping[str, Trait]):
    """Traits by name, in the order of their files. `TraitBank.load()` holds those that are shipped."""

    def __init__(self, traits: Iterable[Trait]) -> None:
        self._traits = {trait.name: trait for trait in traits}

    @classmethod
    def load(cls, *own: str | Path) -> "TraitBank":
        """The shipped traits, and those of files of the same form; a later one replaces one of its name."""
        bank = _shipped()
        for path in own:
            bank = bank.with_traits(read_traits(Path(path)))
        return bank

    def with_traits(self, traits: Iterable[Trait]) -> "TraitBank":
        return TraitBank([*self.values(), *traits])

    def __getitem__(self, name: str) -> Trait:
        found = self._traits.get(name)
        if found is None:
            near = get_close_matches(str(name), self._traits, n=3, cutoff=0.5)
            raise UnknownTrait(
                f"There is no trait {name!r}.",
                hint=f"Did you mean {', '.join(near)}?"
                if near
                else "`mnemon persona list --traits` lists them.",
            )
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._traits

    def __iter__(self) -> Iterator[str]:
        return iter(self._traits)

    def __len__(self) -> int:
        return len(self._traits)

    def __repr__(self) -> str:
        return f"TraitBank({len(self)} traits)"


class UnknownTrait(UsageError, KeyError):  # noqa: N818  a usage error; a KeyError so that Mapping.get works
    """A name that the bank does not hold; says which ones are near."""


@cache
def _shipped() -> TraitBank:
    text = files("mnemon.profiles").joinpath("data/traits.toml").read_text(encoding="utf-8")
    return TraitBank(_parsed(text, "the shipped traits"))


def read_traits(path: Path) -> list[Trait]:
    """The traits of a file; DataError says which one is wrong and how."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The traits in {str(path)!r} cannot be read: {error}.") from error
    return _parsed(text, str(path))


def _parsed(text: str, place: str) -> list[Trait]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{place} is no TOML: {error}.") from error
    entries = data.get("trait")
    if set(data) != {"trait"} or not isinstance(entries, list):
        raise DataError(
            f"{place} has the keys {sorted(data)}, expected [[trait]] tables.",
            hint='Begin each trait with [[trait]], then name = "...", instruction = "...", opposite = "...".',
        )
    traits = [_trait(entry, f"{place}, trait {number}") for number, entry in enumerate(entries, start=1)]
    names = [trait.name for trait in traits]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{place} has {', '.join(twice)} more than once.")
    return traits


_TEXTS = ("name", "instruction", "opposite", "measure")
_FLAGS = ("falls", "mirrors")
_LISTS = ("steering", "words", "opposite_words", "asks", "refuses")


def _trait(entry: object, place: str) -> Trait:
    if not isinstance(entry, dict):
        raise DataError(f"{place} is {entry!r}, expected a table.")
    _check_types(entry, place)
    missing = [key for key in ("name", "instruction", "opposite") if not str(entry.get(key, "")).strip()]
    if missing:
        raise DataError(f"{place} has no {missing[0]}.", hint="name, instruction and opposite are needed.")
    if not _NAME.match(entry["name"]):
        raise DataError(f"{place} is called {entry['name']!r}, expected small letters and hyphens.")
    ways = entry.get("steering", ["attribute"])
    strange = [way for way in ways if way not in WAYS]
    if strange:
        raise DataError(f"{place} is steered by {strange[0]!r}, expected some of {', '.join(WAYS)}.")
    needy = [way for way in ways if way in ("lexicon", "sentence-mark", "sentence-opening")]
    if needy and not entry.get("words"):
        raise DataError(f"{place} is steered by {needy[0]} and has no words.")
    if entry.get("measure") and entry["measure"] not in MEASURES:
        near = get_close_matches(entry["measure"], MEASURES, n=3)
        raise DataError(
            f"{place} has the measure {entry['measure']!r}, which does not exist.",
            hint=f"Did you mean {', '.join(near)}?" if near else f"There are {', '.join(MEASURES)}.",
        )
    return Trait(
        name=entry["name"],
        instruction=entry["instruction"].strip(),
        opposite=entry["opposite"].strip(),
        measure=entry.get("measure", ""),
        falls=entry.get("falls", False),
        mirrors=entry.get("mirrors", False),
        steering=tuple(ways),
        words=tuple(entry.get("words", ())),
        opposite_words=tuple(entry.get("opposite_words", ())),
        asks=_patterns(entry.get("asks", ()), place),
        refuses=_patterns(entry.get("refuses", ()), place),
    )


def _check_types(entry: Mapping[str, object], place: str) -> None:
    known = (*_TEXTS, *_FLAGS, *_LISTS)
    for key, value in entry.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise DataError(
                f"{place} has the key {key!r}, which means nothing.",
                hint=f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}.",
            )
        if key in _TEXTS and not isinstance(value, str):
            raise DataError(f"{place}: {key} is {value!r}, expected a text.")
        if key in _FLAGS and not isinstance(value, bool):
            raise DataError(f"{place}: {key} is {value!r}, expected true or false.")
        if key in _LISTS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise DataError(f"{place}: {key} is {value!r}, expected a list of texts.")


def _patterns(expressions: Iterable[str], place: str) -> tuple[re.Pattern[str], ...]:
    found = []
    for expression in expressions:
        try:
            found.append(re.compile(expression, re.IGNORECASE))
        except re.error as error:
            raise DataError(f"{place}: {expression!r} is no regular expression: {error}.") from error
    return tuple(found)
