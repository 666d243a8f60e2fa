"""The key that a model server and those who ask it share: in MNEMON_MODEL_KEY, or in a file."""

import hmac
import os
from pathlib import Path

from mnemon.errors import UsageError

VARIABLE = "MNEMON_MODEL_KEY"
FILE_VARIABLE = "MNEMON_MODEL_KEY_FILE"
SHORTEST = 16  # characters; nobody types it, so nothing is gained by a short one


def read_key(file: str | Path | None = None) -> str | None:
    """The first line of a file, the variable, or the file that the other variable names; else None."""
    place = VARIABLE if file is None else str(file)
    key = os.environ.get(VARIABLE) if file is None else _first_line(place)
    if key is None and FILE_VARIABLE in os.environ:
        place = os.environ[FILE_VARIABLE]
        key = _first_line(place)
    if key is None:
        return None
    key = key.strip()
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable():
        raise UsageError(
            f"The key in {place} has {len(key)} characters; {SHORTEST} or more of plain ASCII are needed.",
            hint="Make one: openssl rand -hex 32",
        )
    return key


def _first_line(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"The key file {file!r} cannot be read: {e}.") from e


def is_key(given: str, key: str) -> bool:
    """Whether it is the key; takes as long for one that begins rightly as for any other."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), key.encode("utf-8"))
