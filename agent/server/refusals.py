"""What a client is told when something cannot be done, in the form that OpenAI's clients read.

    {"error": {"message": ..., "type": ..., "code": ..., "param": ..., "hint": ...}}

One table says which status each error of mnemon is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from mnemon.agent.server.wire import Json
from mnemon.errors import (
    DataError,
    EndpointError,
    MissingExtra,
    MnemonError,
    ModelError,
    StoreError,
    UsageError,
)


class Kind(NamedTuple):
    status: int
    type: str
    code: str


ERRORS: Mapping[type[MnemonError], Kind] = {
    UsageError: Kind(400, "invalid_request_error", "unusable"),
    DataError: Kind(422, "invalid_request_error", "bad_data"),
    ModelError: Kind(503, "server_error", "model_unavailable"),
    StoreError: Kind(503, "server_error", "store_unavailable"),
    MissingExtra: Kind(501, "server_error", "not_installed"),
    EndpointError: Kind(502, "server_error", "endpoint_failed"),
    MnemonError: Kind(500, "server_error", "defect"),
}

_CODES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "bad_request"),
    401: ("authentication_error", "token_required"),
    403: ("permission_error", "not_yours"),
    404: ("invalid_request_error", "not_found"),
    405: ("invalid_request_error", "method_not_allowed"),
    408: ("invalid_request_error", "too_slow"),
    413: ("invalid_request_error", "too_large"),
    429: ("rate_limit_error", "busy"),
    503: ("server_error", "stopping"),
    504: ("server_error", "took_too_long"),
}


_FIELD = re.compile(r"[a-z_]+|\d+")


class Refusal(HTTPException):
    """A request that is turned away. `hint` is the next step, `headers` go with the answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers=dict(headers or {}))
        self.hint, self.code, self.param = hint, code, param


class ErrorDetail(BaseModel):
    message: str
    type: str
    code: str
    param: str | None = None
    hint: str | None = None


class ErrorBody(BaseModel):
    """Every answer that is no success."""

    error: ErrorDetail


def body_of(error: Exception) -> tuple[int, dict[str, Any]]:
    """The status and the body that tell of an error. Nothing of a defect's inside is shown."""
    if isinstance(error, MnemonError):
        kind = next(ERRORS[each] for each in type(error).__mro__ if each in ERRORS)
        return kind.status, _body(error.message, kind.type, kind.code, hint=error.hint)
    if isinstance(error, HTTPException):
        type_, code = _CODES.get(error.status_code, ("invalid_request_error", "refused"))
        if isinstance(error, Refusal):
            shown = _body(error.detail, type_, error.code or code, param=error.param, hint=error.hint)
            return error.status_code, shown
        hint = "GET /openapi.json lists the routes." if error.status_code in (404, 405) else None
        return error.status_code, _body(str(error.detail), type_, code, hint=hint)
    return 500, _body(
        f"An unexpected {type(error).__name__}.",
        "server_error",
        "defect",
        hint="This is a defect of mnemon; the server's log shows where it happened.",
    )


def _body(
    message: str, type_: str, code: str, *, param: str | None = None, hint: str | None = None
) -> dict[str, Any]:
    shown = f"{message} {hint}" if hint else message  # clients show the message and nothing else
    return {"error": {"message": shown, "type": type_, "code": code, "param": param, "hint": hint}}


def answer_errors(app: FastAPI) -> None:
    """Every error that leaves a route becomes such a body."""

    async def tell(_: Request, error: Exception) -> Json:
        status, body = body_of(error)
        headers = error.headers if isinstance(error, HTTPException) else None
        return Json(body, status=status, headers=headers)

    async def explain(_: Request, error: Exception) -> Json:
        assert isinstance(error, RequestValidationError)
        place, why = _first(error.errors())
        message = f"{place}: {why}" if place else why
        return Json(_body(message, "invalid_request_error", "invalid", param=place or None), status=400)

    app.add_exception_handler(RequestValidationError, explain)
    app.add_exception_handler(HTTPException, tell)
    app.add_exception_handler(MnemonError, tell)
    app.add_exception_handler(Exception, tell)


def _first(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Where the first thing wrong with a request is, and what; of a value of several forms, why none fits."""
    first, place = errors[0], _place(errors[0])
    if first["type"] == "json_invalid":
        return "", f"The body is not JSON: {first.get('ctx', {}).get('error', 'it cannot be read')}"
    if not place and first["type"] in ("model_attributes_type", "missing"):
        return "", "The body is not a JSON object sent with Content-Type: application/json."
    reasons = dict.fromkeys(str(error["msg"]) for error in errors if _place(error).startswith(place))
    return place, "; or: ".join(reasons)


def _place(error: Mapping[str, Any]) -> str:
    """The fields' names and numbers; pydantic adds the names of types where there are several."""
    parts = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "str")]
    return ".".join(part for part in parts if _FIELD.fullmatch(part))
