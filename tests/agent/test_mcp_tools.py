"""Tools of a real MCP server, over stdio and HTTP: found, called, failing, dying, ended."""

import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnemon.agent import Assistant
from mnemon.agent.mcp_tools import McpServers
from mnemon.agent.seams import ToolCall
from mnemon.agent.tools import observe
from mnemon.errors import UsageError
from mnemon.memory import Memory
from mnemon.testing import ScriptedChatModel

DOUBLE = Path(__file__).with_name("mcp_server_double.py")
COMMAND = shlex.join([sys.executable, str(DOUBLE)])


@pytest.fixture
def servers():
    opened = McpServers([COMMAND])
    yield opened
    opened.close()


def call(servers, name, **arguments):
    tool = next(tool for tool in servers.tools() if tool.name == name)
    return observe(tool, ToolCall(id="1", name=name, arguments=arguments))


@pytest.mark.slow
def test_tools_of_a_command_are_found_and_called(servers):
    tools = {tool.name: tool for tool in servers.tools()}
    assert list(tools) == ["weather", "send", "broken", "slow", "die", "process"]
    assert tools["weather"].description == "Tells the weather in a city."
    assert tools["weather"].parameters["properties"]["city"]["type"] == "string"
    assert [name for name, tool in tools.items() if tool.acts] == ["send"]
    seen = call(servers, "weather", city="Porto")
    assert (seen.ok, seen.text) == (True, "It is 21 degrees in Porto.")
    failed = call(servers, "broken")
    assert not failed.ok
    assert "Error executing tool broken" in failed.text
    wrong = call(servers, "weather", town="Porto")
    assert not wrong.ok


@pytest.mark.slow
def test_a_server_that_dies_is_an_observation_and_is_started_again(servers):
    seen = call(servers, "die")
    assert not seen.ok
    assert call(servers, "weather", city="Faro").text == "It is 21 degrees in Faro."


@pytest.mark.slow
def test_a_slow_call_is_not_waited_for():
    servers = McpServers([COMMAND], timeout=0.5)
    try:
        servers.tools()
        start = time.monotonic()
        seen = call(servers, "slow")
        assert not seen.ok
        assert time.monotonic() - start < 5
    finally:
        servers.close()


@pytest.mark.slow
def test_close_ends_the_process():
    servers = McpServers([COMMAND])
    number = int(call(servers, "process").text)
    servers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    servers.close()


@pytest.mark.parametrize(
    "address", ["/nowhere/to/be/found", f"{shlex.quote(sys.executable)} -c 'raise SystemExit(chr(104) * 9)'"]
)
def test_a_server_that_does_not_start_is_a_note(address):
    servers = McpServers([address], start_timeout=10)
    try:
        assert servers.tools() == []
        assert "is left out" in servers.notes[0]
        assert address.startswith("/nowhere") or "hhhhhhhhh" in servers.notes[0]
    finally:
        servers.close()


@pytest.mark.slow
def test_two_servers_with_one_name_for_a_tool():
    other = shlex.join([sys.executable, "-B", str(DOUBLE)])
    servers = McpServers([COMMAND, other])
    try:
        names = [tool.name for tool in servers.tools()]
        assert len(set(names)) == len(names) == 12
    finally:
        servers.close()


@pytest.mark.slow
def test_tools_over_http():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([sys.executable, str(DOUBLE), str(port)], stderr=subprocess.DEVNULL)
    servers = McpServers([f"http://127.0.0.1:{port}/mcp"])
    try:
        _until_open(port)
        assert call(servers, "weather", city="Braga").text == "It is 21 degrees in Braga."
    finally:
        servers.close()
        child.kill()
        child.wait()


def _until_open(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not open its port")


@pytest.mark.slow
def test_the_assistant_uses_them_and_ends_them():
    script = ['{"tool": "weather", "arguments": {"city": "Porto"}}', '{"tool": "none"}', "Warm."]
    with Memory.open(":memory:", embedder=None) as memory:
        with Assistant(memory.for_user("ana"), ScriptedChatModel(script), mcp=[COMMAND]) as assistant:
            assert assistant._servers._loop is None  # nothing starts before it is needed
            reply = assistant.reply("How warm is it in Porto?")
            assert [one.text for one in reply.observations] == ["It is 21 degrees in Porto."]
        assert assistant._servers._loop is None


def test_a_server_that_is_missing_does_not_end_a_turn():
    with (
        Memory.open(":memory:", embedder=None) as memory,
        Assistant(memory.for_user("ana"), ScriptedChatModel(["Hm."]), mcp=["/nowhere"]) as assistant,
    ):
        reply = assistant.reply("How warm is it in Porto?")
    assert reply.text == "Hm."
    assert "'/nowhere' is left out" in reply.notes[0]


@pytest.mark.parametrize("addresses", ["npx server", [""], ["sh 'open"]])
def test_what_names_no_server_is_refused(addresses):
    with pytest.raises(UsageError):
        McpServers(addresses)
