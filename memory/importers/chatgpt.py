"""ChatGPT's export: `conversations.json` (or `conversations-000.json` and following), alone, in a folder or
in the zip as it was downloaded.

A conversation is a tree of messages: editing a question or asking for another answer begins a branch. What
the person saw last, from the root to `current_node`, is taken.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mnemon.memory.importers.conversation import Conversation, Odd, Options
from mnemon.memory.importers.json_export import conversations

SOURCE = "chatgpt"
_SPOKEN = frozenset({"text", "multimodal_text"})
_REASONS = {
    "user_editable_context": "custom instructions",
    "model_editable_context": "notes of the model to itself",
    "thoughts": "thoughts of the model",
    "reasoning_recap": "thoughts of the model",
    "code": "call of a tool",
    "execution_output": "output of a tool",
    "tether_browsing_display": "output of a tool",
    "tether_quote": "output of a tool",
    "system_error": "error message",
}


def read(path: Path, options: Options) -> Iterator[Conversation]:
    expected = "the zip that ChatGPT sent, or its conversations.json"
    return conversations(path, options, expected=expected, convert=_conversation)


def _conversation(value: object) -> Conversation:
    if not isinstance(value, Mapping):
        raise Odd("it is no object")
    name = value.get("conversation_id") or value.get("id")
    mapping = value.get("mapping")
    if not isinstance(name, str) or not isinstance(mapping, Mapping):
        raise Odd("it lacks an id" if isinstance(mapping, Mapping) else "it lacks a mapping of messages")
    conversation = Conversation(session=f"{SOURCE}:{name[:200]}")
    path = _path(mapping, value.get("current_node"))
    on_path = {key for key, _ in path}
    aside = sum(1 for key, node in mapping.items() if key not in on_path and _says(node))
    if aside:
        conversation.skipped["message on another branch (edited or asked again)"] += aside
    last = _time(value.get("create_time")) or _first_time(mapping)
    title = value.get("title")
    for _, node in path:
        message = node.get("message")
        if not isinstance(message, Mapping):
            continue  # the root
        last = _time(message.get("create_time")) or last
        reason = _reason(message)
        if reason:
            conversation.skipped[reason] += 1
            continue
        if last is None:
            raise Odd("none of its messages has a time")
        meta = {"title": title} if title and isinstance(title, str) and not conversation.messages else None
        role = message["author"]["role"]
        conversation.say(_words(message, conversation), time=last, source=SOURCE, role=role, meta=meta)
    return conversation


def _path(mapping: Mapping[str, Any], current: object) -> list[tuple[str, Mapping[str, Any]]]:
    """The nodes from the root to the current one."""
    if not isinstance(current, str) or current not in mapping:
        nodes = {key: node for key, node in mapping.items() if isinstance(node, Mapping)}
        leaves = [key for key, node in nodes.items() if not node.get("children")]
        current = leaves[-1] if leaves else None
    path: list[tuple[str, Mapping[str, Any]]] = []
    seen: set[str] = set()
    while isinstance(current, str):
        node = mapping.get(current)
        if not isinstance(node, Mapping):
            raise Odd(f"its message {current!r} is not there")
        if current in seen:
            raise Odd(f"its messages go round in a circle at {current!r}")
        seen.add(current)
        path.append((current, node))
        current = node.get("parent")
    return path[::-1]


def _says(node: object) -> bool:
    message = node.get("message") if isinstance(node, Mapping) else None
    return isinstance(message, Mapping) and not _reason(message)


def _reason(message: Mapping[str, Any]) -> str:
    """Why a message is passed over; "" when it is not."""
    author, content = message.get("author"), message.get("content")
    metadata = message.get("metadata")
    if not isinstance(author, Mapping) or not isinstance(content, Mapping):
        return "message without author or content"
    role, kind = author.get("role"), content.get("content_type")
    if kind in _REASONS:
        return _REASONS[kind]
    if role == "tool":
        return "output of a tool"
    if role == "system":
        return "system message"
    if role not in {"user", "assistant"} or kind not in _SPOKEN:
        return f"message of an unknown kind ({str(role)[:40]}, {str(kind)[:40]})"
    if role == "assistant" and message.get("recipient", "all") != "all":
        return "call of a tool"
    if isinstance(metadata, Mapping) and metadata.get("is_visually_hidden_from_conversation"):
        return "message that is not shown"
    return ""


def _words(message: Mapping[str, Any], conversation: Conversation) -> str:
    """The text of a message; voice counts as the words that were heard."""
    words: list[str] = []
    given = message["content"].get("parts")
    for part in given if isinstance(given, list) else []:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            words.append(part["text"])
        else:
            conversation.skipped["picture or file in a message"] += 1
    return "\n".join(word for word in words if word.strip())


def _time(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 2e11:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _first_time(mapping: Mapping[str, Any]) -> datetime | None:
    messages = [node.get("message") for node in mapping.values() if isinstance(node, Mapping)]
    times = [_time(one.get("create_time")) for one in messages if isinstance(one, Mapping)]
    return min((time for time in times if time is not None), default=None)
