"""Grammars of calls, from the schemas that functions and servers give."""

import uuid
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from mnemon.agent.codec import Codec
from mnemon.agent.grammar import GrammarCompiler
from mnemon.agent.seams import ToolSpec
from mnemon.agent.tools import Tool
from mnemon.agent.tools_choice import calls_schema, choose
from mnemon.testing import ScriptedChatModel
from tests.agent import tiny_llama


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    name: str
    inside: "Place | None" = None


def everything(
    day: date,
    key: uuid.UUID,
    span: timedelta,
    file: Path,
    colour: Colour,
    place: Place,
    unit: Literal["C", "F"] = "C",
    tags: list[str] = [],  # noqa: B006  a default as people write it
    weights: dict[str, float] | None = None,
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}\d+$")] = "AB1",
    count: Annotated[int, Field(gt=0, multiple_of=5)] = 5,
) -> str:
    """Takes everything."""
    return "ok"


FROM_SERVERS = (
    {"type": "object"},
    {"type": "object", "properties": {"type": {"type": "string"}, "items": {"type": "integer"}}},
    {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=.*x).*$"}}},
    {"type": "object", "properties": {"a": True, "b": {"type": ["string", "null"], "format": "made-up"}}},
    {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}, "uniqueItems": True}},
        "dependentRequired": {"a": ["b"]},
        "x-vendor": 1,
    },
)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    codec = Codec(tiny_llama.write_folder(tmp_path_factory.mktemp("tiny") / "tiny"))
    return GrammarCompiler(codec.file, vocabulary=codec.vocabulary, end_id=min(codec.end_ids, default=0))


def test_what_functions_give_is_a_grammar(compiler):
    schema = calls_schema([Tool.of(everything).spec])
    compiler.for_schema(schema)
    arguments = schema["anyOf"][1]["properties"]["arguments"]["properties"]
    assert arguments["colour"]["enum"] == ["red", "blue"]
    assert arguments["tags"]["maxItems"] == 8
    assert "pattern" in arguments["code"]


@pytest.mark.parametrize("parameters", FROM_SERVERS, ids=range(len(FROM_SERVERS)))
def test_what_servers_give_is_a_grammar(compiler, parameters):
    spec = ToolSpec(name="theirs", description="Theirs.", parameters=parameters)
    compiler.for_schema(calls_schema([spec]))


NEAR = {"weather": 0.5, "time": 0.3}


def nearness(_message, texts):
    return [NEAR[text.partition(":")[0]] for text in texts]


def weather(city: str) -> str:
    """Tells the weather."""
    return city


def time() -> str:
    """Tells the time."""
    return "noon"


def test_the_nearest_tool_is_filled_in():
    model = ScriptedChatModel(['{"city": "Porto"}'])
    tools = [Tool.of(time).spec, Tool.of(weather).spec]
    [call] = choose(model, "How warm is it in Porto?", tools, nearness=nearness)
    assert (call.name, call.arguments) == ("weather", {"city": "Porto"})
    assert model.calls[0].options.json_schema["properties"]["city"]["type"] == "string"


def test_what_needs_no_arguments_needs_no_model():
    [call] = choose(ScriptedChatModel([]), "How late is it?", [Tool.of(time).spec], nearness=nearness)
    assert (call.name, call.arguments) == ("time", {})


def test_what_is_near_no_tool_is_answered():
    def far(_message, texts):
        return [0.1 for _ in texts]

    assert choose(ScriptedChatModel([]), "Who wrote Hamlet?", [Tool.of(weather).spec], nearness=far) == ()


def test_without_an_embedder_even_a_small_model_is_asked():
    model = ScriptedChatModel(['{"tool": "none"}'])
    assert choose(model, "Hm?", [Tool.of(weather).spec], nearness=lambda message, texts: None) == ()
    assert len(model.calls) == 1


def test_json_that_does_not_end_is_no_call():
    class Rambling(ScriptedChatModel):
        def stream(self, messages, options=None):
            return super().stream(messages, None or type(options)(max_tokens=1))

    assert choose(Rambling(['{"tool": "weather", "argum']), "Hm?", [Tool.of(weather).spec]) == ()
