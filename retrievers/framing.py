"""What a question is about, without the words that only frame it: "can you list, in order, all about X".

Framing words match whatever holds them, and no memory is about them. English first; a text in another
language stays whole. Knows no score.
"""

import re

_OURS = r"(?:our|my|the|these|all)"
_TALKS = r"(?:conversations?|discussions?|sessions?|chats?|requests?|messages?|talks?|exchanges?)"
_MANY = r"(?:aspects?|ways|things|concepts?|parts|kinds|types|topics?|points|areas|details)"
_FRAME = re.compile(
    r"\b(?:can|could|would|will) you (?:please |also |just )*"
    r"(?:list|give me|tell me|walk me through|show me|remind me(?: of| about)?|provide(?: me with)?|"
    r"summari[sz]e|describe|explain|recap|go over|help me)\b"
    r"|\b(?:please|kindly)\b"
    r"|\b(?:the|in (?:which|what)) order (?:in which |that )?(?:did )?(?:i|we) "
    r"(?:brought up|bring up|mention(?:ed)?|discuss(?:ed)?|talk(?:ed)? about|raised?|"
    r"sp[eo]a?ke? (?:of|about))"
    r"|\bhow (?:did )?i (?:brought up|bring up|mention(?:ed)?|discuss(?:ed)?)"
    rf"|\b(?:the |all )?(?:different|various|several|main|key) {_MANY} "
    r"(?:of|in|for|about|related to|regarding)\b"
    r"|\b(?:an?|the) (?:comprehensive |complete |detailed |clear |thorough |short |brief |full )*"
    r"(?:summary|overview|recap|list) of\b"
    rf"|\b(?:throughout|across|over|during|from|in) (?:all )?(?:of )?{_OURS} {_TALKS}\b"
    r"|\bmention only\b.*|\bin (?:chronological |the right )?order\b"
    r"|\bdid (?:i|we|you) (?:say|mention|tell (?:you|me)|talk about|discuss)\b|\bhave (?:i|we) ever\b",
    re.I | re.S,
)


_RECALLS = re.compile(
    r"\b(?:did|have|had|were|was) (?:i|we|you)\b"
    r"|\b(?:i|we|you) (?:\w+ )?(?:said|told|mention|mentioned|brought|discussed|talked|shared|asked)\b",
    re.I,
)


def recalls(text: str) -> bool:
    """Whether it asks for what was said, not for something now: "did I tell you", "the way you mentioned"."""
    return _RECALLS.search(text) is not None


def subject(text: str) -> str:
    """The question without its frame; the question itself where it has none, or nothing else is left."""
    left, frames = _FRAME.subn(" ", text)
    left = " ".join(left.split()).strip(" ,.;:?!")
    return left if frames and len(left.split()) >= 2 else text
