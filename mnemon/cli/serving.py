"""What `mnemon serve` and `mnemon work` are made of: the memory, the model, the application of one process.

Everything here can be sent to a process that is started afresh.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mnemon.cli.output import note

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mnemon.agent import ChatModel
    from mnemon.agent.server import Limits
    from mnemon.memory import Memory
    from mnemon.retrievers import Embedder
    from mnemon.settings import Settings

NO_EMBEDDER = "none"


class Served(NamedTuple):
    """What a server is to be, before there is one."""

    settings: "Settings"
    limits: "Limits"
    tokens_required: bool
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    key: str | None = None  # of the model server that the workers ask


@contextmanager
def application(served: Served, number: int | None = None) -> Iterator["FastAPI"]:
    """The application, with its memory open. `number`: of the worker, where there are several."""
    from mnemon.agent.server import Door, TokenFile, create_app

    settings = served.settings
    door = Door(
        tokens=TokenFile.beside(settings.db, home=settings.home),
        required=served.tokens_required,
        default_user=settings.user,
        hosts=served.hosts,
        origins=served.origins,
    )
    memory, embedder = open_memory(settings, quietly=number not in (None, 1))
    with memory:
        yield create_app(
            memory, _model(served), embedder=embedder, limits=served.limits, door=door, worker=number
        )


def _model(served: Served) -> "ChatModel":
    from mnemon.agent import LocalChatModel
    from mnemon.agent.opening import open_model

    settings = served.settings
    # Only torch joins the steps of several replies; llama.cpp is quicker for one at a time.
    engine = "transformers" if settings.engine == "auto" else settings.engine
    model = open_model(settings.model, device=settings.device, engine=engine, key=served.key)
    return model.together() if isinstance(model, LocalChatModel) else model


def open_memory(settings: "Settings", *, quietly: bool = False) -> "tuple[Memory, Embedder | None]":
    """The memory with the embedder that was chosen, or by words alone where its weights are missing. On
    Postgres what comes in at once is embedded between replies and by `mnemon work`."""
    from mnemon import Memory
    from mnemon.models import is_pulled
    from mnemon.retrievers import SentenceEmbedder

    if settings.embedder == NO_EMBEDDER:
        return Memory.open(settings.db, embedder=None), None
    if settings.sources["embedder"] == "default" and not is_pulled(settings.embedder):
        if not quietly:
            note("Search is by words alone, the embedder's weights are missing: `mnemon models pull`")
        return Memory.open(settings.db), None
    chosen = SentenceEmbedder(settings.embedder, device=settings.device)
    on_postgres = settings.db.partition("://")[0] in ("postgresql", "postgres")
    return Memory.open(settings.db, embedder=chosen, embed="later" if on_postgres else "at once"), chosen
