"""Claude.ai's export: `conversations.json`, alone, in a folder or in the zip as it was downloaded. A
conversation is a list of messages in order."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mnemon.errors import UsageError
from mnemon.memory.importers.conversation import Conversation, Odd, Options
from mnemon.memory.importers.json_export import conversations
from mnemon.memory.inputs import check_time

SOURCE = "claude"
_ROLES = {"human": "user", "user": "user", "assistant": "assistant"}
_REASONS = {
    "thinking": "thoughts of the model",
    "tool_use": "call of a tool",
    "tool_result": "output of a tool",
    "token_budget": "note of the service",
}


def read(path: Path, options: Options) -> Iterator[Conversation]:
    expected = "the zip that Claude.ai sent, or its conversations.json"
    return conversations(path, options, expected=expected, convert=_conversation)


def _conversation(value: object) -> Conversation:
    if not isinstance(value, Mapping):
        raise Odd("it is no object")
    name, messages = value.get("uuid"), value.get("chat_messages")
    if not isinstance(name, str) or not isinstance(messages, list):
        raise Odd("it lacks a uuid" if isinstance(messages, list) else "it lacks chat_messages")
    conversation = Conversation(session=f"{SOURCE}:{name[:200]}")
    title, last = value.get("name"), _time(value.get("created_at"))
    for message in messages:
        if not isinstance(message, Mapping):
            conversation.skipped["message that is no object"] += 1
            continue
        role = _ROLES.get(str(message.get("sender")))
        if role is None:
            conversation.skipped[f"message of an unknown sender ({str(message.get('sender'))[:40]})"] += 1
            continue
        last = _time(message.get("created_at")) or last
        if last is None:
            raise Odd("it has a message without a time")
        meta = _attached(message, conversation)
        if title and isinstance(title, str) and not conversation.messages:
            meta["title"] = title
        conversation.say(_words(message, conversation), time=last, source=SOURCE, role=role, meta=meta)
    return conversation


def _words(message: Mapping[str, Any], conversation: Conversation) -> str:
    blocks = message.get("content")
    if not isinstance(blocks, list) or not blocks:
        return message["text"] if isinstance(message.get("text"), str) else ""
    words: list[str] = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "text" and isinstance(block.get("text"), str):
            words.append(block["text"])
        else:
            reason = _REASONS.get(str(kind), f"part of an unknown kind ({str(kind)[:40]})")
            conversation.skipped[reason] += 1
    return "\n".join(word for word in words if word.strip())


def _attached(message: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    """The names of what was attached; its content stays where it is."""
    names = [
        str(file.get("file_name") or "a file")[:200]
        for key in ("attachments", "files")
        for file in (message.get(key) or [] if isinstance(message.get(key), list | None) else [])
        if isinstance(file, Mapping)
    ]
    if not names:
        return {}
    conversation.skipped["content of an attachment (its name is kept)"] += len(names)
    return {"attachments": ", ".join(dict.fromkeys(names))[:2_000]}


def _time(text: object) -> datetime | None:
    try:
        return check_time(text) if isinstance(text, str) else None
    except UsageError:
        return None
