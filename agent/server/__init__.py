"""Mnemon over HTTP: any OpenAI client speaks to the assistant, and `/api` opens a person's memory.

FastAPI and uvicorn load with the first application, so that tokens can be managed without them.
"""

from typing import TYPE_CHECKING, Any

from mnemon.agent.lazy import from_server_extra as _from_server_extra
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


def __getattr__(name: str) -> Any:
    return _from_server_extra(__name__, name, _LAZY, what="The server")
