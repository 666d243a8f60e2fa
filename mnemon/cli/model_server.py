"""`mnemon model-server`: the steered model in a process of its own, for others to ask."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mnemon.cli.output import DeviceOption, EngineOption, JsonOption, ModelOption, note

PORT = 6637  # the one after the assistant's server


def register(app: typer.Typer) -> None:
    app.command("model-server", rich_help_panel="Serving")(model_server)


def model_server(
    host: Annotated[
        str, typer.Option(help="The address to listen on. Beyond loopback, a key is required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")] = PORT,
    model: ModelOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="The key that is wanted; without it, MNEMON_MODEL_KEY.", show_default=False),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=512, help="Replies that are written at once.")] = 32,
    waiting: Annotated[int, typer.Option(min=1, max=100_000, help="Replies that may wait for it.")] = 256,
    grace: Annotated[float, typer.Option(min=0, help="Seconds for replies to end in, on stopping.")] = 30.0,
    end_with_stdin: Annotated[
        bool, typer.Option("--end-with-stdin", help="Stop when standard input ends, as with its parent.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the steered model to OpenAI's clients, and to `--model http://...` of other commands.

    Replies that are written at once share the model's forwards. It knows no person and keeps nothing.
    """
    from mnemon.agent.model_server import create_model_app, read_key
    from mnemon.agent.server import Limits, is_loopback
    from mnemon.errors import UsageError
    from mnemon.settings import load_settings

    settings = load_settings(model=model, device=device, engine=engine)
    key = read_key(key_file)
    if key is None and not is_loopback(host):
        raise UsageError(
            f"On {host!r} a key is required, and there is none.",
            hint="Make one: openssl rand -hex 32 > model.key, then --key-file model.key on both sides, "
            "or MNEMON_MODEL_KEY.",
        )

    from mnemon.agent.local import LocalChatModel
    from mnemon.agent.server import serve as serve_app

    limits = Limits(at_once=at_once, waiting=waiting, waiting_each=waiting, grace_seconds=grace)
    # Only torch joins the steps of several replies; llama.cpp is quicker for one at a time.
    chosen = "transformers" if settings.engine == "auto" else settings.engine
    served = LocalChatModel.open(settings.model, device=settings.device, engine=chosen)

    def ready(url: str) -> None:
        if as_json:
            sys.stdout.write(json.dumps({"url": url, "model": served.name}) + "\n")
            sys.stdout.flush()
        note(f"{served.name} answers on {url} · Ctrl-C stops it")
        if end_with_stdin:
            _end_with_stdin()

    app = create_model_app(served, key=key, limits=limits)
    serve_app(app, host=host, port=port, limits=limits, ready=ready)


def _end_with_stdin() -> None:
    """Whoever started this holds the other end, and lets go of it also when it is killed."""
    import os
    import signal
    import threading

    def wait() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="mnemon-stdin", daemon=True).start()
