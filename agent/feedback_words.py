"""What a message says of the reply before it: that it was good or bad, or that something is not to be kept.

Rules over whole messages, English, in microseconds. They would rather miss feedback than hear it in ordinary
talk ("The concert was great"): a rating that was not meant teaches something wrong, and what was forgotten
by mistake is gone. How the person wants to be answered is not heard here but by the profile, and what puts a
fact right by the memory. Knows words, no store.
"""

import re
from typing import Literal

Said = Literal["liked", "disliked", "told already", "not to be kept"]

LONGEST = 20  # words; a longer message has something else to say

_REPLY = (
    r"(?:answer|reply|response|explanation|suggestion|recommendation|advice|tip|idea|summary|joke|poem|story)"
)
_VERY = r"(?:(?:really|very|so|just|absolutely|pretty|quite|truly|exactly|actually|all) )*"
_GOOD = (
    r"(?:great|perfect|excellent|good|helpful|useful|wonderful|brilliant|spot on|amazing|awesome|lovely|nice"
    r"|fantastic|right|correct|what i (?:needed|wanted|was looking for|meant))"
)
_BAD = (
    r"(?:bad|wrong|terrible|awful|useless|unhelpful|horrible|rubbish|nonsense|stupid|incorrect|poor|confusing"
    r"|not (?:good|helpful|useful|right|correct|true|what i (?:asked|asked for|meant|wanted|needed)))"
)
_OPENING = r"(?:(?:yes|no|oh|ah|wow|hey|hm+|well|ok(?:ay)?|thanks?(?: you)?|sorry|but|please)[,.!]* )*"
_CLOSING = (
    r"(?:[,.!]* (?:thanks?(?: you)?(?: (?:so much|very much|a lot))?|please|at all|again|to me))*[\s.!]*"
)

# Where the reply is named it is meant; where it is only pointed to, it is unless it was a question.
_NAMED: tuple[tuple[Said, str], ...] = (
    ("liked", rf"(?:what an? |that was an? |that'?s an? |such an? |an? )?{_VERY}{_GOOD} {_REPLY}"),
    ("liked", rf"i (?:really )?(?:like|love|liked|loved) (?:that|this|your|the) {_REPLY}"),
    ("liked", rf"(?:that|this|your|the) (?:last )?{_REPLY} (?:is|was) {_VERY}{_GOOD}"),
    ("liked", r"good (?:job|work)|well (?:done|said|put)|you(?:'re| are) (?:very |so )?helpful"),
    ("disliked", rf"(?:what an? |that was an? |that'?s an? |such an? |an? )?{_VERY}{_BAD} {_REPLY}"),
    ("disliked", rf"i (?:really )?(?:don'?t|didn'?t|did not|do not) like (?:that|this|your|the) {_REPLY}"),
    (
        "disliked",
        rf"(?:that|this|your|the) (?:last )?{_REPLY} (?:is|was|isn'?t|wasn'?t) {_VERY}(?:{_BAD}|{_GOOD})",
    ),
    (
        "disliked",
        r"that'?s not what i (?:asked|asked for|meant|wanted|said)|you(?:'re| are) (?:wrong|mistaken)",
    ),
    (
        "disliked",
        r"(?:that|this) (?:doesn'?t|didn'?t|does not|did not) (?:help(?: me)?|answer (?:my|the) question)",
    ),
    (
        "told already",
        r"you(?:'ve| have)? (?:already |just )*(?:told|said|mentioned|wrote|explained|suggested)"
        r"(?: me)?(?: (?:that|this|it|so))?(?: (?:already|before|twice|just now|a moment ago))?"
        r"|you(?:'re| are| keep) repeating (?:yourself|that)|stop repeating yourself"
        r"|you keep (?:saying|telling me) that",
    ),
)
_POINTED: tuple[tuple[Said, str], ...] = (
    ("liked", rf"(?:that|this|it)(?:'s| is| was) {_VERY}{_GOOD}"),
    ("disliked", rf"(?:that|this|it)(?:'s| is| was) {_VERY}{_BAD}"),
    ("disliked", rf"(?:that|this|it) (?:isn'?t|wasn'?t) {_VERY}{_GOOD}"),
)
# "Forget it" and "forget that" are left alone: people say them for "never mind".
_WHAT = r"(?:that|this|it|what i (?:just )?(?:said|told you|wrote)|my last (?:message|words))"
_KEEP_NOTHING = (
    rf"(?:(?:please|you) )*(?:(?:don'?t|do not|shouldn'?t|must not|never|needn'?t|don'?t (?:need|have) to) "
    rf"(?:remember|keep|save|store|memori[sz]e|record|note)) {_WHAT}(?: down)?"
    r"|(?:please )?(?:forget|delete|erase|unlearn) "
    r"(?:what i (?:just )?(?:said|told you|wrote)|my last (?:message|words)"
    r"|(?:that|this) (?:from|in) your memory|that i (?:just )?(?:said|told you|mentioned) (?:that|this|it))"
    rf"|(?:can|could|would) you (?:please )?(?:not (?:remember|keep|save|store)|forget) "
    r"(?:that|what i (?:just )?(?:said|told you))(?: from your memory)?\??"
    r"|that(?:'s| was| is) off the record"
)


def _whole(rules: str) -> re.Pattern[str]:
    return re.compile(rf"\s*{_OPENING}(?:{rules}){_CLOSING}\Z", re.IGNORECASE)


_RULES_NAMED = [(said, _whole(rule)) for said, rule in _NAMED]
_RULES_POINTED = [(said, _whole(rule)) for said, rule in _POINTED]
_RULE_KEEP_NOTHING = _whole(_KEEP_NOTHING)
_PART = re.compile(r"(?<=[.!])\s+|;\s*")


def heard(message: str, *, before: str) -> Said | None:
    """What a message says of the reply before it; None for anything else, and where nothing came before.
    A message of several sentences is feedback by its first one: "That was wrong. She lives in Faro."."""
    text = " ".join(message.replace("’", "'").split())
    if not before.strip() or not 0 < len(text.split()) <= LONGEST:
        return None
    if _RULE_KEEP_NOTHING.match(text):
        return "not to be kept"
    first = _PART.split(text, maxsplit=1)[0]
    rules = _RULES_NAMED if before.rstrip().endswith("?") else [*_RULES_NAMED, *_RULES_POINTED]
    return next((said for said, rule in rules if rule.match(first)), None)
