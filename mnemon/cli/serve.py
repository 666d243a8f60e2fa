"""`mnemon serve`: the assistant and the memory over HTTP, by one process or several. Everything it does is
`mnemon.agent.server`'s."""

import sys
from contextlib import ExitStack
from dataclasses import replace
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
    from collections.abc import Callable

    from mnemon.agent.server import TokenFile
    from mnemon.cli.serving import Served
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
        int, typer.Option(min=1, max=64, help="Processes that serve; a local model gets one of its own.")
    ] = 1,
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
    from mnemon.memory.inputs import without_password

    served = Served(
        settings=settings,
        limits=Limits(at_once=at_once, waiting=waiting, grace_seconds=grace),
        tokens_required=required,
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
    )

    shown = without_password(settings.db)

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "db": shown, "tokens_required": required, "workers": workers})
            sys.stdout.flush()
        by = f"{workers} workers · " if workers > 1 else ""
        note(f"mnemon answers on {url} · {by}{shown} · Ctrl-C stops it")

    if workers == 1:
        from mnemon.agent.server import serve as serve_app

        with application(served) as app:
            serve_app(app, host=host, port=port, limits=served.limits, ready=ready)
        return
    if not _serve_many(served, workers, host=host, port=port, ready=ready):
        raise typer.Exit(1)


def _serve_many(
    served: "Served", workers: int, *, host: str, port: int, ready: "Callable[[str], object]"
) -> bool:
    from mnemon.agent.opening import is_address
    from mnemon.agent.server import serve_many
    from mnemon.cli.serving import application

    with ExitStack() as until_the_end:
        settings = served.settings
        if not is_address(settings.model):  # one process holds it, and all of them ask that one
            from mnemon.agent.server.model_process import ModelProcess

            asked = ModelProcess(_model_options(served, workers), tell=note)
            spoken = until_the_end.enter_context(asked)
            served = served._replace(settings=replace(settings, model=spoken.url), key=spoken.key)
        return serve_many(
            partial(application, served),
            workers=workers,
            host=host,
            port=port,
            limits=served.limits,
            ready=ready,
            tell=note,
        )


def _model_options(served: "Served", workers: int) -> list[str]:
    settings, limits = served.settings, served.limits
    counts = [
        "--at-once",
        str(min(512, workers * limits.at_once)),
        "--waiting",
        str(workers * limits.waiting),
    ]
    return ["--model", settings.model, "--device", settings.device, "--engine", settings.engine, *counts]


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
