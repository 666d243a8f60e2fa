"""The tools of MCP servers, by the official SDK: servers started as commands (stdio) or reached over HTTP.

Servers start when their tools are first asked for and end with `close`. One that does not start is a note and
not an error: a conversation goes on without it. One that dies is started again at the next call. The SDK is
asynchronous, so it lives on a thread of its own. A server's tools act on the world unless it says that they
only read.
"""

import asyncio
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from tempfile import TemporaryFile
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from mnemon.agent.tools import TIMEOUT, Tool
from mnemon.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult

START = 30.0  # seconds: a first start may fetch the server
ENDING = 10.0


class _Running(NamedTuple):
    client: "Client"
    end: asyncio.Event
    task: "asyncio.Task[None]"


class McpServers:
    """`McpServers(["npx some-server", "http://localhost:8000/mcp"])`. Safe to share between threads."""

    def __init__(
        self, addresses: Sequence[str], *, timeout: float = TIMEOUT, start_timeout: float = START
    ) -> None:
        try:
            import mcp  # noqa: F401  asked for now, so that what is missing is said at once
        except ImportError as error:
            raise MissingExtra("mcp", "mcp", "MCP servers' tools") from error
        if isinstance(addresses, str):
            raise UsageError(
                f"mcp={addresses!r} is one string; a list of commands or addresses was expected."
            )
        for address in addresses:
            _check(address)
        self._addresses = list(dict.fromkeys(addresses))
        self._timeout, self._start_timeout = timeout, start_timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._running: dict[str, _Running] = {}
        self._tools: list[Tool] | None = None
        self._notes: list[str] = []
        self._lock = Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """Which servers could not be used, and why."""
        return tuple(self._notes)

    def tools(self) -> list[Tool]:
        """The tools of all servers that started. Of two of one name the second is named after its server."""
        with self._lock:
            if self._tools is None:
                self._tools = self._gather()
            return self._tools

    def close(self) -> None:
        """End all servers. Those that do not end in time are killed by the SDK."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is None:
                return
            asyncio.run_coroutine_threadsafe(self._end_all(), loop).result(ENDING)
            loop.call_soon_threadsafe(loop.stop)
            assert self._thread is not None
            self._thread.join(ENDING)
            loop.close()
            self._tools = None

    # --- inside

    def _gather(self) -> list[Tool]:
        found: dict[str, Tool] = {}
        for address in self._addresses:
            try:
                listed = self._wait(partial(self._list, address), self._start_timeout)
            except ServerFailed as error:
                self._notes.append(f"MCP server {address!r} is left out: {error}")
                continue
            for described in listed:
                name = _free_name(described.name, address, found)
                found[name] = self._tool(address, described, name)
        return list(found.values())

    def _tool(self, address: str, described: Any, name: str) -> Tool:
        annotations = described.annotations
        return Tool(
            name=name,
            description=described.description or described.title or name.replace("_", " "),
            parameters=described.input_schema,
            run=lambda arguments: self._call(address, described.name, arguments),
            acts=not (annotations is not None and annotations.read_only_hint),
            # The server may have to be started first; the call's own limit is the SDK's.
            timeout=self._start_timeout + self._timeout + ENDING,
        )

    def _call(self, address: str, name: str, arguments: Mapping[str, Any]) -> str:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        async def call() -> "CallToolResult":
            client = await self._client(address)
            try:
                return await client.call_tool(name, dict(arguments), read_timeout_seconds=self._timeout)
            except MCPError as error:
                if error.code == CONNECTION_CLOSED:
                    self._running.pop(address).end.set()
                raise

        result = self._wait(call, self._start_timeout + self._timeout)
        text = "\n".join(_shown(block) for block in result.content)
        if result.is_error:
            raise ServerFailed(text)
        return text

    async def _list(self, address: str) -> list[Any]:
        client = await self._client(address)
        tools, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                return tools

    async def _client(self, address: str) -> "Client":
        """The connection to a server, made again when the last one has ended."""
        running = self._running.get(address)
        if running is not None and not running.task.done():
            return running.client
        from mcp import Client

        # What a command says beside the protocol, for when it does not start; its task closes it.
        said = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        client = Client(_target(address, said), read_timeout_seconds=self._timeout)
        ready, end = asyncio.get_running_loop().create_future(), asyncio.Event()
        # Entered and left in one task, as the SDK's cancel scopes want it.
        task = asyncio.create_task(_hold(client, ready, end, said))
        self._running[address] = _Running(client, end, task)
        await ready
        return client

    async def _end_all(self) -> None:
        for running in self._running.values():
            running.end.set()
        tasks = [running.task for running in self._running.values()]
        self._running.clear()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=ENDING - 1)
            for task in late:
                task.cancel()

    def _wait(self, work: Callable[[], Any], seconds: float) -> Any:
        """What the coroutine gives, or why it gave nothing, in one sentence."""
        future = asyncio.run_coroutine_threadsafe(work(), self._started())
        try:
            return future.result(seconds)
        except FutureTimeout:
            future.cancel()
            raise ServerFailed(f"no answer within {seconds:g} seconds") from None
        except CancelledError:
            raise ServerFailed("it ended") from None
        except ServerFailed:
            raise
        except Exception as error:  # SDK, transports and task groups fail in ways of their own
            raise ServerFailed(_reason(error)) from error

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._loop.run_forever, daemon=True, name="mnemon-mcp")
            self._thread.start()
        return self._loop


class ServerFailed(Exception):  # noqa: N818  it reaches others only as an observation or a note
    """Why a server gave nothing."""


async def _hold(client: "Client", ready: "asyncio.Future[None]", end: asyncio.Event, said: TextIO) -> None:
    """A connection from its beginning to its end."""
    with said:
        try:
            async with client:
                ready.set_result(None)
                await end.wait()
        except Exception as error:  # noqa: BLE001  the call that waits is told
            if not ready.done():
                said.seek(0)
                last = [line.strip() for line in said if line.strip()][-1:]
                ready.set_exception(ServerFailed("; ".join([_reason(error), *last])))


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):  # task groups wrap what went wrong
        error = error.exceptions[0]
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _shown(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource" and getattr(block.resource, "text", None) is not None:
        return str(block.resource.text)
    return f"({block.type} that cannot be shown)"


def _target(address: str, said: TextIO) -> Any:
    if _is_url(address):
        return address
    from mcp.client.stdio import StdioServerParameters, stdio_client

    command, *arguments = shlex.split(address)
    return stdio_client(StdioServerParameters(command=command, args=arguments), errlog=said)


def _check(address: object) -> None:
    if not isinstance(address, str) or not address.strip():
        raise UsageError(f"{address!r} names no MCP server.", hint="Give a command or an http:// address.")
    if _is_url(address):
        return
    try:
        shlex.split(address)
    except ValueError as error:
        raise UsageError(f"The command {address!r} cannot be read: {error}.") from error


def _is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _free_name(name: str, address: str, taken: Mapping[str, Tool]) -> str:
    """The name as models may write it, made one of its own."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]
    plain = plain if plain[:1].isalpha() or plain[:1] == "_" else f"_{plain}"[:64]
    server = re.sub(r"[^A-Za-z0-9]+", "_", address).strip("_")[-24:]
    number, found = 1, plain
    while found in taken:
        found = f"{plain[:36]}_{server}" if number == 1 else f"{plain[:33]}_{server}_{number}"
        number += 1
    return found
