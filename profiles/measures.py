"""What can be counted in a reply: length, sentences, hedges, questions, steps, units ... No judge, no model.

A measure is a number that a trait names (`Trait.measure`), that a test can hold a steered reply to, and
that a person's choices are explained by. Rates are per hundred words, so that a long reply is not "more" of
everything. Cues are English words (`data/cues.toml`); they see form, never whether a reply is right or kind.
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'’”)\]]*\s+")
_LIST_ITEM = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+\S")
_BULLET = re.compile(r"\s*[-*•]\s+\S")
_NUMBERED = re.compile(r"\s*(?:step\s+)?\d{1,2}[.):]\s+\S", re.IGNORECASE)
_MARKER = re.compile(r"^\s*(?:[-*•]|#{1,6}|\d{1,2}[.)])\s+")
_HEADING = re.compile(r"\s*(?:#{1,6}\s+\S|\*\*[^*]+\*\*:?\s*$)")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
_CONTRACTION = re.compile(
    r"(?:n['’]t|['’](?:re|ve|ll|m|d))$|^(?:it|that|there|what|here|let|he|she|who)['’]s$"
)
_LINK = re.compile(r"https?://\S+|\[\d{1,3}\]|\((?:19|20)\d\d\)")
_SMILE = re.compile(r"[:;]-?[)DP](?!\w)")
_EMOJI = re.compile(
    "(?:[\U0001f1e6-\U0001f1ff]{2}|[\U0001f300-\U0001faff\u2600-\u27bf\u2b50]"
    "(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d[\U0001f300-\U0001faff\u2600-\u27bf])*)"
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_VOWELS = re.compile(r"[aeiouy]+")

WINDOW = 30  # words over which different words are counted, so that variety does not fall with length


@cache
def _cues() -> Mapping[str, re.Pattern[str]]:
    """One expression for each list of `data/cues.toml`; of phrases that begin alike the longest counts."""
    text = files("mnemon.profiles").joinpath("data/cues.toml").read_text(encoding="utf-8")
    return {name: _any_of(phrases) for name, phrases in tomllib.loads(text).items()}


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"(?<![\w'])(?:{'|'.join(map(re.escape, longest_first))})(?![\w'])")


@dataclass(frozen=True)
class Reading:
    """A text taken apart once for all measures."""

    text: str

    @cached_property
    def plain(self) -> str:
        return self.text.lower().replace("’", "'")

    @cached_property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self.plain)

    @cached_property
    def sentences(self) -> list[str]:
        """Lines are sentences of their own, without the marks of lists; only what has a word counts."""
        parts = [part for line in self.lines for part in _SENTENCE.split(_MARKER.sub("", line))]
        return [part for part in parts if _WORD.search(part)]

    def rate(self, count: float) -> float:
        """Per hundred words."""
        return 100 * count / len(self.words) if self.words else 0.0

    def found(self, cue: str) -> int:
        return len(_cues()[cue].findall(self.plain))

    def per_sentence(self, count: float) -> float:
        return count / max(1, len(self.sentences))


def syllables(word: str) -> int:
    """Groups of vowels, without a silent e at the end: right for most English words, off by one for some."""
    groups = len(_VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1
    return max(1, groups - silent)


def _mean_length(reading: Reading) -> float:
    return sum(map(len, reading.words)) / len(reading.words) if reading.words else 0.0


def _sentence_words(reading: Reading) -> float:
    return len(reading.words) / len(reading.sentences) if reading.sentences else 0.0


def _grade(reading: Reading) -> float:
    """Flesch–Kincaid: the school year in which a text is easily read."""
    if not reading.words or not reading.sentences:
        return 0.0
    sounds = sum(map(syllables, reading.words)) / len(reading.words)
    return 0.39 * len(reading.words) / len(reading.sentences) + 11.8 * sounds - 15.59


def _variety(reading: Reading) -> float:
    """Different words among thirty running ones, averaged over the text."""
    words = reading.words
    if not words:
        return 0.0
    windows = range(max(1, len(words) - WINDOW + 1))
    return sum(len(set(words[at : at + WINDOW])) / min(WINDOW, len(words)) for at in windows) / len(windows)


def _list_lines(reading: Reading) -> float:
    items = sum(_LIST_ITEM.match(line) is not None for line in reading.lines)
    return items / len(reading.lines) if items > 1 else 0.0


def _steps(reading: Reading) -> float:
    numbered = sum(_NUMBERED.match(line) is not None for line in reading.lines)
    return reading.rate(numbered + reading.found("order"))


def _bullets(reading: Reading) -> float:
    items = sum(_BULLET.match(line) is not None for line in reading.lines)
    return items / len(reading.lines) if reading.lines else 0.0


def _contractions(reading: Reading) -> float:
    return reading.rate(sum(_CONTRACTION.search(word) is not None for word in reading.words))


def _formality(reading: Reading) -> float:
    cues = reading.found("formal") - reading.found("informal")
    return reading.rate(cues) - 0.5 * _contractions(reading)


def _numbers(reading: Reading) -> float:
    """Numbers in the text; those that only number a list are not told to the reader."""
    body = "\n".join(_MARKER.sub("", line) for line in reading.lines)
    return reading.rate(len(_NUMBER.findall(body)))


def _answer_first(reading: Reading) -> float:
    """1 where the first sentence is no preamble."""
    if not reading.sentences:
        return 0.0
    first = reading.sentences[0].lower().replace("’", "'").lstrip(" \"'*_")
    return float(_cues()["preambles"].match(first) is None and not first.endswith("?"))


def _balance(more: str, less: str) -> Callable[[Reading], float]:
    """Which of two vocabularies a text uses, from −1 to 1; 0 where it uses neither."""

    def count(reading: Reading) -> float:
        wanted, other = reading.found(more), reading.found(less)
        return (wanted - other) / (wanted + other) if wanted + other else 0.0

    return count


def _cue(name: str) -> Callable[[Reading], float]:
    return lambda reading: reading.rate(reading.found(name))


Shape = Literal["log", "root", "plain"]


@dataclass(frozen=True)
class Measure:
    """How a text is counted, in what unit, and on which scale people tell two texts apart by it."""

    count: Callable[[Reading], float]
    unit: str
    shape: Shape = "root"

    def felt(self, value: float) -> float:
        """Twice as long is one step, wherever it starts; the tenth example says less than the first."""
        if self.shape == "log":
            return math.log2(1 + value)
        return math.copysign(math.sqrt(abs(value)), value) if self.shape == "root" else value


_RATE = "per 100 words"
MEASURES: Mapping[str, Measure] = {
    "words": Measure(lambda reading: float(len(reading.words)), "words", "log"),
    "sentence_words": Measure(_sentence_words, "words per sentence", "log"),
    "letters_per_word": Measure(_mean_length, "letters per word", "plain"),
    "grade": Measure(_grade, "school years", "plain"),
    "variety": Measure(_variety, f"different among {WINDOW} words", "plain"),
    "formality": Measure(_formality, f"formal less informal, {_RATE}"),
    "contractions": Measure(_contractions, _RATE),
    "courtesies": Measure(_cue("courtesies"), _RATE),
    "warmth": Measure(_cue("warmth"), _RATE),
    "praise": Measure(_cue("praise"), _RATE),
    "humour": Measure(
        lambda reading: reading.rate(reading.found("humour") + len(_SMILE.findall(reading.text))), _RATE
    ),
    "emoji": Measure(lambda reading: reading.rate(len(_EMOJI.findall(reading.text))), _RATE),
    "exclamations": Measure(lambda reading: reading.per_sentence(reading.text.count("!")), "per sentence"),
    "second_person": Measure(_cue("second_person"), _RATE),
    "questions": Measure(lambda reading: reading.per_sentence(reading.text.count("?")), "per sentence"),
    "ends_asking": Measure(lambda reading: float(reading.text.rstrip().endswith("?")), "0 or 1", "plain"),
    "answer_first": Measure(_answer_first, "0 or 1", "plain"),
    "hedges": Measure(_cue("hedges"), _RATE),
    "caveats": Measure(_cue("caveats"), _RATE),
    "contrasts": Measure(_cue("contrasts"), _RATE),
    "options": Measure(_cue("options"), _RATE),
    "examples": Measure(_cue("examples"), _RATE),
    "analogies": Measure(_cue("analogies"), _RATE),
    "citations": Measure(
        lambda reading: reading.rate(reading.found("citations") + len(_LINK.findall(reading.text))), _RATE
    ),
    "numbers": Measure(_numbers, _RATE),
    "metric_units": Measure(_balance("metric", "imperial"), "−1 imperial, 1 metric", "plain"),
    "british_spelling": Measure(_balance("british", "american"), "−1 American, 1 British", "plain"),
    "steps": Measure(_steps, _RATE),
    "bullets": Measure(_bullets, "share of lines", "plain"),
    "list_lines": Measure(_list_lines, "share of lines, if two or more", "plain"),
    "headings": Measure(
        lambda reading: float(sum(_HEADING.match(line) is not None for line in reading.lines)), "headings"
    ),
    "code": Measure(lambda reading: reading.rate(len(_CODE.findall(reading.text))), _RATE),
}


def measure_text(text: str) -> dict[str, float]:
    """Every measure of a text, by name; an empty text measures 0. A millisecond for a hundred words."""
    reading = Reading(text)
    return {name: float(measure.count(reading)) for name, measure in MEASURES.items()}


def measure(name: str, text: str) -> float:
    """One measure of a text, without the others."""
    return float(MEASURES[name].count(Reading(text)))
