"""A chat model by what a setting says: weights here, a model server of ours, any other endpoint."""

import re
from pathlib import Path
from typing import Any

from mnemon.agent.endpoint import EndpointChatModel
from mnemon.agent.model_server.client import KIND, ServedChatModel
from mnemon.agent.model_server.keys import read_key
from mnemon.agent.seams import ChatModel
from mnemon.errors import EndpointError, UsageError

_ENDPOINT = re.compile(r"(.+?)@(vllm\+)?(https?://.*)")


def open_model(
    model: str | Path = "default", *, device: str = "auto", engine: str = "auto", key: str | None = None
) -> ChatModel:
    """Weights by name or path; `http://host:port` of a model server, or of an endpoint that has one model;
    `NAME@http://host:port/v1` of any endpoint, `NAME@vllm+http://...` of a vLLM with our plug-in. `key` None:
    the one in MNEMON_MODEL_KEY, if there is one."""
    named = _ENDPOINT.fullmatch(str(model))
    if named:
        name, plugin, url = named.groups()
        return EndpointChatModel(url, name, key=key or read_key(), takes_rules=bool(plugin))
    if is_address(model):
        return _at(str(model), key or read_key())
    from mnemon.agent.local import LocalChatModel

    return LocalChatModel.open(model, device=device, engine=engine)


def is_address(model: str | Path) -> bool:
    """Whether a setting names what answers over HTTP, so that no weights are needed here."""
    return bool(_ENDPOINT.fullmatch(str(model))) or str(model).startswith(("http://", "https://"))


def _at(url: str, key: str | None) -> ChatModel:
    """Whatever answers there: its /health says whether it is ours, /models what it has."""
    base = url.rstrip("/").removesuffix("/v1")
    if _asked(f"{base}/health", key).get("kind") == KIND:
        return ServedChatModel(base, key=key)
    data = _asked(f"{base}/v1/models", key).get("data")
    names = [str(one["id"]) for one in data if isinstance(one, dict) and one.get("id")] if data else []
    if len(names) == 1:
        return EndpointChatModel(f"{base}/v1", names[0], key=key)
    raise UsageError(
        f"{url!r} has {len(names)} models{': ' + ', '.join(names[:8]) if names else ''}.",
        hint=f"Name the one that is meant: NAME@{base}/v1",
    )


def _asked(url: str, key: str | None) -> dict[str, Any]:
    """What a page says; nothing where it does not exist or is no JSON object."""
    import httpx

    try:
        answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=10.0)
        told = answer.json() if answer.status_code == 200 else None
    except httpx.HTTPError as e:
        raise EndpointError(
            f"{url!r} cannot be reached: {e}", hint="Is the server running, and the address right?"
        ) from e
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
