"""What a message asks of the memory: whether anything, of which kind, of which time, in which words.

Rules over English, not a model: they cost microseconds, and each is a line that can be read and tested. Where
no rule speaks the message is taken for a question that memory may help with. Knows no memory.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mnemon.retrievers import HistoryRetriever

# Extraction: one thing that was said. Abstraction: many things seen together. Generalisation: what is known
# of the person applied to something new.
Kind = Literal["extraction", "abstraction", "generalisation"]
Matter = Literal["small talk", "telling", "person", "world"]

MOST_QUERIES = 3


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """`queries` are what memory is asked, `again` what it is asked when these find nothing. `whole` is the
    message with what it points back to."""

    matter: Matter
    kind: Kind | None = None
    whole: str = ""
    queries: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @property
    def needs_memory(self) -> bool:
        return bool(self.queries)

    @property
    def about_everything(self) -> bool:
        """It asks what is known of the person at all."""
        return self.kind == "abstraction" and _ABOUT_ME.search(self.whole) is not None

    @property
    def only_memory_answers(self) -> bool:
        """Nothing but what the person said can answer this; without it the answer is not known."""
        return self.matter == "person" and self.kind == "extraction"

    @property
    def impersonal(self) -> bool:
        """It asks for one thing, or how something is done, and does not say whose: the world's, mostly."""
        one_thing = self.kind == "extraction" or _HOW.match(self.whole) is not None
        return self.matter == "world" and one_thing and not _OF_ONESELF.search(self.whole)


_SMALL_TALK = re.compile(
    r"(?:(?:hi|hello|hey|thanks?|thank you|ok(?:ay)?|yes|no|sure|bye|good ?bye|see you|great|cool|nice"
    r"|perfect"
    r"|good (?:morning|afternoon|evening|night)|how are you|what'?s up)(?: (?:there|again|so much"
    r"|very much|a lot"
    r"|then|today|for (?:that|this|your help)))*[\s!.,?]*)+\Z",
    re.IGNORECASE,
)
_OF_ONESELF = re.compile(r"\b(?:i|i['’](?:m|ve|d|ll)|me|my|mine|myself|we|us|our)\b", re.IGNORECASE)
_REQUEST = re.compile(
    r"\s*(?:please|what|who|whose|where|when|why|how|which|can|could|would|will|do|does|did|is|are|am"
    r"|was|were|has"
    r"|have|should|shall|may|tell|give|show|write|list|make|remind|help|explain|suggest|recommend|find"
    r"|translate|summari[sz]e|describe|calculate|plan|name|send|text|call(?! me\b)|set|add|play|put|turn"
    r"|switch|open|start"
    r"|stop|book|order|buy|note|check|look|search|convert|cancel|delete|schedule|e?mail|message|pay|transfer)\b",
    re.IGNORECASE,
)
# What the world knows, and the person did not tell: sums, translations, definitions, capitals, authors.
_OF_THE_WORLD = re.compile(
    r"\b(?:translate|definition of|define|capital (?:city )?of|population of|who (?:wrote|invented"
    r"|painted|discovered)"
    r"|how do you (?:say|spell|pronounce)|square root|meaning of the word)\b|\d\s*[-+*/x×÷^]\s*\d"
    r"|\Awhat (?:is|are) (?:an? )?(?-i:[a-z]+)\?\Z",
    re.IGNORECASE,
)
_HOW = re.compile(r"\s*how (?:do|does|to)\b", re.IGNORECASE)
_ABSTRACTION = re.compile(
    r"\b(?:summari[sz]e|summary|overview|overall|in general|generally|usually|typically|tend to"
    r"|patterns?|how often"
    r"|everything|what (?:do|did) you know|what have (?:i|we) (?:told|talked|said|discussed)|kind of person"
    r"|tell me about (?:me|my|myself)|how (?:have|has) .{2,60} (?:been|changed|gone)|over the (?:last|past)"
    r"|list (?:all|every)|all (?:of )?(?:my|the))\b",
    re.IGNORECASE,
)
_ABOUT_ME = re.compile(
    r"\b(?:know|remember|learnt|learned|told you|tell me|summar\w+|overview|everything) (?:\w+ ){0,3}"
    r"(?:about|of) (?:me|myself|who i am)\b|\bwhat kind of person am i\b",
    re.IGNORECASE,
)
_GENERALISATION = re.compile(
    r"\b(?:recommend|suggest|advice|advise|ideas?|inspiration|should (?:i|we)|shall (?:i|we)|(?:can"
    r"|could|might) (?:i|we)"
    r"|help me|plan|would (?:i|we|she|he|they) (?:like|enjoy|love)|good (?:gift|present)|for (?:me"
    r"|us)\b|how (?:do|to)"
    r"|best way|what if|write|draft|make me)\b",
    re.IGNORECASE,
)
# "Do I …", "where did we …", "my …": only the person's own words can say. "Why" and "how do I" ask for more.
_OWN_LIFE = re.compile(
    r"\b(?:do|did|am|was|were|have|had|are) (?:i|we)\b|\b(?:my|our|mine)\b|\b(?:i|we) (?:said|told"
    r"|mentioned)\b",
    re.IGNORECASE,
)
# A name alone may be anybody's, or a city's; what it does every day is what friends know.
_LIFE_OF_A_NAME = re.compile(
    r"\b(?:does|did) [A-Z][^\W\d_]+(?:['’]s \w+)? (?:live|work|like|love|hate|eat|drink|study|play|drive|want"
    r"|need|prefer|move|visit|meet|tell me)\b"
)
_FOR_REASONS = re.compile(
    r"\s*(?:why|how(?! (?:old|many|much|long|often|tall|far|big|did|was|is))|can|could|would|will you|please"
    r"|tell me (?:a|about)|explain)\b",
    re.IGNORECASE,
)
_ABOUT_REPLIES = re.compile(
    r"\byou(?:'ve)?\b.*\b(?:say|said|tell|told|recommend|suggest|mention|promise|g[ia]ve|list)", re.IGNORECASE
)
# What to look for besides the words themselves when advice is asked: likings and limits of the matter.
_MATTERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), query)
    for words, query in (
        (
            r"cook|eat|food|dinner|lunch|breakfast|meal|recipe|restaurant|snack|dessert|bake|menu|cake",
            "food that I like, cannot eat or am allergic to, my diet",
        ),
        (
            r"travel|trip|holiday|vacation|visit|weekend|go on|flight|hotel",
            "places that I like, how I travel",
        ),
        (r"gift|present|birthday", "what they like, their hobbies"),
        (r"watch|film|movie|series|show|read|book|novel", "films and books that I like or dislike, spoilers"),
        (r"music|song|album|concert|listen|play(?:list)?", "music that I like, the instrument that I play"),
        (r"sport|exercise|train|run|gym|workout|hike", "sport that I do, my injuries and health"),
        (r"wear|clothes|dress|outfit|shoes", "clothes that I like, my size"),
        (r"work|job|career|meeting|boss|colleagues?", "my work and what I like about it"),
    )
)
_POINTS_BACK = re.compile(
    r"\s*(?:and\b|but\b|what about|how about|or\b|also\b)|\b(?:she|he|they|her|him|his|their|them|it"
    r"|there)\b",
    re.IGNORECASE,
)
_NEXT_QUESTION = re.compile(
    r"(?<=\?)\s+|(?:,|;)?\s+and\s+(?=(?:also\s+)?(?:what|where|who|whose|when|which|how|does|did|do|is"
    r"|are|was)\b)",
    re.IGNORECASE,
)
_SCAFFOLD_WORDS = """
a about am an and any are at be been can could did do does for from had has have how i in is it
know me my of on or our please remember remind said say tell that the then there they this to
told was we were what when where which who whose why will with would you your
"""
_SCAFFOLD = frozenset(_SCAFFOLD_WORDS.split())
# What is said of the last reply rather than of a subject of its own.
_OF_THE_LAST_WORDS = """
again another continue detail details else example examples explain give go longer more mean one same
shorter simpler sure summarise summarize translate
"""
_OF_THE_LAST = frozenset(_OF_THE_LAST_WORDS.split())


def understand(message: str, earlier: Sequence[str], *, now: datetime) -> Understanding:
    """`earlier` is what the person said before in this conversation, oldest first."""
    text = message.strip()
    if _SMALL_TALK.match(text):
        return Understanding(matter="small talk")
    if tells(text):
        return Understanding(matter="telling", queries=(text,))
    words = _keywords(text).split()
    if words and all(word.lower() in _OF_THE_LAST for word in words) and not _points_back(text):
        return Understanding(matter="world")  # "Shorter, please": of the last reply, and of nothing else
    own = bool(_OF_ONESELF.search(text))
    if _OF_THE_WORLD.search(text) and not own:
        return Understanding(matter="world")
    kind = _kind(text)
    span = HistoryRetriever.time_asked(text, now)
    pointing = bool(earlier) and len(text.split()) <= 12 and _points_back(text)
    whole = f"{earlier[-1]} {text}" if pointing else text
    queries = _parts(whole) if not pointing else [whole]
    if kind == "generalisation":
        queries += [query for words, query in _MATTERS if words.search(whole)][:1]
    with_last = [] if not earlier or pointing or _asks_of_own_life(text) else [f"{earlier[-1]} {text}"]
    again = [*with_last, _keywords(text)]
    return Understanding(
        matter="person" if _asks_of_own_life(text) or (pointing and _asks_of_own_life(whole)) else "world",
        kind=kind,
        whole=whole,
        queries=tuple(dict.fromkeys(queries))[:MOST_QUERIES],
        again=tuple(query for query in dict.fromkeys(again) if query and query not in queries),
        since=span.start if span else None,
        until=span.end if span else None,
    )


def tells(message: str) -> bool:
    """Whether somebody tells of themselves here, and asks for nothing."""
    return "?" not in message and not _REQUEST.match(message) and bool(_OF_ONESELF.search(message))


def stands_alone(message: str) -> bool:
    """Whether a question or request can be understood without what was said before it: "Tell me more" or
    "Why?" cannot."""
    if _POINTS_BACK.search(message) or not ("?" in message or _REQUEST.match(message)):
        return False
    return any(word.lower() not in _OF_THE_LAST for word in _keywords(message).split())


def asks_for_replies(message: str) -> bool:
    """Whether the assistant's own words are what is asked for."""
    return _ABOUT_REPLIES.search(message) is not None


def _kind(text: str) -> Kind:
    if _ABSTRACTION.search(text):
        return "abstraction"
    return "generalisation" if _GENERALISATION.search(text) else "extraction"


def _asks_of_own_life(text: str) -> bool:
    short = len(text.split()) <= 25 and "\n" not in text.strip()
    asks = short and not _FOR_REASONS.match(text) and not asks_for_replies(text)
    return asks and bool(_OWN_LIFE.search(text) or _LIFE_OF_A_NAME.search(text))


def _points_back(text: str) -> bool:
    return _POINTS_BACK.search(text) is not None and not _names(text)


def _parts(text: str) -> list[str]:
    """The questions of a message: "Where does Ines live and what is my dog called?" is two."""
    parts = [part.strip(" ,;") for part in _NEXT_QUESTION.split(text) if part and part.strip(" ,;")]
    asking = [part for part in parts if len(part.split()) > 1]
    return asking[:MOST_QUERIES] or [text]


def _keywords(text: str) -> str:
    words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)
    return " ".join(word for word in words if word.lower().removesuffix("'s") not in _SCAFFOLD)


# --- what a memory has to speak of

# A question after one of these is not answered by what was said of another of them.
_CLOSED = (
    *(
        "mother mum mom mama",
        "father dad papa",
        "sister",
        "brother",
        "wife",
        "husband",
        "son",
        "daughter",
        "aunt",
    ),
    *(
        "uncle",
        "cousin",
        "niece",
        "nephew",
        "grandmother grandma granny",
        "grandfather grandpa",
        "boss manager",
    ),
    *(
        "partner girlfriend boyfriend wife husband fiance fiancee",
        "dentist",
        "doctor gp",
        "landlord",
        "neighbour neighbor",
    ),
    *(
        "teacher",
        "cat kitten",
        "dog puppy beagle labrador poodle terrier retriever collie dachshund",
        "horse pony",
    ),
    *(
        "rabbit bunny",
        "hamster",
        "parrot",
        "birthday born birth",
        "anniversary married wedding",
        "passport",
        "password",
    ),
    *(
        "phone mobile number",
        "email mail",
        "address street live lives",
        "car drive",
        "bike bicycle cycle",
        "age old born",
    ),
    *(
        "religion",
        "salary earn earns pay",
        "weight weigh kilos",
        "height tall",
        "shoe shoes",
        "blood",
        "allergy allergic",
    ),
)
_GROUPS = {word: frozenset(group.split()) for group in _CLOSED for word in group.split()}
_DATE_WORDS = """
april august december english february friday january july june march may monday november
october saturday september sunday thursday tuesday wednesday
"""
_DATES = frozenset(_DATE_WORDS.split())


def speaks_of(question: str, memory: str) -> bool:
    """Whether a memory is about what the question names: the same relation, animal or thing, the same people.

    Says no only where it is sure: asked for a brother, what is known of a sister is no answer.
    """
    words = _words(memory)
    for asked in _possessed(question):
        group = _GROUPS.get(asked)
        if group is not None and not group & (words | {word.removesuffix("s") for word in words}):
            return False
    names = _names(question)
    return not names or any(name.lower() in words for name in names)


def share_a_name(question: str, memory: str) -> bool:
    words = _words(memory)
    return any(name.lower() in words for name in _names(question))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))


def _possessed(question: str) -> list[str]:
    """What "my …" names first: the dog of "my dog's vet"; all of a chain, since each must be meant."""
    found = re.findall(r"\b(?:my|our)((?: [^\W\d_]+(?:['’]s)?){1,3})", question, re.IGNORECASE)
    return [word.lower().replace("’", "'").removesuffix("'s") for chain in found for word in chain.split()]


def _names(text: str) -> list[str]:
    """Capitalised words that do not begin a sentence: people and places."""
    found = re.findall(r"(?<![.?!])(?<!^)\s([A-Z][^\W\d_]+)(?:['’]s)?", text)
    return [name for name in found if name.lower() not in _DATES]
