"""`mnemon serve`: the assistant and the memory over HTTP. Everything it does is `mnemon.agent.server`'s."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import (
    DbOption,
    DeviceOption,
    EmbedderOption,
    EngineOption,
    JsonOption,
    ModelOption,
    note,
    print_json,
)

if TYPE_CHECKING:
    from mnemon.agent.server import TokenFile
    from mnemon.memory import Memory
    from mnemon.retrievers import Embedder
    from mnemon.settings import Settings

NO_EMBEDDER = "none"
PORT = 6636  # "mnem" on a telephone's keys


def register(app: typer.Typer) -> None:
    app.command("serve", rich_help_panel="Serving")(serve)


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on. Beyond loopback, tokens are required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")] = PORT,
    db: DbOption = None,
    model: ModelOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    require_token: Annotated[
        bool, typer.Option("--require-token", help="Want a token on loopback too, as behind a proxy.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Answer to this name, too; may be given again.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Let pages of this site in, https://...; may be given again.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=512, help="Replies that are written at once.")] = 8,
    waiting: Annotated[int, typer.Option(min=1, max=100_000, help="Replies that may wait for it.")] = 256,
    grace: Annotated[float, typer.Option(min=0, help="Seconds for replies to end in, on stopping.")] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Serve the assistant to OpenAI's clients at /v1, and the memory at /api.

    On loopback anybody on this machine may ask for anybody's memory; on any other address a token is wanted,
    made by `mnemon token new`. Ctrl-C stops when the replies that are being written have ended.
    """
    from mnemon.agent.server import Limits, TokenFile, is_loopback
    from mnemon.settings import load_settings

    settings = load_settings(db=db, model=model, embedder=embedder, device=device, engine=engine)
    tokens = TokenFile.beside(settings.db, home=settings.home)
    required = require_token or not is_loopback(host)
    if required:
        _check_tokens(tokens, host)

    from mnemon.agent import LocalChatModel
    from mnemon.agent.server import Door, create_app
    from mnemon.agent.server import serve as serve_app

    limits = Limits(at_once=at_once, waiting=waiting, grace_seconds=grace)
    door = Door(
        tokens=tokens,
        required=required,
        default_user=settings.user,
        hosts=allow_host or (),
        origins=allow_origin or (),
    )

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "db": settings.db, "tokens_required": required})
            sys.stdout.flush()
        note(f"mnemon answers on {url} · {settings.db} · Ctrl-C stops it")

    memory, chosen = _memory(settings)
    with memory:
        # Only torch joins the steps of several replies; llama.cpp is quicker for one at a time.
        engine = "transformers" if settings.engine == "auto" else settings.engine
        served = LocalChatModel.open(settings.model, device=settings.device, engine=engine)
        app = create_app(memory, served.together(), embedder=chosen, limits=limits, door=door)
        serve_app(app, host=host, port=port, limits=limits, ready=ready)


def _check_tokens(tokens: "TokenFile", host: str) -> None:
    from mnemon.errors import UsageError

    if not tokens.all():
        raise UsageError(
            f"On {host!r} a token is required, and there is none.",
            hint="Make one first: mnemon token new --user NAME, or --admin",
        )


def _memory(settings: "Settings") -> "tuple[Memory, Embedder | None]":
    from mnemon import Memory
    from mnemon.models import is_pulled
    from mnemon.retrievers import SentenceEmbedder

    if settings.embedder == NO_EMBEDDER:
        return Memory.open(settings.db, embedder=None), None
    if settings.sources["embedder"] == "default" and not is_pulled(settings.embedder):
        note("Search is by words alone, the embedder's weights are missing: `mnemon models pull`")
        return Memory.open(settings.db), None
    chosen = SentenceEmbedder(settings.embedder, device=settings.device)
    return Memory.open(settings.db, embedder=chosen), chosen
