"""Records as JSON, and a response that can carry any text a memory can hold."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.responses import Response


def plain(value: object) -> Any:
    """What JSON can hold: dataclasses and tuples with names become objects, times ISO 8601, NaN null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):  # a NamedTuple
        return plain(value._asdict())
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    as_number = getattr(value, "item", None)  # numpy's scalars, in what retrieval says of a hit
    if as_number is not None:
        return plain(as_number())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def written(value: object) -> bytes:
    """JSON in UTF-8; a lone surrogate, which UTF-8 has no bytes for, is escaped."""
    shown = plain(value)
    try:
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(shown, ensure_ascii=True, separators=(",", ":")).encode("ascii")


class Json(Response):
    """A response of `plain` JSON."""

    media_type = "application/json"

    def __init__(self, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(written(value), status_code=status, headers=dict(headers or {}))
