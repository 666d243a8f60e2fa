"""Rewards that need no training: contrasts of branches, and rules over the words themselves.

Each scores the candidates of one step. None runs a network: contrasts declare the branches they compare, and
the engine computes those as rows beside the base row.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from mnemon.agent.decoding.steering import BASE, Branch, Floats, StepView
from mnemon.errors import UsageError

_SENTENCE_END = re.compile(r"[.!?:][\"”’)*]*\s|\n|[.!?][\"”’)*]*$")
_ENDING = re.compile(r"[\w'’]*[\"”’)*]*[.!?]")
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_VOWELS = re.compile(r"[aeiouy]+")


@dataclass(frozen=True)
class Contrast:
    """l_for − l_against: what one reading of the conversation makes likelier than another."""

    wanted: Branch
    against: Branch = field(default_factory=lambda: Branch(name=BASE))

    @property
    def branches(self) -> tuple[Branch, ...]:
        return (self.wanted, self.against)

    def score(self, view: StepView) -> Floats:
        return view.logits(self.wanted.name) - view.logits(self.against.name)


@dataclass(frozen=True)
class BranchScore:
    """l of a branch as it is: an autoregressive reward model, or one of several tuned models."""

    branch: Branch

    @property
    def branches(self) -> tuple[Branch, ...]:
        return (self.branch,)

    def score(self, view: StepView) -> Floats:
        return view.logits(self.branch.name)


def attribute(name: str, instruction: str, *, opposite: str | None = None) -> Contrast:
    """A trait in words: the conversation under an instruction against it without, or under the opposite."""
    against = Branch(name=BASE) if opposite is None else Branch(name=f"not {name}", instruction=opposite)
    return Contrast(Branch(name=name, instruction=instruction), against)


class _Wordwise:
    """A rule over the candidates' texts; no branches, no rows."""

    @property
    def branches(self) -> tuple[Branch, ...]:
        return ()


def _keep(reward: _Wordwise, **fields: object) -> None:
    """A frozen rule's fields in the form in which they are compared and sent."""
    for name, value in fields.items():
        object.__setattr__(reward, name, value)


class OwnWords(_Wordwise):
    """The person's own vocabulary: log p_person(z) − log p_background(z) of single tokens.

    The person's few words are smoothed towards the background by pseudo-counts (a Dirichlet prior), so that
    one unusual word does not dominate.
    """

    def __init__(self, person: Sequence[int], background: Sequence[int], *, vocabulary: int) -> None:
        if not len(person):
            raise UsageError("OwnWords needs the person's writing; there are no tokens in it.")
        strength = max(50.0, 0.25 * len(person))
        common = np.bincount(np.asarray(background, dtype=np.int64), minlength=vocabulary) + 0.01
        common = common / common.sum()
        own = np.bincount(np.asarray(person, dtype=np.int64), minlength=vocabulary) + strength * common
        self._ratio: Floats = np.log(own / own.sum()) - np.log(common)

    def score(self, view: StepView) -> Floats:
        picked: Floats = self._ratio[view.candidates]
        return picked


@dataclass(frozen=True)
class Lexicon(_Wordwise):
    """Rewards candidates that write, or begin to write, one of some words or marks ("!", "perhaps").

    With `rest`, none of them is rewarded until so many other words stand between it and the last: a habit,
    not a list. `beginnings=False` is for words that are single tokens, whose beginnings are other words.
    """

    words: Iterable[str]
    rest: int = field(default=0, kw_only=True)
    beginnings: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _keep(self, words=tuple(word.lower() for word in self.words))
        if not self.words:
            raise UsageError("Lexicon needs at least one word.")

    def score(self, view: StepView) -> Floats:
        text = view.text()
        tail = _open_word(text)
        if self.rest and self._rested_on(text.lower()):
            return np.zeros(len(view.candidates))
        return np.array([float(self._fits(tail, piece)) for piece in view.candidate_texts()])

    def _rested_on(self, text: str) -> bool:
        return any(word in self.words for word in _WORD.findall(text)[-self.rest :])

    def _fits(self, tail: str, piece: str) -> bool:
        fresh = not tail or not piece[:1].isalnum()
        word = piece.strip().lower() if fresh else (tail + piece).strip().lower()
        begun = self.beginnings and len(word) > 1
        return bool(word) and any(w == word or (begun and w.startswith(word)) for w in self.words)


@dataclass(frozen=True)
class SentenceLength(_Wordwise):
    """Towards `words` per sentence: ending one is rewarded beyond the target, discouraged before it."""

    words: float

    def __post_init__(self) -> None:
        if self.words <= 0:
            raise UsageError(f"SentenceLength({self.words!r}): give a positive number of words.")

    def score(self, view: StepView) -> Floats:
        text = view.text()
        begun = len(_WORD.findall(_open_sentence(text)))
        pull = float(np.clip((begun - self.words) / self.words, -1.0, 1.5))
        return np.array([pull * _ends_sentence(text, piece) for piece in view.candidate_texts()])


@dataclass(frozen=True)
class SentenceMark(_Wordwise):
    """Rewards ending a sentence, once it has a word, with one mark rather than another: "!" or "?".

    With `rest`, only when none of so many sentences before it ended so.
    """

    mark: str
    rest: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        if self.mark not in (".", "!", "?"):
            raise UsageError(f"SentenceMark({self.mark!r}): a sentence ends with '.', '!' or '?'.")

    def score(self, view: StepView) -> Floats:
        text = view.text()
        lately = _last_sentences(text, self.rest)
        if not _WORD.search(_open_sentence(text)) or any(self.mark in said[-3:] for said in lately):
            return np.zeros(len(view.candidates))
        pieces = view.candidate_texts()
        return np.array([float(self.mark in piece and _ends_sentence(text, piece)) for piece in pieces])


@dataclass(frozen=True)
class SentenceOpening(_Wordwise):
    """Rewards beginning a sentence with one of some words, such as "What" for somebody who asks.

    With `rest`, only when none of so many sentences before it was a question.
    """

    words: Iterable[str]
    rest: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _keep(self, words=frozenset(word.lower() for word in self.words))
        if not self.words:
            raise UsageError("SentenceOpening needs at least one word.")

    def score(self, view: StepView) -> Floats:
        lately = _last_sentences(view.text(), self.rest)
        if _open_sentence(view.text()).strip() or any("?" in said[-3:] for said in lately):
            return np.zeros(len(view.candidates))
        return np.array([float(piece.strip().lower() in self.words) for piece in view.candidate_texts()])


@dataclass(frozen=True)
class ReplyLength(_Wordwise):
    """Towards a reply of `words`: the reply's end is discouraged before, rewarded beyond.

    Of no effect together with `freeze_end`, which leaves the end to the base model.
    """

    words: float
    end_ids: Iterable[int] = field(kw_only=True)

    def __post_init__(self) -> None:
        _keep(self, end_ids=tuple(sorted(self.end_ids)))
        if self.words <= 0:
            raise UsageError(f"ReplyLength({self.words!r}): give a positive number of words.")

    def score(self, view: StepView) -> Floats:
        written = len(_WORD.findall(view.text()))
        pull = float(np.clip((written - self.words) / self.words, -1.0, 2.0))
        return np.isin(view.candidates, list(self.end_ids)).astype(np.float64) * pull


@dataclass(frozen=True)
class PlainWords(_Wordwise):
    """Readability: minus the syllables beyond one of the word that a candidate would leave.

    Words of the question (`spared`) count as short: what is spoken of has its name, and without it a plain
    answer is about something else.
    """

    spared: Iterable[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        _keep(self, spared=tuple(word.lower() for word in self.spared))

    def score(self, view: StepView) -> Floats:
        tail = _open_word(view.text())
        beyond = []
        for text in view.candidate_texts():
            word = (_open_word(tail + text) if text[:1].isalnum() else _open_word(text)).lower()
            free = any(known.startswith(word) for known in self.spared)
            beyond.append(0 if free else _syllables(word) - 1)
        return -np.array(beyond, dtype=np.float64)


@dataclass(frozen=True)
class Rule(_Wordwise):
    """Any function of the reply so far and a candidate's text."""

    function: Callable[[str, str], float]

    def score(self, view: StepView) -> Floats:
        text = view.text()
        return np.array([self.function(text, piece) for piece in view.candidate_texts()], dtype=np.float64)


def _open_word(text: str) -> str:
    """The word at the end of a text that the next piece may continue."""
    found = re.search(r"[\w'’-]+$", text)
    return found.group() if found else ""


def _syllables(word: str) -> int:
    """At least 1: groups of vowels without English's silent e; elsewhere a third of the letters."""
    groups = len(_VOWELS.findall(unicodedata.normalize("NFD", word))) or len(word) // 3
    silent = word.endswith("e") and not word.endswith(("le", "ee"))
    return max(1, groups - silent)


def _open_sentence(text: str) -> str:
    """What has been written of the sentence that is not ended yet; a line ends one too."""
    return _SENTENCE_END.split(text)[-1]


def _last_sentences(text: str, count: int) -> list[str]:
    """The last finished sentences that have words, with what ended them."""
    if not count:
        return []
    ends = [0, *(found.end() for found in _SENTENCE_END.finditer(text))]
    parts = [text[start:end].rstrip() for start, end in pairwise(ends)]
    return [part for part in parts if _WORD.search(part)][-count:]


def _ends_sentence(text: str, piece: str) -> bool:
    """Whether a piece ends the sentence. "1." does not: it counts a list's items."""
    return not (text[-1:].isdigit() and piece.strip() == ".") and _ENDING.match(piece.strip()) is not None
