"""One process holds the steered model, others ask it over HTTP: the server, and the model that stands for it.

Torch and FastAPI load with the first application; who only asks needs neither.
"""

from typing import TYPE_CHECKING, Any

from mnemon.agent.lazy import from_server_extra as _from_server_extra

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


def __getattr__(name: str) -> Any:
    return _from_server_extra(__name__, name, _LAZY, what="The model server")
