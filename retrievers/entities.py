"""Names, numbers and kinds of words: what a question asks for, and what a turn could answer.

Patterns only, English first; a text in another language simply shows fewer marks. Knows no score.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntFlag

from mnemon.retrievers.timing import mentions_time


class Mark(IntFlag):
    """What a text shows. The first six are also what a question may ask for."""

    TIME = 1  # when: a date, a weekday, "yesterday"
    PLACE = 2  # where: "in Lisbon", "at the lake"
    PERSON = 4  # who: names, kin
    NUMBER = 8  # how many, how long, how much
    REASON = 16  # why: because, so that, to be able
    NAME = 32  # which, what is the name: capitalised words, quotations
    ASKS = 64  # the text is itself a question
    FIRST = 128  # somebody tells of themselves
    GREETS = 256  # greeting, thanks, small talk
    SHOWS = 512  # a picture with a caption
    ORDERS = 1024  # how to answer from now on: "Always give metric units", "when I ask about rent, ..."


ASKABLE = (Mark.TIME, Mark.PLACE, Mark.PERSON, Mark.NUMBER, Mark.REASON, Mark.NAME)

_NUMBER_WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "dozen",
    "hundred",
    "thousand",
    "couple",
    "few",
    "several",
    "once",
    "twice",
]
_NUMBER = re.compile(rf"\d|\b(?:{'|'.join(_NUMBER_WORDS)})\b", re.I)
_PLACE = re.compile(
    r"\b(?:in|at|to|from|near|around|across|through|visit(?:ed|ing)?)\s+(?:the\s+|a\s+|an\s+|my\s+)?"
    r"(?:[A-Z][a-z]+|park|beach|lake|museum|store|shop|cafe|restaurant|school|church|center|centre|studio|"
    r"mountains?|woods|forest|gym|hotel|office|home|house|city|town|library|hospital|airport|shelter|theat(?:er|re))"
)
_KIN = re.compile(
    r"\b(?:mom|mum|mother|dad|father|parents?|sister|brother|sibling|son|daughter|kids?|children|husband|wife|"
    r"partner|boyfriend|girlfriend|fianc[eé]e?|friends?|cousin|aunt|uncle|grand(?:ma|pa|mother|father)|niece|"
    r"nephew|colleague|coworker|boss|neighbou?r|teacher|coach|mentor|roommate|team)\b",
    re.I,
)
_REASON = re.compile(
    r"\b(?:because|since|so that|so I|in order|reason|that's why|inspired|motivat\w+|thanks to|due to|"
    r"wanted to|hoping|to (?:help|make|get|become|share|show|raise))\b",
    re.I,
)
_FIRST = re.compile(r"\b(?:I|I'm|I've|I'd|I'll|my|mine|we|we're|we've|our)\b")
_GREETING = re.compile(
    r"^\W*(?:hey|hi|hello|wow|thanks|thank you|bye|goodbye|great to|good to|awesome|cool|nice|"
    r"that's (?:great|awesome|so|amazing|really)|sounds|congrat\w*|take care|no (?:problem|worries)|"
    r"absolutely|definitely|yeah|yep|sure|okay|ok|glad|you're welcome|aw+)\b",
    re.I,
)
_ORDER = re.compile(
    r"(?:^|[.!?;\n]\s*)"
    r"(?:(?:please|so|and|also|ok(?:ay)?|remember to|make sure (?:to|you)|i(?:'d| would) like you to|"
    r"i want you to|you should)[\s,]+)*"
    r"(?:always(?! (?:wanted|loved|been|happy|glad|nice|good|great|dreamed)\b)"
    r"|never(?! (?:mind|heard|been|thought|knew|had|seen|tried)\b)|do(?:n't| not) ever"
    r"|from now on|going forward|in (?:the )?future|every time|each time|any ?time)\b"
    r"|\b(?<!what )(?:whenever|every time|each time|any ?time|if|when) (?:i|we) "
    r"(?:ask|mention|bring up|(?:talk|speak) (?:about|of)|discuss)\b",
    re.I,
)
_ORDER_WITHIN = 400  # characters: an order comes first or alone, not deep inside a long message
_NAME = re.compile(r"(?<![.!?:\"“]\s)(?<!^)\b([A-Z][\w'&-]*(?:\s+[A-Z][\w'&-]*)*)|[\"“]([^\"”]{2,60})[\"”]")
_NOT_NAMES = frozenset(
    [
        "I",
        "I'm",
        "I've",
        "I'd",
        "I'll",
        "Hey",
        "Hi",
        "Wow",
        "OK",
        "Okay",
        "And",
        "But",
        "So",
        "The",
        "It",
        "That",
        "This",
        "What",
        "How",
    ]
)
_ASKED = (
    (
        Mark.TIME,
        re.compile(
            r"\b(?:when|what (?:date|day|month|year|time)|which (?:date|day|month|year)|how long ago)\b", re.I
        ),
    ),
    (
        Mark.PLACE,
        re.compile(
            r"\b(?:where|what (?:city|country|place|state|town)|which (?:city|country|place|state|town))\b",
            re.I,
        ),
    ),
    (Mark.PERSON, re.compile(r"\b(?:who|whom|whose)\b", re.I)),
    (Mark.NUMBER, re.compile(r"\b(?:how (?:many|much|long|often|old|far)|what number)\b", re.I)),
    (
        Mark.REASON,
        re.compile(
            r"\b(?:why|what (?:motivat|inspir|made|caus|prompt)\w*|reasons?|purpose|how come)\b", re.I
        ),
    ),
    (
        Mark.NAME,
        re.compile(
            r"\b(?:which|names?|named|called|titles?|what (?:kind|type|book|movie|game|song|band))\b", re.I
        ),
    ),
)
_WORD = re.compile(r"\w+")
_SELF = re.compile(r"\b(?:i|i'm|i've|i'd|my|me|mine|we|our|us)\b", re.I)
# "Can you list ..." asks the assistant for something now; only what it said or did is told by its turns.
_SAYING = (
    "said|say|told|tell|mention(?:ed)?|suggest(?:ed)?|recommend(?:ed)?|advised?|propos(?:e|ed)|explain(?:ed)?|"
    "describ(?:e|ed)|g[ai]ve|wr[io]te|list(?:ed)?|provid(?:e|ed)|offer(?:ed)?|shared?|helped|made|created|"
    "came up"
)
_OTHER = re.compile(
    rf"\b(?:did|have|had|were) you\b|\byou(?:'d|'ve| had| have| just| also| already)? (?:{_SAYING})\b"
    r"|\byour (?:last |previous |earlier )?"
    r"(?:advice|suggestions?|recommendations?|answers?|repl(?:y|ies)|responses?|"
    r"explanations?|instructions|tips|words)\b",
    re.I,
)
_ASKING_NOW = re.compile(
    r"\b(?:can|could|would|will|do|should|please|may) you (?:please |also |just )?\w+", re.I
)
USER_NAMES = frozenset({"user", "human", "me"})
ASSISTANT_NAMES = frozenset({"assistant", "ai", "bot", "system"})


def names(text: str) -> frozenset[str]:
    """Capitalised words and quotations inside sentences, in lower case."""
    found = (a or b for a, b in _NAME.findall(text))
    return frozenset(name.lower() for name in found if name not in _NOT_NAMES)


def marks(text: str) -> Mark:
    """What a turn shows."""
    found = Mark(0)
    if mentions_time(text):
        found |= Mark.TIME
    for mark, pattern in (
        (Mark.PLACE, _PLACE),
        (Mark.PERSON, _KIN),
        (Mark.NUMBER, _NUMBER),
        (Mark.REASON, _REASON),
        (Mark.FIRST, _FIRST),
        (Mark.GREETS, _GREETING),
    ):
        if pattern.search(text):
            found |= mark
    if _ORDER.search(text[:_ORDER_WITHIN]):
        found |= Mark.ORDERS
    if names(text):
        found |= Mark.NAME
    tail = text.rstrip()
    if tail.endswith("?") or "?" in tail[-60:]:
        found |= Mark.ASKS
    if "[shares " in text or "[image" in text.lower():
        found |= Mark.SHOWS
    return found


def asked(text: str) -> Mark:
    """What kinds of answer a question asks for."""
    found = Mark(0)
    for mark, pattern in _ASKED:
        if pattern.search(text):
            found |= mark
    return found


@dataclass(frozen=True)
class Mentions:
    """Which speakers a question is about."""

    speakers: frozenset[str]
    words: frozenset[str]  # the mentioned name words, lower case: they say who, not what


def mentions(text: str, speakers: Collection[str]) -> Mentions:
    """Speakers named in the text; "I" means the user of a user–assistant history and "you" the assistant."""
    present = {word.lower() for word in _WORD.findall(text)}
    of_assistant = _OTHER.search(_ASKING_NOW.sub(" ", text)) is not None
    found: set[str] = set()
    said: set[str] = set()
    for speaker in speakers:
        lowered = speaker.lower()
        if lowered in USER_NAMES:
            if not of_assistant and _SELF.search(text):
                found.add(speaker)
        elif lowered in ASSISTANT_NAMES:
            if of_assistant:
                found.add(speaker)
        elif parts := {part for part in _WORD.findall(lowered) if len(part) > 1} & present:
            found.add(speaker)
            said |= parts
    return Mentions(frozenset(found), frozenset(said))
