"""Personas in files, TOML for people and JSON for programs, and the published JSON schema of both.

The schema is derived from the dataclasses; reading goes through it, so what it refuses is refused here too.
"""

import dataclasses
import json
import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.errors import DataError, MnemonError, UsageError
from mnemon.profiles.persona import Leaning, Persona

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_FIELDS = frozenset(field.name for field in dataclasses.fields(Persona))
_LEANING_FIELDS = frozenset(field.name for field in dataclasses.fields(Leaning))
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


def persona_schema() -> dict[str, Any]:
    """The JSON schema of a persona file."""
    schema: dict[str, Any] = {"$schema": SCHEMA_ID, **_adapter().json_schema()}
    for part in (schema, schema["$defs"]["Leaning"]):
        part["additionalProperties"] = False
    properties = schema["$defs"]["Leaning"]["properties"]
    properties["weight"] |= {"minimum": -1, "maximum": 1}
    properties["confidence"] |= {"minimum": 0, "maximum": 1}
    return schema


def to_dict(persona: Persona) -> dict[str, Any]:
    """Only what differs from the defaults, times as ISO 8601."""
    return {
        "name": persona.name,
        **({"note": persona.note} if persona.note else {}),
        **({"parents": list(persona.parents)} if persona.parents else {}),
        "leanings": [leaning_dict(one) for one in persona.leanings],
    }


def from_dict(data: object, place: str = "the persona") -> Persona:
    """A persona out of plain data; DataError names what is wrong with it."""
    from pydantic import ValidationError

    _refuse_unknown(data, place)
    try:
        return _adapter().validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        wrong = "is missing" if first["type"] == "missing" else f"is {first['input']!r}: {first['msg']}"
        raise DataError(
            f"{place}: {where} {wrong}.",
            hint="`mnemon persona schema` prints what a persona looks like.",
        ) from error
    except MnemonError as error:
        raise DataError(f"{place}: {error.message}") from error


def load(path: Path) -> Persona:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The persona in {str(path)!r} cannot be read: {error}.") from error
    try:
        data = json.loads(text) if _is_json(path) else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} is no {'JSON' if _is_json(path) else 'TOML'}: {error}.") from error
    return from_dict(data, str(path))


def save(persona: Persona, path: Path) -> Path:
    data = to_dict(persona)
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n" if _is_json(path) else to_toml(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lone surrogate in a quote cannot be written as UTF-8; its place is kept.
    path.write_bytes(text.encode("utf-8", errors="replace"))
    return path


def to_toml(data: dict[str, Any]) -> str:
    """The one shape that personas have: a few texts, one list, and a table for each leaning."""
    lines = [f"{key} = {_value(value)}" for key, value in data.items() if key != "leanings"]
    for one in data["leanings"]:
        lines += ["", "[[leanings]]", *(f"{key} = {_value(value)}" for key, value in one.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    # JSON's strings, numbers and lists are TOML's too, but for the one control character that JSON lets pass.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_json(path: Path) -> bool:
    if path.suffix not in (".toml", ".json"):
        raise UsageError(f"A persona's file is {path.name!r}, expected one that ends in .toml or .json.")
    return path.suffix == ".json"


def leaning_dict(one: Leaning) -> dict[str, Any]:
    found: dict[str, Any] = {"trait": one.trait, "weight": one.weight}
    for field in dataclasses.fields(Leaning):
        value = getattr(one, field.name)
        if field.name in found or value == field.default:
            continue
        found[field.name] = value.isoformat() if isinstance(value, datetime) else value
        if isinstance(value, tuple):
            found[field.name] = list(value)
    return found


def leaning_from(data: dict[str, Any]) -> Leaning:
    """A leaning that `leaning_dict` wrote."""
    since = data.get("since")
    evidence = tuple(data.get("evidence", ()))
    read: dict[str, Any] = {**data, "evidence": evidence}
    read["since"] = None if since is None else datetime.fromisoformat(since)
    return Leaning(**read)


def _refuse_unknown(data: object, place: str) -> None:
    """Keys that mean nothing are mistakes, and pydantic passes over them in dataclasses."""
    if not isinstance(data, dict):
        raise DataError(f"{place} is {type(data).__name__}, expected a table.")
    listed = data.get("leanings", ())
    inner = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list | tuple) else []
    for found, known in ((data, _FIELDS), *((one, _LEANING_FIELDS) for one in inner)):
        strange = sorted(str(key) for key in set(found) - known)
        if strange:
            raise DataError(
                f"{place} has the key {strange[0]!r}, which means nothing.",
                hint=f"Known are {', '.join(sorted(known))}.",
            )


@cache
def _adapter() -> "TypeAdapter[Persona]":
    from pydantic import TypeAdapter

    return TypeAdapter(Persona)
