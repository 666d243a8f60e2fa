"""Text to tokens and back: chat templates, token counts, and decoding piece by piece.

Reads tokenizer.json and the chat template directly; transformers' tokenizer classes would take longer to
import than the default model takes to answer. Knows no tensors.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from mnemon.errors import ModelError, UsageError

# Used when a model ships none, so that base models can be talked to as well.
_PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


class Codec:
    """Tokenizer and chat template of one model folder."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        if not file.is_file():
            raise ModelError(
                f"{str(folder)!r} has no tokenizer.json.",
                hint="Save the model's fast tokenizer there (tokenizer.save_pretrained in transformers).",
            )
        self.tokenizer = Tokenizer.from_file(str(file))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.file = file
        config = _read_json(folder / "tokenizer_config.json")
        generation = _read_json(folder / "generation_config.json") or _read_json(folder / "config.json")
        self._special = {
            name: _token_text(config.get(name)) for name in ("bos_token", "eos_token", "pad_token")
        }
        self._template = _template_source(folder, config)
        self._render: Any = None
        self._texts: dict[int, str] = {}
        self._anchor = self.encode("a")
        self.end_ids = self._find_ends(generation.get("eos_token_id"), self._special["eos_token"])
        self.pad_id = self._first_id(generation.get("pad_token_id"), self._special["pad_token"])

    def has_tokens_of(self, other: "Codec") -> bool:
        """Whether every token has the same number in both; their merges may differ."""
        return other is self or self.tokenizer.get_vocab() == other.tokenizer.get_vocab()

    def _find_ends(self, configured: int | list[int] | None, eos: str | None) -> frozenset[int]:
        ends = {configured} if isinstance(configured, int) else set(configured or ())
        for text in (eos, "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "</s>"):
            found = self.tokenizer.token_to_id(text) if text else None
            if found is not None:
                ends.add(found)
        return frozenset(ends)

    def _first_id(self, configured: int | None, text: str | None) -> int:
        if isinstance(configured, int):
            return configured
        found = self.tokenizer.token_to_id(text) if text else None
        return found if found is not None else 0

    @property
    def vocabulary(self) -> int:
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of a text. `special` adds what the tokenizer puts around a whole document."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=special).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def token_text(self, token: int) -> str:
        """What a token adds to a text, its leading space included; parts of a character show as �."""
        if token not in self._texts:
            # Some decoders drop the space of the first token, so the token is read behind another.
            before = self.tokenizer.decode(self._anchor, skip_special_tokens=False)
            after = self.tokenizer.decode([*self._anchor, token], skip_special_tokens=False)
            self._texts[token] = str(after[len(before) :])
        return self._texts[token]

    def prompt_ids(self, messages: Sequence[dict[str, str]], *, reply_start: str = "") -> list[int]:
        """The conversation up to where the assistant's reply starts, as the model's template writes it."""
        if messages and messages[-1]["role"] == "assistant" and not reply_start:
            raise UsageError(
                "The last message is the assistant's, so there is nothing to answer.",
                hint="End with a user message; to continue a text, give it as reply_start.",
            )
        text = self._renderer().render(self._variables(messages)) + reply_start
        # A chat template writes its own special tokens; a base model's text starts as its tokenizer says.
        return self.encode(text, special=self._template == _PLAIN_TEMPLATE)

    def _variables(self, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
        special = {name: text or "" for name, text in self._special.items()}
        return {"messages": messages, "add_generation_prompt": True, "tools": None, **special}

    def _renderer(self) -> Any:
        if self._render is None:
            from jinja2 import TemplateSyntaxError
            from jinja2.sandbox import ImmutableSandboxedEnvironment

            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            environment.globals["raise_exception"] = _refuse
            environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
            environment.filters["tojson"] = lambda value, indent=None: json.dumps(
                value, ensure_ascii=False, indent=indent
            )
            try:
                self._render = environment.from_string(self._template)
            except TemplateSyntaxError as e:
                raise ModelError(
                    f"The chat template of {str(self.file.parent)!r} cannot be read: {e}."
                ) from e
        return self._render

    def pieces(self) -> "PieceDecoder":
        return PieceDecoder(self)


class PieceDecoder:
    """Decodes a growing list of tokens; pieces joined equal the whole decoded at once.

    A piece is held back while its last character is incomplete: one character may be several tokens.
    Only a short window is decoded again at each step, so long replies stay linear.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._ids: list[int] = []
        self._start = 0  # of the window: decoding may depend on the token before (leading spaces)
        self._read = 0

    def push(self, token: int) -> str:
        self._ids.append(token)
        before = self._codec.decode(self._ids[self._start : self._read])
        whole = self._codec.decode(self._ids[self._start :])
        if len(whole) <= len(before) or whole.endswith("\ufffd"):
            return ""
        self._start, self._read = self._read, len(self._ids)
        return whole[len(before) :]

    def flush(self) -> str:
        """What is still held back, broken characters included."""
        before = self._codec.decode(self._ids[self._start : self._read])
        whole = self._codec.decode(self._ids[self._start :])
        self._start = self._read = len(self._ids)
        return whole[len(before) :]


class StopStrings:
    """Ends a stream of text before the first of some strings, holding back what may be the start of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def push(self, piece: str) -> str:
        if not self._stops:
            return piece
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.hit, self._held = True, ""
            return text[: min(places)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that starts `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ModelError(f"{str(file)!r} is not JSON: {e}.", hint="Fetch the model again.") from e
    return content if isinstance(content, dict) else {}


def _token_text(entry: str | dict[str, Any] | None) -> str | None:
    return entry.get("content") if isinstance(entry, dict) else entry


def _template_source(folder: Path, config: dict[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several named templates: the one called default
        template = next((t["template"] for t in template if t.get("name") == "default"), None)
    return template or _PLAIN_TEMPLATE


def _refuse(message: str) -> NoReturn:
    raise UsageError(f"The model's chat template refuses these messages: {message}")
