"""A small MCP server by the official SDK, for the tests: `python mcp_server_double.py [port]`."""

import os
import sys
import time

from mcp.server import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("double")
READS = ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def weather(city: str) -> str:
    """Tells the weather in a city."""
    return f"It is 21 degrees in {city}."


@server.tool()
def send(to: str) -> str:
    """Sends a message."""
    return f"Sent to {to}."


@server.tool(annotations=READS)
def broken() -> str:
    """Fails."""
    raise ValueError("no power")


@server.tool(annotations=READS)
def slow() -> str:
    """Takes its time."""
    time.sleep(30)
    return "late"


@server.tool(annotations=READS)
def die() -> str:
    """Ends the server."""
    os._exit(3)


@server.tool(annotations=READS)
def process() -> str:
    """The number of the server's process."""
    return str(os.getpid())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
