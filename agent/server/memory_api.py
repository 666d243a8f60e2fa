"""`/api`: one person's memory. Each route is one call of the person's handle; who that is, `access` decides.

Routes are plain functions: the framework runs them in threads, because a memory reads and writes files.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

import mnemon
from mnemon.agent.server.access import Admin, Asker, ThePerson
from mnemon.agent.server.memory_schema import (
    Confirm,
    Consolidate,
    DiffOut,
    EpisodeOut,
    Erased,
    FactOut,
    ForgottenOut,
    HitOut,
    Recall,
    Remember,
    Remembered,
    SessionOut,
    StatsOut,
    Taken,
    Target,
    Undo,
    WhoAmI,
)
from mnemon.agent.server.refusals import ErrorBody, Refusal
from mnemon.agent.server.wire import Json
from mnemon.memory import Diff

WhenQuery = Annotated[str | None, Query(max_length=64, description="ISO 8601; without an offset UTC.")]
EventQuery = Annotated[int | None, Query(ge=1, lt=2**62, description="The number of a write.")]
Limit = Annotated[int, Query(ge=1, le=10_000)]
BYTES = {"schema": {"type": "string", "format": "binary"}}
ZIP = {"content": {"application/zip": BYTES}}

router = APIRouter(prefix="/api", responses={"default": {"model": ErrorBody}})


# --- saying and finding


@router.post("/remember", response_model=Remembered, tags=["Memory"])
def remember(asked: Remember, who: ThePerson) -> Response:
    """Keep what was said. It is on the disk when this answers; what is there already is not written again."""
    ids = who.remember(asked.as_given(), time=asked.time, session=asked.session, source=asked.source)
    return Json({"ids": ids})


@router.post("/recall", response_model=list[HitOut], tags=["Memory"])
def recall(asked: Recall, who: ThePerson) -> Response:
    """The best pieces for a question, each with why it was found."""
    return Json(who.recall(asked.query, asked.k, time=asked.time, before=asked.before, units=asked.units))


@router.get("/facts", response_model=list[FactOut], tags=["Memory"])
def facts(
    who: ThePerson,
    about: Annotated[str | None, Query(max_length=10_000)] = None,
    as_of: WhenQuery = None,
    known_at: WhenQuery = None,
    closed: bool = False,
) -> Response:
    """What is known, with the words it stands on. `as_of`: what was true then; `known_at`: known then."""
    return Json(who.facts(about, as_of=as_of, known_at=known_at, closed=closed))


@router.get("/facts/{fact_id}/history", response_model=list[FactOut], tags=["Memory"])
def history(fact_id: str, who: ThePerson) -> Response:
    """Every value and every change of what this fact is about, in the order in which they were known."""
    return Json(who.history(fact_id))


@router.get("/timeline", response_model=list[EpisodeOut], tags=["Memory"])
def timeline(
    who: ThePerson,
    session: Annotated[str | None, Query(max_length=500)] = None,
    since: WhenQuery = None,
    until: WhenQuery = None,
    limit: Limit = 100,
    newest_first: bool = True,
) -> Response:
    """What was said, word for word."""
    return Json(
        who.timeline(session=session, since=since, until=until, limit=limit, newest_first=newest_first)
    )


@router.get("/sessions", response_model=list[SessionOut], tags=["Memory"])
def sessions(who: ThePerson) -> Response:
    """The conversations, in the order of their beginning."""
    return Json(who.sessions())


# --- what was written, and back again


@router.get("/log", response_model=list[DiffOut], tags=["Writes"])
def log(who: ThePerson, limit: Annotated[int, Query(ge=1, le=1_000)] = 20) -> Response:
    """The last writes, newest first."""
    return Json([_diff(one) for one in who.log(limit)])


@router.get("/diff", response_model=DiffOut | None, tags=["Writes"])
def diff(who: ThePerson, event: EventQuery = None) -> Response:
    """What the last write, or another, has changed; null when nothing was written yet."""
    found = who.diff(event)
    return Json(None if found is None else _diff(found))


@router.post("/undo", response_model=DiffOut, tags=["Writes"])
def undo(asked: Undo, who: ThePerson) -> Response:
    """Take back the last write, or another by its number. An undo can be taken back by its own number."""
    return Json(_diff(who.undo(asked.event)))


@router.post("/consolidate", response_model=DiffOut, tags=["Writes"])
def consolidate(asked: Consolidate, who: ThePerson) -> Response:
    """Merge what was said again, close what is no longer true, summarise conversations."""
    return Json(_diff(who.consolidate(dry_run=asked.dry_run)))


# --- forgetting


@router.post("/forget/preview", response_model=ForgottenOut, tags=["Forgetting"])
def preview(asked: Target, who: ThePerson) -> Response:
    """What `forget` would take with it; nothing is done."""
    return Json(_forgotten(who.would_forget(asked.target)))


@router.post("/forget", response_model=ForgottenOut, tags=["Forgetting"])
def forget(asked: Target, who: ThePerson) -> Response:
    """Forget it for good, in the database's files too. This cannot be undone."""
    return Json(_forgotten(who.forget(asked.target)))


@router.post("/erase", response_model=Erased, tags=["Forgetting"])
async def erase(asked: Confirm, who: ThePerson, request: Request) -> Response:
    """Remove the person with every byte: rows, indexes, backups, tokens. Replies to them are ended first."""
    if asked.confirm != who.user:
        raise Refusal(
            400,
            f"confirm={asked.confirm!r} is not the name of the person.",
            hint=f"To erase {who.user!r}, confirm with that name.",
            param="confirm",
        )
    await request.app.state.hush(who.user)
    counts = await run_in_threadpool(who.stats)
    await run_in_threadpool(who.erase)
    return Json({"user": who.user, "episodes": counts.episodes, "facts": counts.facts})


# --- taking along


@router.get("/export", response_class=Response, responses={200: ZIP}, tags=["Taking along"])
def export(who: ThePerson) -> Response:
    """Everything but derived data, as a zip that `import` and `mnemon import` take in."""
    with tempfile.TemporaryDirectory(prefix="mnemon-export-") as folder:
        body = who.export(Path(folder) / "export.zip").read_bytes()
    headers = {"Content-Disposition": 'attachment; filename="mnemon-export.zip"'}
    return Response(body, media_type="application/zip", headers=headers)


@router.post(
    "/import",
    response_model=Taken,
    tags=["Taking along"],
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": BYTES}}},
)
async def import_(request: Request, who: ThePerson) -> Response:
    """Take in an export: the zip itself is the body. What is there already stays; twice is once."""
    with tempfile.TemporaryDirectory(prefix="mnemon-import-") as folder:
        path = Path(folder) / "import.zip"
        with path.open("wb") as file:
            async for part in request.stream():
                await run_in_threadpool(file.write, part)
        taken = await run_in_threadpool(who.import_, path)
    return Json({"records": len(taken.differences), "event": taken.event})


# --- about


@router.get("/stats", response_model=StatsOut, tags=["About"])
def stats(who: ThePerson) -> Response:
    """How much there is, and what works on it."""
    return Json(who.stats())


@router.get("/whoami", response_model=WhoAmI, tags=["About"])
def whoami(may: Asker, request: Request) -> Response:
    """Whom this request may speak for."""
    state = request.app.state
    return Json(
        {
            "user": may.bound,
            "default_user": may.default,
            "admin": may.admin,
            "tokens_required": state.gatekeeper.required,
            "version": mnemon.__version__,
            "model": state.door.model.name,
        }
    )


@router.get("/users", response_model=list[str], tags=["About"])
def users(_: Admin, request: Request) -> Response:
    """Everybody of whom there is a memory. For admins."""
    found: list[str] = request.app.state.memory.users()
    return Json(found)


def _diff(one: Diff) -> dict[str, Any]:
    changes = []
    for change in one.differences:
        record = change.after or change.before
        assert record is not None, "a difference has a side"
        sides = {"before": change.before, "after": change.after}
        changes.append({"line": str(change), "kind": record.record_kind, **sides})
    return {
        "event": one.event,
        "action": one.action,
        "at": one.at,
        "undoes": one.undoes,
        "undone_by": one.undone_by,
        "differences": changes,
    }


def _forgotten(found: Any) -> dict[str, Any]:
    others = [{"kind": one.record_kind, "id": one.id} for one in found.others]
    return {"episodes": found.episodes, "facts": found.facts, "trimmed": found.trimmed, "others": others}
