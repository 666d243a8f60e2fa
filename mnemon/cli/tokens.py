"""`mnemon token new|list|revoke`: who may ask a server for whose memory."""

from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import DbOption, JsonOption, console, emit, note, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnemon.agent.server import Token, TokenFile


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Tokens for `mnemon serve`.")
    group.command("new")(new)
    group.command("list")(list_)
    group.command("revoke")(revoke)
    app.add_typer(group, name="token", rich_help_panel="Serving")


def new(
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="Whose memory it opens.", show_default=False)
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="It opens everybody's.")] = False,
    note_: Annotated[str, typer.Option("--note", help="What it is for; shown in the list.")] = "",
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once; only its hash is kept."""
    from mnemon.errors import UsageError

    if admin == (user is not None):
        raise UsageError("A token is one person's or an admin's.", hint="Give either --user NAME or --admin.")
    token, secret = _file(db).new(user, note=note_)
    data = {"id": token.id, "user": token.user, "token": secret}
    emit(data, as_json=as_json, human=lambda made: console().print(made["token"]))
    if not as_json:
        note(f"Token {token.id} for {token.user or 'an admin'}. It cannot be shown again.")


def list_(db: DbOption = None, as_json: JsonOption = False) -> None:
    """The tokens there are, without their secrets."""
    tokens = _file(db).all()
    shown = ("id", "user", "is_admin", "created_at", "note")
    data = [{name: getattr(one, name) for name in shown} for one in tokens]
    emit(data, as_json=as_json, human=lambda _: _show(tokens))


def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The token's id; see token list.")],
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a token back. A server that runs refuses it at once."""
    gone = _file(db).revoke(id_)
    emit(
        {"id": gone.id, "user": gone.user},
        as_json=as_json,
        human=lambda _: f"Revoked {gone.id}, of {gone.user or 'an admin'}.",
    )


def _file(db: str | None) -> "TokenFile":
    from mnemon.agent.server import TokenFile
    from mnemon.settings import load_settings

    settings = load_settings(db=db)
    return TokenFile.beside(settings.db, home=settings.home)


def _show(tokens: "Sequence[Token]") -> str | None:
    if not tokens:
        return "There are no tokens. Make one: mnemon token new --user NAME"
    rows = [[one.id, one.user or "(admin)", one.created_at, one.note] for one in tokens]
    print_table(["Id", "Whose", "Made", "For"], rows)
    return None
