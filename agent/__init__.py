"""The assistant and the models that speak for it. Heavy libraries load with the first local model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mnemon.agent.seams import (
    ChatModel,
    Message,
    Reply,
    ReplyOptions,
    ReplyStream,
    Usage,
    check_messages,
)

if TYPE_CHECKING:
    from mnemon.agent.assistant import Assistant, AssistantReply
    from mnemon.agent.compose import apart_from_the_best
    from mnemon.agent.endpoint import EndpointChatModel
    from mnemon.agent.local import LocalChatModel
    from mnemon.agent.opening import open_model
    from mnemon.agent.tools import Tool
    from mnemon.agent.tools_memory import memory_tools

__all__ = [
    "Assistant",
    "AssistantReply",
    "ChatModel",
    "EndpointChatModel",
    "LocalChatModel",
    "Message",
    "Reply",
    "ReplyOptions",
    "ReplyStream",
    "Tool",
    "Usage",
    "apart_from_the_best",
    "check_messages",
    "memory_tools",
    "open_model",
]

_LAZY = {
    "Assistant": "mnemon.agent.assistant",
    "AssistantReply": "mnemon.agent.assistant",
    "EndpointChatModel": "mnemon.agent.endpoint",
    "LocalChatModel": "mnemon.agent.local",
    "Tool": "mnemon.agent.tools",
    "apart_from_the_best": "mnemon.agent.compose",
    "memory_tools": "mnemon.agent.tools_memory",
    "open_model": "mnemon.agent.opening",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
