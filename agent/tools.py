"""Tools: plain typed functions, LangChain's and MCP servers' tools as one thing that is described and run.

Whatever a tool does, the model gets an observation of bounded length: a failure, silence and a flood of text
are observations too. Knows no model and no graph.
"""

import asyncio
import contextvars
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError

from mnemon.agent.seams import JsonSchema, Observation, ToolCall, ToolSpec
from mnemon.errors import UsageError

TIMEOUT = 20.0  # seconds
LONGEST = 20_000  # characters of a result that are kept at all; a prompt has room for fewer
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Something an assistant may use. `acts` means that it changes the world: the person is asked first.

        Tool.of(send_mail, acts=True)

    `run` takes the arguments by name, may raise anything, and need not come back in time.
    """

    name: str
    description: str
    parameters: JsonSchema
    run: Callable[[Mapping[str, Any]], object]
    acts: bool = False
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"A tool cannot be called {self.name!r}.", hint="Use letters, digits, _ and -; at most 64."
            )
        if self.timeout <= 0:
            raise UsageError(f"timeout={self.timeout!r} of tool {self.name!r} must be positive seconds.")

    @classmethod
    def of(
        cls,
        given: object,
        *,
        name: str | None = None,
        description: str | None = None,
        acts: bool = False,
        timeout: float = TIMEOUT,
    ) -> "Tool":
        """A typed function (its docstring is the description), or a LangChain tool."""
        if _is_langchain(given):
            from mnemon.agent.langchain import from_langchain

            found = from_langchain(given, acts=acts, timeout=timeout)
            return found if name is None else Tool(**(vars(found) | {"name": name}))
        if not callable(given):
            raise UsageError(
                f"{given!r:.80} is no tool.",
                hint="Give a function with typed parameters, or Tool.of(function).",
            )
        called = name or str(getattr(given, "__name__", ""))
        arguments = _arguments_of(given, called)
        return cls(
            name=called,
            description=description or inspect.getdoc(given) or called.replace("_", " "),
            parameters=arguments.model_json_schema(),
            run=lambda values: _called(given, arguments, values),
            acts=acts,
            timeout=timeout,
        )

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(name=self.name, description=self.description, parameters=self.parameters)


def tools_by_name(given: Iterable[object]) -> dict[str, Tool]:
    """Tools, functions and LangChain tools by their names; two of one name are an error."""
    found: dict[str, Tool] = {}
    for one in given:
        tool = one if isinstance(one, Tool) else Tool.of(one)
        if tool.name in found:
            raise UsageError(
                f"Two tools are called {tool.name!r}.", hint="Rename one: Tool.of(function, name='other')."
            )
        found[tool.name] = tool
    return found


def observe(tool: Tool | None, call: ToolCall) -> Observation:
    """Run a call and say what came of it. Nothing a tool does raises here.

    One that is late goes on in its thread, since no thread can be stopped; its result is not waited for.
    """
    if tool is None:
        return Observation(call=call, text=f"There is no tool called {call.name!r}.", ok=False)
    results: SimpleQueue[tuple[bool, str]] = SimpleQueue()

    def work() -> None:
        try:
            results.put((True, _as_text(tool.run(call.arguments))))
        except Exception as error:  # noqa: BLE001  a tool is anybody's code; what it raises is what is observed
            results.put((False, _failure(error)))

    context = contextvars.copy_context()
    Thread(target=context.run, args=(work,), daemon=True, name=f"mnemon-tool-{tool.name}").start()
    try:
        ok, text = results.get(timeout=tool.timeout)
    except Empty:
        return Observation(call=call, text=f"No answer within {tool.timeout:g} seconds.", ok=False)
    return Observation(call=call, text=text[:LONGEST], ok=ok, left_out=max(0, len(text) - LONGEST))


def shown_text(observation: Observation) -> str:
    """What a model reads of an observation: never cut without saying so."""
    rest = f" […] {observation.left_out} more characters were left out." if observation.left_out else ""
    return observation.text + rest


def _failure(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()
        )
    said = str(error).strip()
    return f"Failed: {type(error).__name__}: {said}" if said else f"Failed: {type(error).__name__}"


def _as_text(result: object) -> str:
    if isinstance(result, str):
        return result or "(nothing)"
    if result is None:
        return "Done."
    if isinstance(result, BaseModel):
        return result.model_dump_json()
    return json.dumps(result, ensure_ascii=False, default=str)


# --- functions


def _arguments_of(function: Callable[..., object], name: str) -> type[BaseModel]:
    """The parameters as a pydantic model, which gives the schema and checks what a model sends."""
    try:
        hints = get_type_hints(function, include_extras=True)
        signature = inspect.signature(function)
    except (TypeError, ValueError, NameError) as error:
        raise UsageError(f"The parameters of tool {name!r} cannot be read: {error}.") from error
    fields: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UsageError(
                f"Tool {name!r} has the parameter {str(parameter)!r}, which a model cannot name.",
                hint="Give each parameter a name of its own.",
            )
        if parameter.name not in hints:
            raise UsageError(
                f"Parameter {parameter.name!r} of tool {name!r} has no type.",
                hint=f"Annotate it, such as {parameter.name}: str",
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        model.model_json_schema()
    except (PydanticUserError, TypeError) as error:
        raise UsageError(
            f"A parameter of tool {name!r} has a type that JSON cannot carry: {str(error).splitlines()[0]}"
        ) from error
    return model


def _called(function: Callable[..., object], arguments: type[BaseModel], given: Mapping[str, Any]) -> object:
    checked = arguments.model_validate(dict(given))
    result = function(**{name: getattr(checked, name) for name in type(checked).model_fields})
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> object:
    return await result


def _is_langchain(given: object) -> bool:
    """Without importing LangChain: what is one of its tools has imported it."""
    module = sys.modules.get("langchain_core.tools")
    return module is not None and isinstance(given, module.BaseTool)
