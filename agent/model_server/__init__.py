"""One process holds the steered model, others ask it over HTTP: the server, and the model that stands for it.

Torch and FastAPI load with the first application; who only asks needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnemon.agent.model_server.app import create_model_app
    from mnemon.agent.model_server.client import ServedChatModel
    from mnemon.agent.model_server.keys import read_key
    from mnemon.agent.model_server.steering_data import as_data, from_data

__all__ = ["ServedChatModel", "as_data", "create_model_app", "from_data", "read_key"]

_LAZY = {
    "ServedChatModel": "mnemon.agent.model_server.client",
    "as_data": "mnemon.agent.model_server.steering_data",
    "create_model_app": "mnemon.agent.model_server.app",
    "from_data": "mnemon.agent.model_server.steering_data",
    "read_key": "mnemon.agent.model_server.keys",
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

            raise MissingExtra(e.name, "server", "The model server") from e
        raise
