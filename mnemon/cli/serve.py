"""`mnemon serve`: the assistant and the memory over HTTP, by one process or several. Everything it does is
`mnemon.agent.server`'s."""

import sys
from functools import partial
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
    from mnemon.settings import Settings

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
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that serve; on several machines, Postgres.")
    ] = 1,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible server that speaks, https://host/v1; --model is its name there.",
            show_default=False,
        ),
    ] = None,
    at_once: Annotated[
        int, typer.Option(min=1, max=512, help="Replies that each worker writes at once.")
    ] = 8,
    waiting: Annotated[
        int, typer.Option(min=1, max=100_000, help="Replies that may wait for it, at each worker.")
    ] = 256,
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
    required = require_token or not is_loopback(host)
    if required:
        _check_tokens(TokenFile.beside(settings.db, home=settings.home), host)
    if workers > 1:
        _check_shared(settings)

    from mnemon.cli.serving import Served, application

    served = Served(
        settings=settings,
        limits=Limits(at_once=at_once, waiting=waiting, grace_seconds=grace),
        tokens_required=required,
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        endpoint=endpoint,
    )

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "db": settings.db, "tokens_required": required, "workers": workers})
            sys.stdout.flush()
        by = f"{workers} workers · " if workers > 1 else ""
        note(f"mnemon answers on {url} · {by}{settings.db} · Ctrl-C stops it")

    if workers == 1:
        from mnemon.agent.server import serve as serve_app

        with application(served) as app:
            serve_app(app, host=host, port=port, limits=served.limits, ready=ready)
        return
    from mnemon.agent.server import serve_many

    make = partial(application, served)
    if not serve_many(
        make, workers=workers, host=host, port=port, limits=served.limits, ready=ready, tell=note
    ):
        raise typer.Exit(1)


def _check_tokens(tokens: "TokenFile", host: str) -> None:
    from mnemon.errors import UsageError

    if not tokens.all():
        raise UsageError(
            f"On {host!r} a token is required, and there is none.",
            hint="Make one first: mnemon token new --user NAME, or --admin",
        )


def _check_shared(settings: "Settings") -> None:
    """A file is shared by the workers of one machine, a database on a server by all; memory is not."""
    from mnemon.errors import UsageError

    if settings.db in (":memory:", "sqlite://", "sqlite:///:memory:"):
        raise UsageError(
            f"Each worker would have a memory of its own in {settings.db!r}.",
            hint="Name a database that they share: --db people.db, or --db postgresql://...",
        )
