"""The bodies of the memory's routes: what they take, and what they are documented to give.

Answers are written from the memory's own records (`wire.plain`); these models say what those look like.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Name = Annotated[str, Field(max_length=500)]
Words = Annotated[str, Field(max_length=4_000_000)]
When = Annotated[str, Field(max_length=64, description="ISO 8601; without an offset UTC.")]
Scalar = str | int | float | bool | None


class Said(BaseModel):
    """One message. Without a role it is the user's."""

    content: Words
    role: Literal["user", "assistant", "system", "tool"] = "user"
    speaker: Name | None = None
    time: When | None = None
    session: Name | None = None
    source: Name | None = None
    meta: dict[str, Scalar] | None = None


class Remember(BaseModel):
    """What was said: a text, a message, or messages in order."""

    said: Words | Said | Annotated[list[Said], Field(min_length=1, max_length=10_000)]
    time: When | None = None
    session: Name = ""
    source: Name = "api"

    def as_given(self) -> Any:
        def one(said: str | Said) -> Any:
            return said if isinstance(said, str) else said.model_dump(exclude_none=True)

        return [one(said) for said in self.said] if isinstance(self.said, list) else one(self.said)


class Recall(BaseModel):
    query: Words
    k: Annotated[int, Field(ge=1, le=1_000)] = 5
    time: When | None = None
    before: When | None = None
    units: Annotated[list[Literal["turn", "fact", "summary"]], Field(min_length=1, max_length=3)] = ["turn"]


class Target(BaseModel):
    """An id, or words: what holds all of them is meant, with all that was derived from it."""

    target: Annotated[str, Field(min_length=1, max_length=10_000)]


class Undo(BaseModel):
    event: Annotated[int, Field(ge=1, lt=2**62)] | None = None


class Consolidate(BaseModel):
    dry_run: bool = False


class Confirm(BaseModel):
    """The name of the person, written out, so that nobody is erased by accident."""

    confirm: Name


class EpisodeOut(BaseModel):
    id: str
    text: str
    time: str
    session: str
    role: str
    speaker: str
    source: str
    position: int
    recorded_at: str
    meta: dict[str, Scalar]


class QuoteOut(BaseModel):
    episode_id: str
    words: str
    start: int


class FactOut(BaseModel):
    id: str
    revision: int
    subject: str
    attribute: str
    value: str
    text: str
    kind: str
    valid_from: str | None
    valid_to: str | None
    recorded_at: str
    superseded_at: str | None
    confidence: float | None
    quotes: list[QuoteOut]
    status: str
    count: int
    made_by: str
    closed_by: str


class HitOut(BaseModel):
    id: str
    text: str
    time: str | None
    session: str
    speaker: str
    role: str | None
    score: float | None
    unit: str
    source: str
    why: dict[str, float | str | None]


class SessionOut(BaseModel):
    id: str
    started: str | None
    ended: str | None
    turns: int
    summary: str
    sources: list[str]
    made_by: str
    recorded_at: str | None


class ChangeOut(BaseModel):
    """One thing before and after a write; null where it was not there. `line` says it to a person."""

    line: str
    kind: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class DiffOut(BaseModel):
    """One write. Event 0: it was not written (a dry run)."""

    event: int
    action: str
    at: str
    undoes: int | None
    undone_by: int | None
    differences: list[ChangeOut]


class Remembered(BaseModel):
    ids: list[str]


class OtherOut(BaseModel):
    kind: str
    id: str


class ForgottenOut(BaseModel):
    """What goes, or would go. `trimmed` are facts that lose a part; `others` summaries and the like."""

    episodes: list[EpisodeOut]
    facts: list[FactOut]
    trimmed: list[FactOut]
    others: list[OtherOut]


class StatsOut(BaseModel):
    user: str
    episodes: int
    facts: int
    sessions: int
    summaries: int
    profiles: int
    feedback: int
    events: int
    vectors: dict[str, int]
    first: str | None
    last: str | None
    store: dict[str, str | int]
    embedder: str
    note: str


class Taken(BaseModel):
    records: int
    event: int


class Erased(BaseModel):
    user: str
    episodes: int
    facts: int


class WhoAmI(BaseModel):
    """`user` None: whoever asks may name anybody."""

    user: str | None
    default_user: str | None
    admin: bool
    tokens_required: bool
    version: str
    model: str
