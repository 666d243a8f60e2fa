"""`mnemon import`: what mnemon exported, and what people have elsewhere: chats and notes. Reading and writing
are the memory's; here they are shown."""

from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.memory import NO_EMBEDDER, person
from mnemon.cli.output import (
    DbOption,
    EmbedderOption,
    JsonOption,
    UserOption,
    console,
    emit,
    note,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from mnemon.memory.importers import Report

OWN = "mnemon"  # the kind of our own export
KINDS = ("chatgpt", "claude", "jsonl", "markdown", "whatsapp")  # a test holds them to what memory can read


def register(app: typer.Typer) -> None:
    app.command("import", rich_help_panel="Memory")(import_)


def import_(
    what: Annotated[str, typer.Argument(help=f"What it is: {OWN} (if left out), {', '.join(KINDS)}.")],
    path: Annotated[str | None, typer.Argument(help="The file, folder or zip.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, write nothing.")] = False,
    me: Annotated[str, typer.Option("--me", help="WhatsApp: your name in the chat.")] = "",
    chat: Annotated[str, typer.Option("--chat", help="WhatsApp: what to call the chat.")] = "",
    day_first: Annotated[
        bool | None,
        typer.Option(
            "--day-first/--month-first", help="WhatsApp: how dates begin.", show_default="as it shows"
        ),
    ] = None,
    zone: Annotated[
        str, typer.Option("--zone", help="Where times without an offset were: Europe/Berlin.")
    ] = "UTC",
    time: Annotated[
        str | None, typer.Option("--time", help="When, for what has no time.", show_default="passed over")
    ] = None,
    later: Annotated[bool, typer.Option("--later", help="Leave embedding to the first recall.")] = False,
    user: UserOption = None,
    db: DbOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in an export of mnemon, ChatGPT, Claude, WhatsApp, JSON lines or notes. Twice is once."""
    kind, file = _kind_and_file(what, path)
    if kind == OWN:
        _take_in_own(file, user, db, dry_run=dry_run, as_json=as_json)
        return
    from mnemon.memory.importers import Options, import_from

    with person(user, db, NO_EMBEDDER if dry_run or later else embedder) as handle:
        with progress(f"Reading {file}", unit="B") as advance:
            options = Options(
                me=me,
                chat=chat,
                zone=_zone(zone),
                day_first=day_first,
                time=_time(time),
                progress=lambda done, total: advance(done, total),
            )
            report = import_from(handle, kind, file, options=options, dry_run=dry_run)
        if report.written and not dry_run and not later:
            with progress(f"Indexing {_count(report.written, 'message')}"):
                handle.recall(kind, k=1)  # the first recall embeds what is new
    emit(_plain(report), as_json=as_json, human=lambda _: _show(report))


def _kind_and_file(what: str, path: str | None) -> tuple[str, str]:
    from mnemon.errors import UsageError

    if path is None:
        if what in KINDS or what == OWN:
            raise UsageError(f"import {what}: which file?", hint=f"mnemon import {what} FILE")
        return OWN, what
    if what not in KINDS and what != OWN:
        raise UsageError(f"{what!r} cannot be imported.", hint=f"Known are {', '.join((OWN, *KINDS))}.")
    return what, path


def _take_in_own(file: str, user: str | None, db: str | None, *, dry_run: bool, as_json: bool) -> None:
    from mnemon.errors import UsageError

    if dry_run:
        raise UsageError(
            "An export of mnemon is taken in whole or not at all.", hint="`mnemon undo` takes it back."
        )
    with person(user, db, NO_EMBEDDER) as handle:
        taken = handle.import_(file)
    emit(
        {"records": len(taken.differences), "event": taken.event},
        as_json=as_json,
        human=lambda data: f"Took in {data['records']} records.",
    )


def _zone(name: str) -> "tzinfo":
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from mnemon.errors import UsageError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"--zone is {name!r}, which is no time zone.", hint="For example Europe/Berlin"
        ) from error


def _time(said: str | None) -> "datetime | None":
    from mnemon.memory.inputs import check_time

    return None if said is None else check_time(said, "--time")


def _plain(report: "Report") -> dict[str, object]:
    return {
        "kind": report.kind,
        "dry_run": report.dry_run,
        "conversations": report.conversations,
        "messages": report.messages,
        "written": report.written,
        "known": report.known,
        "skipped": dict(report.skipped.most_common()),
        "unreadable": report.unreadable,
        "first": report.first,
        "last": report.last,
    }


def _show(report: "Report") -> None:
    from mnemon.cli.memory_show import clean

    done = "Would take in" if report.dry_run else "Took in"
    span = ""
    if report.first is not None and report.last is not None:
        span = f", said between {report.first:%Y-%m-%d} and {report.last:%Y-%m-%d}"
    console().print(
        f"{done} {report.written} new of {_count(report.messages, 'message')} "
        f"in {_count(report.conversations, 'conversation')}{span}."
    )
    if report.skipped:
        print_table(["Passed over", "Times"], [[clean(why), n] for why, n in report.skipped.most_common()])
    for line in report.unreadable:
        note(clean(line))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
