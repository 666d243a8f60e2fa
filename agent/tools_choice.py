"""Which tool a message needs, for models that were never taught to call one.

A model that can write under a grammar is given one whose sentences are the calls, so that the smallest one
writes valid calls. What that one cannot do is choose: of forty requests, the 135 M default was right in the
sixteen that need no tool, where the tool whose description is nearest in meaning was right in 34. So for a
small model meaning chooses, the model fills in the arguments, and a message that is near no tool gets an
answer. evals/LOG.md has the numbers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnemon.agent.fence import fenced, quotable, quoted_lines
from mnemon.agent.seams import ChatModel, Message, Observation, ToolCall, ToolSpec
from mnemon.agent.templates import template
from mnemon.errors import ModelError

Nearness = Callable[[str, Sequence[str]], list[float] | None]

NEAR = 0.2  # cosine from which a tool may be what a message needs; chosen on the first twenty requests
LONGEST_TEXT = 200  # characters of one argument
LONGEST_COPY = 80  # the same for a model that only copies: it has to be told when to end
MOST_ITEMS = 8
CALL_TOKENS = 400  # a small model may need one for each digit
_NONE = "none"
# Two calls that are not of any tool here show the form.
_SHOWN: tuple[Message, ...] = (
    {"role": "user", "content": "Tool: find_person(name, place)\nRequest: Is there a Maria Stone in Vienna?"},
    {"role": "assistant", "content": '{"name": "Maria Stone", "place": "Vienna"}'},
    {"role": "user", "content": "Tool: book_table(people)\nRequest: I need a table for 4 tonight."},
    {"role": "assistant", "content": '{"people": 4}'},
)


def choose(
    model: ChatModel,
    question: str,
    tools: Sequence[ToolSpec],
    *,
    observed: Sequence[Observation] = (),
    nearness: Nearness | None = None,
    call_id: str = "call-1",
) -> tuple[ToolCall, ...]:
    """The call that the message needs next; none when it can be answered. `nearness` is given for a model
    too small to choose."""
    if not tools:
        return ()
    if nearness is not None:
        found = nearness(question, [f"{tool.name.replace('_', ' ')}: {tool.description}" for tool in tools])
        if found is not None:
            best = max(range(len(tools)), key=found.__getitem__)
            return _filled(model, question, tools[best], call_id) if found[best] >= NEAR else ()
    return _written(model, question, tools, observed, call_id)


def _filled(model: ChatModel, question: str, tool: ToolSpec, call_id: str) -> tuple[ToolCall, ...]:
    if not tool.parameters.get("properties"):
        return (ToolCall(id=call_id, name=tool.name, arguments={}),)
    named = ", ".join(tool.parameters["properties"])
    messages: list[Message] = [
        {"role": "system", "content": "Copy what the tool needs from the request."},
        *_SHOWN,
        {"role": "user", "content": f"Tool: {tool.name}({named})\nRequest: {quotable(question)}"},
    ]
    arguments = _json(model, messages, bounded(_inlined(tool.parameters), longest=LONGEST_COPY))
    return () if arguments is None else (ToolCall(id=call_id, name=tool.name, arguments=arguments),)


def _written(
    model: ChatModel,
    question: str,
    tools: Sequence[ToolSpec],
    observed: Sequence[Observation],
    call_id: str,
) -> tuple[ToolCall, ...]:
    listed = "\n".join(
        f"- {tool.name}({', '.join(tool.parameters.get('properties', ()))}): {quotable(tool.description)}"
        for tool in tools
    )
    seen = "\n".join(
        f"{one.call.name} {json.dumps(dict(one.call.arguments), ensure_ascii=False)}:\n"
        f"{quoted_lines(one.text[:1_000])}"
        for one in observed
    )
    asked = f"Called already:\n{fenced(seen)}\n\n{question}" if seen else question
    messages = [
        {"role": "system", "content": template("choose", tools=listed)},
        {"role": "user", "content": asked},
    ]
    chosen = _json(model, messages, calls_schema(tools))
    if chosen is None or chosen.get("tool") == _NONE:
        return ()
    return (ToolCall(id=call_id, name=str(chosen["tool"]), arguments=chosen.get("arguments", {})),)


def calls_schema(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """What a choice may be: one of the tools with its arguments, or none."""
    options: list[dict[str, Any]] = [_object({"tool": {"const": _NONE}})]
    options += [
        _object({"tool": {"const": tool.name}, "arguments": bounded(_inlined(tool.parameters))})
        for tool in tools
    ]
    return {"anyOf": options}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# What a grammar is made from. The rest is left to the tool's own check: servers may send any keyword, and one
# that the grammar's compiler does not know would end the turn.
_KEYWORDS = frozenset(
    [
        *("type", "enum", "const", "format", "pattern", "required", "additionalProperties"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
        *("minItems", "maxItems"),
    ]
)
_FORMATS = frozenset(["date", "date-time", "time", "uuid", "email"])


def bounded(schema: Mapping[str, Any] | bool, *, longest: int = LONGEST_TEXT) -> dict[str, Any]:
    """The schema as a grammar can have it, with an end to every text and list."""
    if isinstance(schema, bool):  # anything; a call has use for plain values alone
        return {"type": ["string", "number", "boolean"], "maxLength": longest}
    found = {key: value for key, value in schema.items() if key in _KEYWORDS}
    if "properties" in schema:
        found["properties"] = {
            name: bounded(one, longest=longest) for name, one in schema["properties"].items()
        }
        found["additionalProperties"] = False
    elif isinstance(found.get("additionalProperties"), Mapping):
        found["additionalProperties"] = bounded(found["additionalProperties"], longest=longest)
    if isinstance(schema.get("items"), Mapping):
        found["items"] = bounded(schema["items"], longest=longest)
    options = [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    if options:
        found["anyOf"] = [bounded(one, longest=longest) for one in options]
    if found.get("format") not in _FORMATS:
        found.pop("format", None)
    if "(?" in str(found.get("pattern", "")):  # looking around is beyond a grammar
        del found["pattern"]
    if found.get("type") == "string" and not {"enum", "const", "format", "pattern"} & found.keys():
        found["maxLength"] = min(found.get("maxLength", longest), longest)
    if found.get("type") == "array":
        found["maxItems"] = min(found.get("maxItems", MOST_ITEMS), MOST_ITEMS)
    return found


def _inlined(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without references: a schema's own definitions cannot be reached from inside another one."""
    definitions = schema.get("$defs", {})

    def resolve(value: Any, depth: int = 0) -> Any:
        if isinstance(value, Mapping):
            name = str(value.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions:
                return resolve(definitions[name], depth + 1) if depth < 5 else {}
            return {key: resolve(one, depth) for key, one in value.items() if key != "$defs"}
        return [resolve(one, depth) for one in value] if isinstance(value, list) else value

    inlined: Mapping[str, Any] = resolve(schema)
    return inlined


def _json(model: ChatModel, messages: Sequence[Message], schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the model writes; None when it did not come to an end, which is no call."""
    try:
        written = json.loads(model.complete(messages, json_schema=schema, max_tokens=CALL_TOKENS))
    except ModelError:
        return None
    return written if isinstance(written, dict) else None
