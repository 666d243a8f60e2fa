"""How commands print: results to standard output, everything else to standard error.

Colour, width and progress bars appear only on a terminal and never with `NO_COLOR`; a pipe gets plain lines.
rich is imported when something is first shown, so that `--help` and `--json` stay quick.
"""

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

# Options that mean the same in every command. None means "not given": pass them on to `load_settings`.
UserOption = Annotated[str | None, typer.Option("--user", "-u", help="Whose memory.", show_default=False)]
DbOption = Annotated[
    str | None, typer.Option("--db", help="The database: a path or a URL.", show_default=False)
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="The language model: a name, a path or an address.", show_default=False),
]
EmbedderOption = Annotated[
    str | None, typer.Option("--embedder", help="The embedding model: a name or a path.", show_default=False)
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps ...", show_default=False)
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="auto, transformers or llama.cpp.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def emit(data: T, *, as_json: bool, human: Callable[[T], object]) -> None:
    """Print a command's result: as one JSON document, or by `human`.

    `human` gets the data and prints through `console()`, or returns what is to be printed.
    """
    if as_json:
        print_json(data)
        return
    shown = human(data)
    if shown is not None:
        console().print(shown)


def print_json(data: object) -> None:
    text = json.dumps(plain(data), ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: only its escape is valid JSON in UTF-8
        text = json.dumps(plain(data), ensure_ascii=True, indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")


def plain(value: object) -> JSON:
    """What JSON can hold: dataclasses and models become objects, times ISO 8601, sets lists, NaN null."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=str)]
    return _plain_object(value)


def _plain_object(value: object) -> JSON:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    as_dict = getattr(value, "_asdict", None) or getattr(value, "model_dump", None)  # NamedTuple, pydantic
    if as_dict is not None:
        return plain(as_dict())
    as_list = getattr(value, "tolist", None)  # numpy scalar or array
    if as_list is not None:
        return plain(as_list())
    if isinstance(value, Sequence | Iterator):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be printed as JSON")


def console(*, stderr: bool = False) -> "Console":
    """Where a command prints text. Remembered text is data: no markup, emoji codes or highlighting."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 10_000  # a pipe has no edge at which to wrap
    return Console(
        file=stream, width=width, markup=False, emoji=False, highlight=False, soft_wrap=width is not None
    )


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on a terminal; lines of tab-separated cells, heading first, in a pipe."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in ([column.lower() for column in columns], *cells):
            sys.stdout.write("\t".join(" ".join(cell.split()) for cell in line) + "\n")
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def note(message: str) -> None:
    """A remark beside the result, on standard error."""
    console(stderr=True).print(message, style="dim")


def say_error(message: str, *, hint: str | None = None) -> None:
    """`mnemon: MESSAGE` and the next step under it, on standard error."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"mnemon: {message}\n" + (f"  {hint}\n" if hint else ""))
        return
    from rich.text import Text

    err = console(stderr=True)
    err.print(Text.assemble(("mnemon: ", "bold red"), message))
    if hint:
        err.print(Text(f"  {hint}", style="dim"))


class Advance(Protocol):
    """Tells a progress display how far the work is. `description` names what is being done from now on."""

    def __call__(self, done: float, total: float | None = None, description: str | None = None) -> None: ...


@contextmanager
def progress(
    description: str, *, total: float | None = None, unit: str = "", quiet: bool = False
) -> Iterator[Advance]:
    """A progress bar on standard error: a bar on a terminal, a line every ten seconds elsewhere.

    Use: `with progress("Indexing", total=len(rows)) as advance: ...; advance(done)`,
    `done` counted from the start. `unit="B"` shows bytes; `quiet` shows nothing before the first `advance`.
    """
    if not sys.stderr.isatty():
        yield _line_progress(description if not quiet else "", total, unit)
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if unit == "B" else MofNCompleteColumn()
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        count,
        TimeRemainingColumn(compact=True),
        console=console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(description, total=total, visible=not quiet)

        def advance(done: float, total: float | None = None, description: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=description, visible=True)

        yield advance


def _line_progress(description: str, total: float | None, unit: str) -> Advance:
    """Progress for logs and pipes: says each new description at once, and how far it is every ten seconds."""
    current, whole, last = description, total, time.monotonic()
    if current:
        sys.stderr.write(f"{current} ...\n")

    def advance(done: float, total: float | None = None, description: str | None = None) -> None:
        nonlocal current, whole, last
        whole = total if total is not None else whole
        if description is not None and description != current:
            current, last = description, time.monotonic()
            sys.stderr.write(f"{current} ...\n")
        elif time.monotonic() - last >= 10:
            last = time.monotonic()
            sys.stderr.write(
                f"{current} ... {_amount(done, unit)}"
                + (f" of {_amount(whole, unit)}" if whole else "")
                + "\n"
            )

    return advance


def _amount(count: float, unit: str) -> str:
    return f"{count / 1e6:.0f} MB" if unit == "B" else f"{count:g}{unit and ' ' + unit}"
