"""The model of a model server, as if it were here: the same replies, token for token, and the same errors.

Knows HTTP and the form of a steering, no tensors; torch is not loaded. It tokenizes on this side, by the
server's own tokenizer, so that counting costs no way.
"""

import json
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mnemon.agent.codec import Codec
from mnemon.agent.completions import JsonObject, choice_of, cut_off, reaching, read_events, usage_of
from mnemon.agent.seams import (
    DEFAULT_OPTIONS,
    Ability,
    ChatModel,
    CutShort,
    Finish,
    Message,
    Reply,
    ReplyOptions,
    ReplyStream,
    Usage,
    check_messages,
)
from mnemon.errors import DataError, EndpointError, MnemonError, ModelError, UsageError
from mnemon.profiles import Plan

if TYPE_CHECKING:
    from mnemon.agent.decoding.steering import LogitsProcessor, Steering
    from mnemon.agent.decoding.trace import Trace

SILENCE_SECONDS = 60.0  # the server says every quarter of a minute that it is still there
KIND = "mnemon model-server"  # what one says of itself
# The server's errors under their own names again; any other is the endpoint's failure.
_ERRORS: Mapping[str, type[MnemonError]] = {
    "unusable": UsageError,
    "invalid": UsageError,
    "bad_data": DataError,
    "model_unavailable": ModelError,
}


class ServedChatModel(ChatModel):
    """`ServedChatModel("http://127.0.0.1:6637")`; `key` where the server wants one."""

    def __init__(self, url: str, *, key: str | None = None, timeout: float = SILENCE_SECONDS) -> None:
        import httpx

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(f"url={url!r} is no address.", hint="Give one such as http://127.0.0.1:6637.")
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=None, keepalive_expiry=5.0)  # the server keeps them for 30 s
        self._client = httpx.Client(headers=headers, timeout=timeout, limits=limits)
        self._finalizer = weakref.finalize(self, self._client.close)
        try:
            self._card = self._described()
        except MnemonError:
            self.close()
            raise

    def close(self) -> None:
        """Give the connections back; the end of the object does it too."""
        self._finalizer()

    @property
    def name(self) -> str:
        return str(self._card["id"])

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset({"seed", "json_schema", "usage", "log_likelihood", "steering"})

    @property
    def engine(self) -> str:
        """What computes it, over there."""
        return str(self._card["mnemon"]["engine"])

    @property
    def context_length(self) -> int:
        return int(self._card["mnemon"]["context_length"])

    @property
    def parameters(self) -> int | None:
        """About how many weights it has; None where only its logits are known."""
        count = self._card["mnemon"]["parameters"]
        return None if count is None else int(count)

    @cached_property
    def codec(self) -> Codec:
        """The server's tokenizer and chat template, fetched once."""
        files = self._ask("GET", "/v1/mnemon/codec")["files"]
        with TemporaryDirectory(prefix="mnemon-codec-") as folder:
            for name, text in files.items():
                (Path(folder) / Path(name).name).write_text(text, encoding="utf-8")
            return Codec(Path(folder))

    def count_tokens(self, text: str | Sequence[Message]) -> int:
        """Tokens of a text, or of a conversation as the model will read it."""
        if isinstance(text, str):
            return len(self.codec.encode(text))
        return len(self.codec.prompt_ids(check_messages(text)))

    def steering_for(self, plan: Plan, *, asked: str = "") -> "Steering":
        """A persona's plan as a steering of the answer to `asked`; `persona.compile(model)` asks for it."""
        from mnemon.agent.persona import steering_for

        return steering_for(plan, end_ids=self.codec.end_ids, asked=asked)

    def stream(self, messages: Sequence[Message], options: ReplyOptions = DEFAULT_OPTIONS) -> ReplyStream:
        return self.steer(messages, None, options=options)

    def steer(
        self,
        messages: Sequence[Message],
        steering: "Steering | None",
        *,
        options: ReplyOptions = DEFAULT_OPTIONS,
        processors: "Sequence[LogitsProcessor]" = (),
    ) -> ReplyStream:
        """A reply under a steering; its `reply` is a `SteeredReply` with the trace."""
        if processors:
            raise UsageError(
                "Processors are functions of this process; a model server cannot run them.",
                hint="Say it as a reward, or open the model here: LocalChatModel.open().",
            )
        return ReplyStream(self._read(self._body(check_messages(messages), steering, options)))

    def log_likelihood(self, messages: Sequence[Message], continuations: Sequence[str]) -> list[float]:
        """log p of each continuation as the reply, in nats, summed over its tokens."""
        body = {"messages": check_messages(messages), "continuations": list(continuations)}
        found: list[float] = self._ask("POST", "/v1/mnemon/likelihoods", body)["likelihoods"]
        return found

    # --- inside

    def _body(
        self, messages: list[dict[str, str]], steering: "Steering | None", options: ReplyOptions
    ) -> JsonObject:
        ours: JsonObject = {}
        if steering is not None:
            from mnemon.agent.model_server.steering_data import as_data

            ours = {"steering": as_data(steering), "trace": True}
        body: JsonObject = {
            "model": self.name,
            "messages": messages,
            "stream": True,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "mnemon": ours,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if options.stop:
            body["stop"] = list(options.stop)
        if options.json_schema is not None:
            schema = {"name": "reply", "schema": dict(options.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _read(self, body: JsonObject) -> Generator[str, None, Reply]:
        from mnemon.agent.decoding.trace import SteeredReply

        text: list[str] = []
        finish: Finish | None = None
        usage, traces = Usage(), _Traces(self.url)
        with closing(self._events(body)) as events:
            for event in events:
                ours = event.get("mnemon") or {}
                usage = usage_of(ours, usage)
                traces.take(ours)
                piece, ended = choice_of(self.url, event)
                finish = ended or finish
                if not piece:
                    continue
                text.append(piece)
                try:
                    yield piece
                except CutShort:
                    finish = "length"
                    break
        if finish is None:
            raise cut_off(self.url, "".join(text))
        return SteeredReply(text="".join(text), finish=finish, usage=usage, trace=traces.whole)

    def _events(self, body: JsonObject) -> Generator[JsonObject, None, None]:
        url = f"{self.url}/v1/chat/completions"
        yield from read_events(self._client, url, _sendable(body), refused=self._refused)

    def _described(self) -> JsonObject:
        cards = self._ask("GET", "/v1/models").get("data")
        card = cards[0] if isinstance(cards, list) and cards else {}
        if not isinstance(card, dict) or (card.get("mnemon") or {}).get("kind") != KIND:
            raise EndpointError(
                f"{self.url!r} is no model server of mnemon.",
                hint="Name another endpoint's model as MODEL@URL.",
            )
        return card

    def _ask(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        url = f"{self.url}{path}"
        with reaching(url, self._client):
            # One answer and no sign of life before it: it may take as long as a reply may.
            timeout = self._client.timeout.read if body is None else 600.0
            sent = None if body is None else _sendable(body)
            response = self._client.request(method, url, json=sent, timeout=timeout)
        if response.status_code != 200:
            raise self._refused(response.status_code, response.text)
        try:
            told = response.json()
        except ValueError as e:
            raise EndpointError(f"{url!r} sent what is not JSON: {response.text[:80]!r}.") from e
        if not isinstance(told, dict):
            raise EndpointError(f"{url!r} sent {response.text[:80]!r}; an object was expected.")
        return told

    def _refused(self, status: int, answer: str) -> MnemonError:
        try:
            error = json.loads(answer)["error"]
            message, hint, code = str(error["message"]), error.get("hint"), error.get("code")
        except (ValueError, LookupError, TypeError, AttributeError):
            return EndpointError(f"{self.url!r} answered {status}: {answer.strip()[:200] or 'nothing'}")
        if hint:  # the message ends with it, for clients that show nothing else
            message = message.removesuffix(f" {hint}")
        if code in _ERRORS:
            return _ERRORS[code](message, hint=hint)
        return EndpointError(f"{self.url!r} answered {status}: {message}", hint=hint)


def _sendable(body: JsonObject) -> JsonObject:
    try:
        json.dumps(body, allow_nan=False)
    except ValueError as e:
        raise UsageError("What is asked for holds a number that is none (NaN or infinite).") from e
    return body


class _Traces:
    """The parts of a trace, as they arrive."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tokens: list[Any] = []
        self._head: JsonObject | None = None

    def take(self, ours: JsonObject) -> None:
        from mnemon.agent.decoding.trace import TokenTrace

        part = ours.get("trace")
        if part is None:
            return
        try:
            self._tokens += [TokenTrace(**token) for token in part["tokens"]]
            self._head = {name: part[name] for name in ("steering", "model", "forwards", "rows")}
        except (TypeError, LookupError) as e:
            raise EndpointError(
                f"{self._url!r} sent a trace of another shape: {part!r:.120}.",
                hint="The server may be of another version; upgrade both.",
            ) from e

    @property
    def whole(self) -> "Trace | None":
        from mnemon.agent.decoding.trace import Trace

        return None if self._head is None else Trace(**self._head, tokens=tuple(self._tokens))
