"""`mnemon mcp`: one person's memory for an MCP client. Everything it does is `mnemon.agent.mcp_server`'s."""

from typing import Annotated

import typer

from mnemon.cli.memory import person
from mnemon.cli.output import DbOption, EmbedderOption, UserOption, note

PORT = 6637


def register(app: typer.Typer) -> None:
    app.command("mcp", rich_help_panel="Serving")(mcp)


def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Streamable HTTP on this machine instead of standard input.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: 127.0.0.1, localhost or ::1.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="With --http; 0 takes any free one.")] = PORT,
    user: UserOption = None,
    db: DbOption = None,
    embedder: EmbedderOption = None,
) -> None:
    """Give an MCP client (Claude Desktop, an editor, an agent) one person's memory, and no other's.

    The client starts it itself: command `mnemon`, arguments `mcp --user ana --db people.db`.
    """
    from mnemon.agent.mcp_server import serve_http, serve_stdio

    with person(user, db, embedder) as handle:
        if http:
            serve_http(handle, host=host, port=port, ready=lambda url: note(f"{handle.user}'s memory: {url}"))
        else:
            serve_stdio(handle)
