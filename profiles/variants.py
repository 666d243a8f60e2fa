"""Replies to everyday questions in many forms: what a person is asked about, what made-up people choose from.

A form is what two replies with the same content differ by: how many points, in which words and layout, with
an example, a figure, a joke or a question back. Seeded: the same seed gives the same replies. The words are
in `data/replies.toml`.
"""

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Layout = Literal["prose", "bullets", "steps"]

# What may be added to a reply, and how often a random form has it.
EXTRAS = {
    "warm": 0.2,
    "praise": 0.15,
    "joke": 0.15,
    "exclaim": 0.2,
    "preamble": 0.2,
    "hedge": 0.25,
    "caveat": 0.2,
    "example": 0.3,
    "back": 0.2,
    "contrast": 0.15,
    "option": 0.2,
    "analogy": 0.15,
    "figure": 0.35,
    "source": 0.15,
    "emoji": 0.15,
    "contract": 0.3,
    "courtesy": 0.15,
    "formal": 0.2,
    "informal": 0.2,
    "joined": 0.25,
    "heading": 0.1,
    "code": 0.5,  # where there is any
    "spelling": 0.25,
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One everyday question with the pieces that its replies are made of."""

    ask: str
    plain: list[str]
    rich: list[str]
    example: str
    figure: list[str]  # metric, imperial, in words
    source: str
    back: str
    caveat: str
    contrast: str
    option: str
    analogy: str
    joke: str
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Form:
    points: int
    rich: bool
    layout: Layout
    extras: frozenset[str]
    units: int  # 0 metric, 1 imperial, 2 in words
    american: bool


@cache
def questions() -> tuple[Question, ...]:
    text = files("mnemon.profiles").joinpath("data/replies.toml").read_text(encoding="utf-8")
    return tuple(Question(**entry) for entry in tomllib.loads(text)["question"])


def random_form(rng: random.Random) -> Form:
    extras = {name for name, often in EXTRAS.items() if rng.random() < often}
    if "formal" in extras:
        extras -= {"informal", "contract"}
    layouts: tuple[Layout, ...] = ("prose", "prose", "prose", "bullets", "steps")
    return Form(
        points=rng.choice((1, 1, 2, 2, 3, 4)),
        rich=rng.random() < 0.35,
        layout=rng.choice(layouts),
        extras=frozenset(extras),
        units=rng.randrange(3),
        american=rng.random() < 0.5,
    )


def replies(question: Question, count: int, *, seed: int) -> list[str]:
    """Different replies to a question, in random forms."""
    rng = random.Random(f"{seed}/{question.ask}")
    found: dict[str, None] = {}
    while len(found) < count:
        found[write(question, random_form(rng), rng)] = None
    return list(found)


_BEFORE = {
    "preamble": ("There are many ways to look at this.", "It depends on what you want, of course."),
    "praise": ("Great question!", "Good idea, you're doing great.", "Smart of you to ask."),
    "warm": (
        "I'm glad you asked, and I hope this helps.",
        "I understand, that sounds hard.",
        "I am so happy to help.",
    ),
    "informal": ("Hey, cool one.", "Okay, so this is pretty much easy stuff.", "Yeah, lots of folks ask."),
    "formal": (
        "Regarding this matter, numerous approaches are sufficient.",
        "With respect to this, one should proceed as follows.",
    ),
    "courtesy": ("Thank you for asking.", "Thanks, it is a pleasure to answer, if I may."),
}
_AFTER = {
    "courtesy": ("You are welcome.", "Please ask again if you like."),
    "warm": ("Take care, and good luck.", "Be kind to yourself, I wish you a lovely day."),
    "praise": ("You've got this, keep it up.", "Well done for trying."),
    "informal": ("No worries, it's totally fine.", "Super easy, folks."),
    "formal": (
        "Consequently, this shall be sufficient.",
        "Accordingly, ensure that it is obtained in order.",
    ),
    "spelling": ("My favourite part is the colour of it.", "Your neighbours may honour such behaviour."),
}
_HEDGED = ("Perhaps {}", "I think {}", "Maybe {}", "It seems that it could help: {}", "Usually, {}")
_FORMAL = ("Furthermore, {}", "Moreover, {}", "Therefore, {}", "Additionally, {}")
_EXAMPLE = ("For example, {}", "For instance, {}", "To illustrate: {}")
_EMOJI = ("😀", "👍", "🌱", "✨", "🙌")
_CONTRACTED = {"do not": "don't", "Do not": "Don't", "it is": "it's", "It is": "It's", "you are": "you're"}
_CONTRACTED |= {"cannot": "can't", "is not": "isn't", "does not": "doesn't"}
_AMERICAN = {"colour": "color", "metre": "meter", "litre": "liter", "centre": "center", "avourite": "avorite"}
_AMERICAN |= {"eighbour": "eighbor", "ehaviour": "ehavior", "onour": "onor", "autumn": "fall"}
_AMERICAN |= {"rganise": "rganize", "ptimise": "ptimize", "tilise": "tilize", "ioritise": "ioritize"}


def write(question: Question, form: Form, rng: random.Random) -> str:
    """One reply in that form; the rng picks among phrases that say the same."""
    has = form.extras
    points = _points(question, form, rng)
    extras = _extras(question, form, rng)
    before = [rng.choice(phrases) for name, phrases in _BEFORE.items() if name in has]
    after = [rng.choice(phrases) for name, phrases in _AFTER.items() if name in has]
    if form.layout == "prose":
        text = " ".join([*before, *_sentences(points, joined="joined" in has), *extras, *after])
    else:
        marks = ("- " if form.layout == "bullets" else f"{number}. " for number in range(1, len(points) + 1))
        items = [mark + point for mark, point in zip(marks, points, strict=False)]
        parts = [" ".join(before), "\n".join(items), " ".join([*extras, *after])]
        text = "\n".join(part for part in parts if part)
    if "heading" in has:
        text = "## In short\n" + text
    if "code" in has and question.code:
        text += f"\n```\n{question.code}\n```"
    return _dressed(text, form, rng)


def _points(question: Question, form: Form, rng: random.Random) -> list[str]:
    points = (question.rich if form.rich else question.plain)[: form.points]
    if "hedge" in form.extras:
        points = [rng.choice(_HEDGED).format(_lowered(one)) if rng.random() < 0.6 else one for one in points]
    if "formal" in form.extras:
        points = [points[0], *(rng.choice(_FORMAL).format(_lowered(one)) for one in points[1:])]
    return points


def _extras(question: Question, form: Form, rng: random.Random) -> list[str]:
    """The sentences that come after the points, in random order, the question back last."""
    has = form.extras
    found = {
        "example": rng.choice(_EXAMPLE).format(question.example),
        "figure": question.figure[form.units],
        **{name: getattr(question, name) for name in ("source", "caveat", "contrast", "option", "analogy")},
        "joke": question.joke,
    }
    told = [text + "." for name, text in found.items() if name in has]
    rng.shuffle(told)
    return [*told, question.back] if "back" in has else told


def _sentences(points: Sequence[str], *, joined: bool) -> list[str]:
    if joined and len(points) > 1:
        pairs = [points[at : at + 2] for at in range(0, len(points), 2)]
        points = [", and ".join([pair[0], *map(_lowered, pair[1:])]) for pair in pairs]
    return [f"{point}." for point in points]


def _lowered(text: str) -> str:
    return text if text.startswith("I ") else text[:1].lower() + text[1:]


def _dressed(text: str, form: Form, rng: random.Random) -> str:
    """Spelling, contractions, exclamation marks and emoji, over the whole reply."""
    if form.american:
        for british, american in _AMERICAN.items():
            text = text.replace(british, american)
    if "contract" in form.extras:
        for whole, short in _CONTRACTED.items():
            text = text.replace(whole, short)
    if "exclaim" in form.extras:
        text = text.replace(".", "!", rng.randint(1, 2)) if "1. " not in text else text + "\nEnjoy!"
    if "emoji" in form.extras:
        text += "".join(f" {rng.choice(_EMOJI)}" for _ in range(rng.randint(1, 2)))
    return text
