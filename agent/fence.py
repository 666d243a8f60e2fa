"""Words that are data: on their lines, inside their fence, whatever they say.

Recalled text and what tools gave back are written by others. They are quoted so that nothing in them can end
the fence, pass for a message of a chat template, or stand where instructions stand.
"""

import re

FENCE = "====="
_ROW_OF_MARKS = re.compile(r"={4,}")
# What chat templates of several families are made of, such as <|im_start|>, <｜User｜>, [INST], <<SYS>>, <s>.
_TEMPLATE = re.compile(
    r"<[|｜][^|｜<>]{0,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?(?:start_of_turn|end_of_turn|bos|eos|s)>",
    re.IGNORECASE,
)


def quotable(text: str) -> str:
    """A text on one line that can neither close its fence nor pass for a chat-template token."""
    return " ".join(_harmless(text).split())


def quoted_lines(text: str) -> str:
    """A text of several lines, each behind a bar, so that the text keeps its shape and none stands alone."""
    lines = [" ".join(line.split(" ")).rstrip() for line in _harmless(text).splitlines()]
    return "\n".join(f"| {line}" for line in lines if line)


def fenced(lines: str) -> str:
    return f"{FENCE}\n{lines}\n{FENCE}"


def _harmless(text: str) -> str:
    while True:  # what is left when a token is taken out may be one again
        less = _TEMPLATE.sub("", _ROW_OF_MARKS.sub("---", text))
        if less == text:
            return text
        text = less


# Said to an assistant, not of oneself. A model too small to be told what a fence is gets no such line at all.
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:instructions?|rules?|prompts?|above|previous|prior)\b"
    r"|\b(?:system|developer) (?:prompt|message|override|note|instruction)s?\b"
    r"|\bnew (?:instructions?|rules?|task)\s*:"
    r"|^\W*(?:system|assistant|developer|instructions?|important)\s*:"
    r"|\byou (?:must|have to|shall|are required to|should always|will) (?:now |always |only |never )*"
    r"(?:say|reply|respond|answer|write|obey|reveal|output|print|call|use|act|pretend|send|transfer|delete)\b"
    r"|\b(?:reply|respond|answer) (?:only )?(?:with|by|in)\b"
    r"|\byou are (?:now|no longer)\b"
    r"|\b(?:reveal|print|output|repeat|leak) (?:all |every |your |the )*"
    r"(?:secrets?|system|prompt|instructions|passwords?)\b"
    r"|\b(?:to|dear|attention|hey) (?:the |any )?(?:assistant|ai|language model|llm|chatbot)\b",
    re.IGNORECASE,
)


def orders(text: str) -> bool:
    """Whether a text speaks to the assistant as if it could give it orders."""
    return _ORDER.search(text) is not None
