"""Mnemon over HTTP: any OpenAI client speaks to the assistant, and `/api` opens a person's memory.

FastAPI and uvicorn load with the first application, so that tokens can be managed without them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mnemon.agent.server.limits import Limits
from mnemon.agent.server.tokens import Token, TokenFile, is_loopback

if TYPE_CHECKING:
    from mnemon.agent.server.app import Door, create_app
    from mnemon.agent.server.running import serve, serving
    from mnemon.agent.server.workers import serve_many

__all__ = [
    "Door",
    "Limits",
    "Token",
    "TokenFile",
    "create_app",
    "is_loopback",
    "serve",
    "serve_many",
    "serving",
]

_LAZY = {
    "Door": "mnemon.agent.server.app",
    "create_app": "mnemon.agent.server.app",
    "serve": "mnemon.agent.server.running",
    "serve_many": "mnemon.agent.server.workers",
    "serving": "mnemon.agent.server.running",
}
_OURS_TO_ASK_FOR = ("fastapi", "uvicorn", "prometheus_client", "starlette")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as e:
        if e.name in _OURS_TO_ASK_FOR:
            from mnemon.errors import MissingExtra

            raise MissingExtra(e.name, "server", "The server") from e
        raise
