"""OpenAI's stream of a reply, read from a connection: server-sent events, their pieces, ends and counts.

Knows HTTP. What a refusal means is its caller's business.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mnemon.agent.seams import Finish, Usage
from mnemon.errors import EndpointError, MnemonError

if TYPE_CHECKING:
    import httpx

JsonObject = dict[str, Any]
# What an answer that is no success means, from its status and body; of an event within a stream, 200.
Refused = Callable[[int, str], MnemonError]


def read_events(
    client: "httpx.Client", url: str, body: Mapping[str, Any], *, refused: Refused
) -> Generator[JsonObject, None, None]:
    """The events of one reply. Closing the iterator closes the connection, so that the server may stop."""
    with reaching(url, client), client.stream("POST", url, json=body) as response:
        if response.status_code != 200:
            raise refused(response.status_code, response.read().decode("utf-8", "replace"))
        for line in response.iter_lines():
            if not line.startswith("data:"):
                continue  # comments and blank lines keep the connection alive
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield _event(url, data, refused)


def _event(url: str, data: str, refused: Refused) -> JsonObject:
    try:
        event = json.loads(data)
    except ValueError as e:
        raise EndpointError(f"{url!r} sent what is not JSON: {data[:80]!r}.") from e
    if not isinstance(event, dict):
        raise EndpointError(f"{url!r} sent {data[:80]!r}; an object was expected.")
    if "error" in event:
        raise refused(200, data)
    return event


@contextmanager
def reaching(url: str, client: "httpx.Client") -> Iterator[None]:
    """What a connection's failures are called here."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as e:
        raise EndpointError(
            f"{url!r} did not answer within {client.timeout.read or 0:g} s.",
            hint="Give a longer timeout, or see whether the server is busy.",
        ) from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise EndpointError(
            f"{url!r} cannot be reached: {e}", hint="Is the server running, and the address right?"
        ) from e


def choice_of(url: str, event: JsonObject) -> tuple[str, Finish | None]:
    """The piece that an event brings, and how the reply ended if it did."""
    choices = event.get("choices") or []
    if not choices:
        return "", None  # the event that carries the usage
    try:
        piece = choices[0].get("delta", {}).get("content") or ""
        reason = choices[0].get("finish_reason")
    except (AttributeError, TypeError, KeyError) as e:
        raise EndpointError(f"{url!r} sent an event of another shape: {event!r:.120}.") from e
    if not isinstance(piece, str):
        raise EndpointError(f"{url!r} sent content {piece!r:.80}; text was expected.")
    if reason is None:
        return piece, None
    return piece, "length" if reason == "length" else "stop"


def usage_of(event: JsonObject, before: Usage) -> Usage:
    """The counts that an event brings, or those that were known before it."""
    counted = event.get("usage")
    if not isinstance(counted, dict):
        return before
    details = counted.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(counted.get("prompt_tokens") or 0),
        completion_tokens=int(counted.get("completion_tokens") or 0),
        reused_tokens=int(details.get("cached_tokens") or 0),
    )


def cut_off(url: str, text: str) -> EndpointError:
    return EndpointError(
        f"{url!r} ended its reply without saying so, after {len(text)} characters.",
        hint="The connection was cut or the server failed; see its log.",
    )
