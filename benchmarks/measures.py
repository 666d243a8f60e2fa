"""What a text is like, by counting: the measures of the steering benchmarks. No judge and no model.

Sentences end at ., ! or ? before a space and at lines' ends; a list's number is no sentence. The grade is
Flesch and Kincaid's, with syllables counted as groups of vowels less a silent e.
"""

import re

HEDGES = frozenset(
    ("perhaps", "maybe", "might", "may", "could", "possibly", "probably", "likely", "often", "usually")
)
SECOND_PERSON = frozenset(("you", "your", "yours", "yourself", "you're", "you'll", "you've"))
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)*")
_BETWEEN = re.compile(r"(?<=[.!?])[\"”’)*]*\s+|\n+")
_VOWELS = re.compile(r"[aeiouy]+")

# measure → the direction in which its trait moves it
MEASURES = {
    "words per sentence": -1,
    "reading grade": -1,
    "words": -1,
    "exclamations": 1,
    "hedges": 1,
    "questions": 1,
    "second person": 1,
}


def measured(text: str) -> dict[str, float]:
    """Shares of sentences for marks, counts in a hundred words for kinds of words."""
    words = [word.lower().replace("’", "'") for word in WORD.findall(text)]
    sentences = [part for part in _BETWEEN.split(text) if WORD.search(part)]
    n, m = max(1, len(words)), max(1, len(sentences))
    marks = [sentence.rstrip('"”’)* ')[-1:] for sentence in sentences]
    return {
        "words per sentence": n / m,
        "reading grade": 0.39 * n / m + 11.8 * sum(map(syllables, words)) / n - 15.59,
        "words": float(len(words)),
        "exclamations": marks.count("!") / m,
        "hedges": 100 * sum(word in HEDGES for word in words) / n,
        "questions": marks.count("?") / m,
        "second person": 100 * sum(word in SECOND_PERSON for word in words) / n,
    }


def syllables(word: str) -> int:
    groups = len(_VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee"))
    return max(1, groups - (silent and groups > 1))
