"""What people say about how they want to be answered: "keep it short", "no jargon please", "metric units".

By the expressions of the trait bank, in the person's own turns. A wish for one reply ("in two sentences")
counts less than one for all ("always"), what others want not at all. Knows sentences, no store.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mnemon.memory import Episode
from mnemon.profiles.conditions import named_topic
from mnemon.profiles.persona import Leaning
from mnemon.profiles.traits import Trait

LONGEST = 45  # words of a sentence that may hold a wish; longer ones are pasted text
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_BLOCK = re.compile(r"```.*?(?:```|\Z)|^>.*$|[\"“][^\"”\n]{12,}[\"”]", re.DOTALL | re.MULTILINE)
# Somebody else's wish, an untrue one, or a question about wishes.
_NOT_OWN = re.compile(
    r"\b(?:he|she|they|it|who|boss|manager|teacher|colleague|wife|husband|mother|father|mom|mum|dad|friend"
    r"|editor|client|customer|professor|people|everyone|users?|readers?)\b(?:(?!\b(?:i|you|we)\b)[^,;]){0,25}"
    r"\b(?:said|says|tells?|told|asks?|asked|wants?|wanted|likes?|liked|prefers?|preferred|hates?|needs?"
    r"|thinks?|writes?|wrote|speaks?)\b"
    r"|\bmy (?:answers?|responses?|repl(?:y|ies)|writing|essay|cv|resume|speech|emails?)\b"
    r"|\bi(?:'ll| will| can) (?:also )?(?:give|add|keep|use)\b"
    r"|\b(?:if|unless) (?:i|you) (?:were|was|had)\b|\bshould i\b|\bdo you (?:like|prefer|use)\b"
    r"|^\W*(?:do|does|did|is|are|was|were|why|what|how|which|when|who|where)\b.*\?\W*$",
    re.IGNORECASE,
)
# An order for a text that is not a reply: its length and tone are that text's.
_PIECE = re.compile(
    r"\b(?:write|draft|compose|make|create|generate|give me|need|want)\b[^.!?]{0,30}"
    r"\b(?:e-?mail|letter|essay|poem|story|stories|article|post|tweet|speech|report|paragraph|caption|song|text)\b",
    re.IGNORECASE,
)
_LASTING = re.compile(
    r"\b(?:always|never|from now on|in (?:general|future)|every time|generally|usually|please remember"
    r"|i (?:really )?(?:prefer|like|love|hate|dislike|want|need|can'?t stand)|i'?d (?:prefer|like|rather)"
    r"|your (?:answer|reply|response)|answers|replies|responses|keep|stop|avoid|don'?t|no more)\b"
    r"|^\W*(?:please |and |but |also |just )*(?:use|be|no|skip|without|call|address)\b|, be\b"
    r"|^\W*(?:much |even |a (?:bit|little) )?(?:shorter|longer|briefer|more detail|less|more)\b",
    re.IGNORECASE,
)
_PASSING = re.compile(r"\bthis (?:answer|time|one|reply|response|question)\b|\bfor now\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:]|\b(?:but|so|because|although)\b", re.IGNORECASE)
_STRONG = re.compile(r"\b(?:always|never|really|hate|love|very|absolutely|can'?t stand|no more|must)\b", re.I)
_NEGATED = re.compile(
    r"\b(?:don'?t|do not|never|not|no need to|isn'?t|no longer|doesn'?t have to|hate|dislike|can'?t stand"
    r"|(?:tired|sick) of|enough of|fed up with|stop|without)\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(?:when(?:ever)?|if|as long as|once)\s+(?:it'?s|it is|i'?m|i am|i|we'?re|we|you'?re|you"
    r"|the question is|talking|discussing|answering)?\s*(?:ask(?:ing)?(?: you)?|talk(?:ing)?|explain(?:ing)?"
    r"|about|discuss(?:ing)?|writ(?:e|ing)|answer(?:ing)?)?\s*(?:about|for|on|of)?"
    r"\s+(?P<topic>[a-z][\w' -]{1,30}?)(?=[,.;:!?]|$)"
    r"|\b(?:for|in|on|with|about)\s+(?:my\s+)?(?P<kind>[a-z][\w-]{2,20})"
    r"\s+(?:questions?|topics?|matters|things|stuff)\b"
    r"|\b(?:for|about)\s+"
    r"(?P<thing>cod(?:e|ing)|programming|cooking|recipes|travel|work|money|health|music|films)\b",
    re.IGNORECASE,
)
_LASTING_CONFIDENCE, _PASSING_CONFIDENCE = 0.8, 0.3


def wishes(episode: Episode, traits: Iterable[Trait]) -> list[Leaning]:
    """The leanings that a turn states, at most one of a trait and condition: the last one said,
    unless it says the same less surely."""
    if episode.role != "user" or episode.speaker:
        return []
    known = list(traits)
    found: dict[tuple[str, str], Leaning] = {}
    for sentence in _sentences(episode.text):
        for trait in known:
            leaning = _wish(sentence, trait, episode)
            if leaning is not None and not _fainter(leaning, found.get(leaning.key)):
                found[leaning.key] = leaning
    return list(found.values())


def _fainter(new: Leaning, standing: Leaning | None) -> bool:
    """Whether the same was said more surely before."""
    if standing is None or standing.weight * new.weight <= 0:
        return False
    return new.confidence < standing.confidence


def added(standing: Leaning | None, new: Leaning) -> Leaning:
    """What is known of a trait after it was spoken of again: the same wish makes it surer, another one
    replaces it."""
    if standing is None or standing.origin != "said" or standing.weight * new.weight <= 0:
        return new
    return replace(
        new,
        weight=max(standing.weight, new.weight, key=abs),
        confidence=round(1 - (1 - standing.confidence) * (1 - new.confidence), 4),
        evidence=tuple(dict.fromkeys([*standing.evidence, *new.evidence])),
    )


def _sentences(text: str) -> Iterator[str]:
    for found in _SENTENCE.findall(_BLOCK.sub(" ", text)):
        sentence = " ".join(found.split())
        if 0 < len(sentence.split()) <= LONGEST and not _NOT_OWN.search(sentence):
            yield sentence


def _wish(sentence: str, trait: Trait, episode: Episode) -> Leaning | None:
    asked, refused = _first(trait.asks, sentence), _first(trait.refuses, sentence)
    if asked is None and refused is None:
        return None
    if _PIECE.search(sentence) and not _LASTING.search(sentence):
        return None
    # Where both are heard, "no jargon" and "jargon", the longer expression is the one that was meant.
    hit = max((one for one in (asked, refused) if one is not None), key=lambda one: len(one.group()))
    sign = 1.0 if hit is asked else -1.0
    if _NEGATED.search(sentence[: hit.start()]):
        sign = -sign
    return Leaning(
        trait=trait.name,
        weight=sign * (1.0 if _STRONG.search(_clause(sentence, hit)) else 0.8),
        confidence=_LASTING_CONFIDENCE if _is_lasting(sentence, hit) else _PASSING_CONFIDENCE,
        when=_when(sentence, hit),
        origin="said",
        evidence=(episode.id,),
        quote=sentence,
        since=episode.time,
    )


def _first(patterns: Sequence[re.Pattern[str]], sentence: str) -> re.Match[str] | None:
    """The longest of what the expressions find."""
    found = [hit for one in patterns if (hit := one.search(sentence))]
    return max(found, key=lambda hit: len(hit.group()), default=None)


def _when(sentence: str, hit: re.Match[str]) -> str:
    """The condition, which stands beside what is wished: "when you use emoji" is none."""
    found = next((one for one in _WHEN.finditer(sentence) if not _overlap(one, hit)), None)
    if found is None:
        return ""
    words = next(part for part in (found["topic"], found["kind"], found["thing"]) if part)
    return named_topic(words.removesuffix(" please"))


def _is_lasting(sentence: str, hit: re.Match[str]) -> bool:
    return bool(_LASTING.search(_clause(sentence, hit))) and not _PASSING.search(sentence)


def _clause(sentence: str, hit: re.Match[str]) -> str:
    """The part of a sentence that holds the wish; its other parts may be about anything."""
    cuts = [found for found in _CLAUSE.finditer(sentence) if not _overlap(found, hit)]
    start = max((cut.start() for cut in cuts if cut.end() <= hit.start()), default=0)
    end = min((cut.start() for cut in cuts if cut.start() >= hit.end()), default=len(sentence))
    return sentence[start:end]


def _overlap(one: re.Match[str], other: re.Match[str]) -> bool:
    return one.start() < other.end() and other.start() < one.end()
