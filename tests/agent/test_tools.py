"""Tools of every origin: what they are described as, and that nothing they do is more than an observation."""

import asyncio
import json
import time
from datetime import date
from typing import Annotated, Literal

import pytest
from langchain_core.tools import StructuredTool
from langchain_core.tools import tool as langchain_tool
from pydantic import BaseModel, Field

from mnemon.agent.langchain import to_langchain
from mnemon.agent.seams import ToolCall
from mnemon.agent.tools import LONGEST, Tool, observe, tools_by_name
from mnemon.errors import UsageError


def weather(city: Annotated[str, Field(description="where")], unit: Literal["C", "F"] = "C") -> str:
    """Tells the weather in a city."""
    return f"21 {unit} in {city}"


def call(tool: Tool, /, **arguments: object):
    return observe(tool, ToolCall(id="1", name=tool.name, arguments=arguments))


def test_a_function_is_described_by_its_signature_and_docstring() -> None:
    tool = Tool.of(weather)
    assert (tool.name, tool.description, tool.acts) == ("weather", "Tells the weather in a city.", False)
    city = tool.parameters["properties"]["city"]
    assert (city["type"], city["description"]) == ("string", "where")
    assert tool.parameters["properties"]["unit"]["enum"] == ["C", "F"]
    assert tool.parameters["required"] == ["city"]


def test_arguments_are_read_as_the_types_say() -> None:
    class Place(BaseModel):
        name: str

    def plan(day: date, place: Place, people: int = 2) -> str:
        return f"{day:%d %B} {place.name} {people + 1}"

    seen = call(Tool.of(plan), day="2024-05-01", place={"name": "Porto"})
    assert (seen.ok, seen.text) == (True, "01 May Porto 3")


def test_a_call_that_does_not_fit_says_what_is_wrong_and_runs_nothing() -> None:
    ran = []

    def count(n: int) -> int:
        ran.append(n)
        return n

    seen = call(Tool.of(count), n="many", m=1)
    assert not seen.ok
    assert "n: Input should be a valid integer" in seen.text
    assert "m: Extra inputs are not permitted" in seen.text
    assert ran == []


def test_a_failing_tool_is_an_observation() -> None:
    def broken() -> str:
        raise ConnectionError("no route")

    seen = call(Tool.of(broken))
    assert (seen.ok, seen.text) == (False, "Failed: ConnectionError: no route")


def test_a_slow_tool_is_not_waited_for() -> None:
    def slow() -> str:
        time.sleep(5)
        return "late"

    start = time.monotonic()
    seen = call(Tool.of(slow, timeout=0.05))
    assert time.monotonic() - start < 1
    assert (seen.ok, seen.text) == (False, "No answer within 0.05 seconds.")


def test_a_flood_is_cut_and_says_so() -> None:
    def flood() -> str:
        return "x" * (LONGEST + 123)

    seen = call(Tool.of(flood))
    assert (len(seen.text), seen.left_out) == (LONGEST, 123)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "Done."),
        ("", "(nothing)"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        (date(2024, 5, 1), '"2024-05-01"'),
    ],
)
def test_any_result_becomes_text(result: object, text: str) -> None:
    def give() -> object:
        return result

    assert call(Tool.of(give)).text == text


def test_a_coroutine_is_awaited() -> None:
    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    assert call(Tool.of(later), n=1).text == "2"


def test_an_unknown_tool_is_an_observation() -> None:
    seen = observe(None, ToolCall(id="1", name="nope", arguments={}))
    assert (seen.ok, seen.text) == (False, "There is no tool called 'nope'.")


def untyped(city): ...


def variadic(*cities: str): ...


def unspeakable(city: object()): ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (untyped, "has no type"),
        (variadic, "cannot name"),
        ("weather", "no tool"),
        (lambda: 1, "called '<lambda>'"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(given: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Tool.of(given)


def test_a_type_that_json_cannot_carry_is_refused() -> None:
    with pytest.raises(UsageError, match="unspeakable"):
        Tool.of(unspeakable)


def test_names_are_unique() -> None:
    with pytest.raises(UsageError, match="Two tools are called 'weather'"):
        tools_by_name([weather, Tool.of(weather)])
    assert list(tools_by_name([weather, Tool.of(weather, name="weather_2")])) == ["weather", "weather_2"]


# --- LangChain's


def test_a_langchain_tool_is_a_tool() -> None:
    @langchain_tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    tool = Tool.of(add)
    assert (tool.name, tool.description) == ("add", "Adds two numbers.")
    assert call(tool, a=2, b=3).text == "5"
    assert not call(tool, a="x", b=3).ok


def test_a_langchain_tool_of_a_coroutine_alone_runs_too() -> None:
    async def later(n: int) -> int:
        """Adds one."""
        return n + 1

    assert call(Tool.of(StructuredTool.from_function(coroutine=later)), n=4).text == "5"


def test_a_langchain_tool_can_be_marked_as_acting() -> None:
    def send(to: str) -> str:
        """Sends."""
        return to

    marked = StructuredTool.from_function(send, metadata={"acts": True})
    assert Tool.of(marked).acts
    assert Tool.of(StructuredTool.from_function(send), acts=True).acts


def test_our_tool_runs_as_langchains() -> None:
    theirs = to_langchain(Tool.of(weather))
    assert theirs.invoke({"city": "Porto"}) == "21 C in Porto"
    assert json.loads(json.dumps(theirs.tool_call_schema))["required"] == ["city"]
