"""The root of the command line: its areas, its two own options, and what becomes of an error.

Exit codes: 0 done; 1 a defect of mnemon; 2 to 7 as drawn in `mnemon.errors`; 130 interrupted.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from mnemon import __version__
from mnemon.cli.output import say_error
from mnemon.errors import MnemonError

# One module of `mnemon.cli` a line, in the order of `mnemon --help`. Each has `register(app)`
# and imports nothing heavy at its top.
AREAS = (
    "chat",
    "serve",
    "model_server",
    "mcp",
    "tokens",
    "work",
    "memory",
    "profile",
    "persona",
    "feedback",
    "importing",
    "migrate",
    "models",
    "config",
    "doctor",
    "evals",
    "rerank",
    "steer",
    "reward",
)

_debug = False


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="mnemon",
        help="A personal assistant that remembers you, on your own machine.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for area in AREAS:
        import_module(f"mnemon.cli.{area}").register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mnemon {__version__}")  # noqa: T201  the answer itself, for scripts
        raise typer.Exit


def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", envvar="MNEMON_DEBUG")
    ] = False,
    version: Annotated[  # noqa: ARG001  its callback has already answered
        bool,
        typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    global _debug
    _debug = debug


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Errors are printed; with `--debug`, traced too."""
    global _debug
    _debug = False
    _tolerate_any_text()
    try:
        build()(args=None if arguments is None else list(arguments), prog_name="mnemon")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except MnemonError as error:
        _trace()
        say_error(error.message, hint=error.hint)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001  the last border: a defect gets one line too
        _trace()
        say_error(
            f"unexpected {type(error).__name__}: {error}",
            hint="This is a defect of mnemon. `mnemon --debug ...` shows where it happened.",
        )
        code = 1
    else:
        code = 0
    _leave_closed_pipe()
    return code


def _trace() -> None:
    if _debug:
        traceback.print_exc()


def _tolerate_any_text() -> None:
    """Text that a terminal cannot show (a lone surrogate, an old code page) is escaped, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _leave_closed_pipe() -> None:
    """`mnemon ... | head` ends quietly: without this the interpreter complains when it flushes at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
