"""`/api/profile` and `/api/feedback`: who the person is taken to be, and what they think of replies."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from mnemon.agent.server.access import Asker, ThePerson
from mnemon.agent.server.memory_schema import Name, QuoteOut, Words
from mnemon.agent.server.refusals import ErrorBody
from mnemon.agent.server.wire import Json, plain
from mnemon.memory import ProfileVersion
from mnemon.profiles import Editor, Profile, Taste, TraitBank, profile_of

router = APIRouter(prefix="/api", tags=["Profile"], responses={"default": {"model": ErrorBody}})


class StatementOut(BaseModel):
    """One thing that a profile says, and the words it rests on. `key` is what removing takes."""

    section: str
    text: str
    key: str
    quotes: list[QuoteOut]
    said_at: str | None
    confidence: float | None
    sensitive: str
    source: str


class LeaningOut(BaseModel):
    """How far the person leans towards a trait: from −1, its opposite, to 1."""

    trait: str
    weight: float
    confidence: float
    when: str
    origin: str
    quote: str


class ProfileOut(BaseModel):
    statements: list[StatementOut]
    traits: list[LeaningOut]


class TraitOut(BaseModel):
    """A trait that replies can be led by: what it asks for, and its opposite."""

    name: str
    instruction: str
    opposite: str


class Lean(BaseModel):
    weight: Annotated[float, Field(ge=-1, le=1)]
    when: Annotated[str, Field(max_length=500, description="A topic, or words of the question.")] = ""


class Add(BaseModel):
    section: Name
    text: Annotated[str, Field(min_length=1, max_length=10_000)]


class VersionOut(BaseModel):
    """A profile as it was kept; `body` is what was kept."""

    id: str
    body: Any
    recorded_at: str
    sources: list[str]
    made_by: str
    note: str


class Restore(BaseModel):
    version: Name


class Pair(BaseModel):
    """Of two replies to a prompt, the person wants `chosen`."""

    prompt: Words
    chosen: Words
    rejected: Words
    how: Literal["chosen", "edited", "regenerated"] = "chosen"
    why: Annotated[str, Field(max_length=10_000)] = ""


class Rating(BaseModel):
    """Thumbs for a reply that is remembered: `reply_id` is its id in the timeline."""

    reply_id: Name
    rating: Literal[1, -1]
    why: Annotated[str, Field(max_length=10_000)] = ""


class Used(BaseModel):
    """Ids of hits that an answer used, and of those that only looked right: the person's ranking learns."""

    query: Words
    good: Annotated[list[Name], Field(max_length=100)] = []
    bad: Annotated[list[Name], Field(max_length=100)] = []


class FeedbackOut(BaseModel):
    id: str
    about: str
    query: str
    recorded_at: str
    good: list[str]
    bad: list[str]
    rating: float | None
    note: str


class QuestionOut(BaseModel):
    """Two replies to choose from, and the bits that a choice is expected to tell."""

    question: str
    first: str
    second: str
    bits: float


@router.get("/profile", response_model=ProfileOut)
def profile(
    who: ThePerson, as_of: Annotated[str | None, Query(max_length=64, description="ISO 8601.")] = None
) -> Response:
    """Who the person is, as of everything that is remembered, or as they were taken to be then."""
    return Json(_profile(profile_of(who, as_of=as_of)))


@router.post("/profile/refresh", response_model=ProfileOut)
def refresh(who: ThePerson) -> Response:
    """Keep the profile as a new version, if it says something new."""
    who.refresh_profile()
    return Json(_profile(profile_of(who)))


@router.get("/profile/versions", response_model=list[VersionOut])
def versions(who: ThePerson) -> Response:
    """Every version that was kept, oldest first."""
    return Json([_version(one) for one in who.profiles()])


@router.post("/profile/restore", response_model=ProfileOut)
def restore(asked: Restore, who: ThePerson) -> Response:
    """An older version is the profile again."""
    who.restore_profile(asked.version)
    return Json(_profile(profile_of(who)))


@router.put("/profile/traits/{name}", response_model=ProfileOut)
def set_trait(name: str, asked: Lean, who: ThePerson) -> Response:
    """Lean so far, whatever was learnt."""
    return Json(_profile(Editor(who).set_trait(name, asked.weight, when=asked.when)))


@router.delete("/profile/traits/{name}", response_model=ProfileOut)
def drop_trait(name: str, who: ThePerson, when: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Lean no way, whatever was learnt before."""
    return Json(_profile(Editor(who).drop_trait(name, when=when)))


@router.post("/profile/statements", response_model=ProfileOut)
def add_statement(asked: Add, who: ThePerson) -> Response:
    """Say something more."""
    return Json(_profile(Editor(who).add_statement(asked.section, asked.text)))


@router.delete("/profile/statements/{key}", response_model=ProfileOut)
def remove_statement(key: str, who: ThePerson) -> Response:
    """Never say this again; what it was learnt from stays until it is forgotten."""
    return Json(_profile(Editor(who).remove_statement(key)))


@router.get("/traits", response_model=list[TraitOut])
def traits(_: Asker) -> Response:
    """The traits that there are."""
    names = ("name", "instruction", "opposite")
    return Json([{name: getattr(one, name) for name in names} for one in TraitBank.load().values()])


@router.get("/feedback", response_model=list[FeedbackOut])
def feedback(
    who: ThePerson, about: Literal["retrieval", "reply", "pair", "profile"] | None = None
) -> Response:
    """What was chosen, rated, used and edited, oldest first."""
    return Json(who.feedback_log(about))


@router.get("/feedback/question", response_model=QuestionOut)
def question(who: ThePerson) -> Response:
    """Which two replies to ask about next: the choice should tell most. They ship with mnemon."""
    return Json(Taste.for_person(who).next_pair())


@router.post("/feedback/pair", response_model=FeedbackOut)
def pair(asked: Pair, who: ThePerson) -> Response:
    """Which of two replies the person prefers."""
    return Json(who.feedback(asked.prompt, asked.chosen, asked.rejected, how=asked.how, why=asked.why))


@router.post("/feedback/rating", response_model=FeedbackOut)
def rating(asked: Rating, who: ThePerson) -> Response:
    """Thumbs up or down for a reply."""
    return Json(who.rate(asked.reply_id, asked.rating, why=asked.why or None))


@router.post("/feedback/used", response_model=FeedbackOut)
def used(asked: Used, who: ThePerson) -> Response:
    """What of a recall was of use."""
    return Json(who.keep_feedback("retrieval", asked.query, good=asked.good, bad=asked.bad))


def _profile(found: Profile) -> dict[str, Any]:
    said = StatementOut.model_fields
    leans = LeaningOut.model_fields
    return {
        "statements": [{name: getattr(one, name) for name in said} for one in found.statements],
        "traits": [{name: getattr(one, name) for name in leans} for one in found.persona.leanings],
    }


def _version(version: ProfileVersion) -> dict[str, Any]:
    try:
        body = json.loads(version.body)
    except ValueError:  # kept through the library in a form of its own
        body = version.body
    return {**plain(version), "body": body}
