"""The names of a face whose modules need the extra `server`: loaded when they are first asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

_OURS_TO_ASK_FOR = ("fastapi", "uvicorn", "prometheus_client", "starlette")


def from_server_extra(face: str, name: str, homes: Mapping[str, str], *, what: str) -> Any:
    """`name` of the package `face`, from its home. Without the extra: an error that names it."""
    if name not in homes:
        raise AttributeError(f"module {face!r} has no attribute {name!r}")
    try:
        return getattr(import_module(homes[name]), name)
    except ModuleNotFoundError as e:
        if e.name in _OURS_TO_ASK_FOR:
            from mnemon.errors import MissingExtra

            raise MissingExtra(e.name, "server", what) from e
        raise
