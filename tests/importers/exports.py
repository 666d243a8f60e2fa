"""Small exports in the forms that services write, made here."""

import json
import zipfile
from pathlib import Path
from typing import Any

JSON = dict[str, Any]


def chatgpt_message(
    number: int,
    role: str,
    *parts: Any,
    kind: str = "text",
    at: float | None = None,
    parent: str | None = None,
    **more: Any,
) -> JSON:
    """A node of ChatGPT's tree."""
    message = {
        "id": f"m{number}",
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": 1_700_000_000.5 + number if at is None else at,
        "content": {"content_type": kind, "parts": list(parts)},
        "recipient": "all",
        "metadata": {},
        "weight": 1.0,
    } | more
    return {"id": f"m{number}", "message": message, "parent": parent, "children": []}


def chatgpt_conversation(name: str, nodes: list[JSON], *, current: str | None = None) -> JSON:
    """Nodes without a parent follow the one before; the first hangs from the root."""
    mapping: dict[str, JSON] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    before = "root"
    for node in nodes:
        node["parent"] = node["parent"] or before
        mapping[node["parent"]]["children"].append(node["id"])
        mapping[node["id"]] = node
        before = node["id"]
    return {
        "title": f"About {name}",
        "create_time": 1_700_000_000.0,
        "update_time": 1_700_000_100.0,
        "mapping": mapping,
        "current_node": current or before,
        "conversation_id": name,
        "id": name,
    }


def chat(name: str, *texts: str, start: float = 1_700_000_000.0) -> JSON:
    """A plain conversation, the person first."""
    nodes = [
        chatgpt_message(n, "assistant" if n % 2 else "user", text, at=start + n)
        for n, text in enumerate(texts)
    ]
    return chatgpt_conversation(name, nodes)


def claude_message(sender: str, text: str, at: str, **more: Any) -> JSON:
    return {
        "uuid": f"{sender}-{at}",
        "text": text,
        "content": [{"type": "text", "text": text}] if text else [],
        "sender": sender,
        "created_at": at,
        "updated_at": at,
        "attachments": [],
        "files": [],
    } | more


def claude_conversation(name: str, messages: list[JSON]) -> JSON:
    return {
        "uuid": name,
        "name": f"About {name}",
        "created_at": "2024-05-01T10:00:00.000000Z",
        "updated_at": "2024-05-01T11:00:00.000000Z",
        "account": {"uuid": "a"},
        "chat_messages": messages,
    }


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_zip(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
