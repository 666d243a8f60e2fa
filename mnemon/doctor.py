"""Whether this machine has what mnemon needs, one check a row, each failing one with what to do.

Knows no person and reads no memory: it looks whether a database could be written, not what is in it.
"""

import importlib.metadata
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mnemon.errors import MissingExtra, MnemonError, ModelError, StoreError, UsageError
from mnemon.models import SHIPPED, is_pulled
from mnemon.settings import Settings

State = Literal["ok", "note", "fail"]
_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_LOW_DISK_BYTES = 500_000_000

# extra -> the distributions it brings that are looked for
EXTRAS = {
    "chroma": ("chromadb",),
    "evals": ("matplotlib", "nltk", "rouge-score", "sacrebleu"),
    "openai": ("openai",),
    "lora": ("peft",),
    "server": ("fastapi", "uvicorn", "prometheus-client"),
    "mcp": ("mcp",),
    "postgres": ("psycopg", "pgvector"),
    "llamacpp": ("llama-cpp-python",),
    "mem0": ("mem0ai",),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row. `note` is worth knowing and no failure; `todo` says what to do about it."""

    name: str
    state: State
    found: str
    todo: str = ""
    exit_code: int = 0  # of the command line, when this is the first row that fails


def examine(settings: Settings) -> list[Check]:
    """All checks, in the order in which their failures should be mended."""
    looks: list[Callable[[], list[Check]]] = [
        _python,
        lambda: _torch(settings.device),
        _weights,
        lambda: _engine(settings),
        lambda: _store(settings),
        _sqlite,
        lambda: _disk(settings.home),
        _extras,
    ]
    return [check for look in looks for check in look()]


def _python() -> list[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST_PYTHON:
        todo = "Install Python 3.11 or newer and make a new environment with it."
        return [Check(name="Python", state="fail", found=version, todo=todo, exit_code=UsageError.exit_code)]
    return [Check(name="Python", state="ok", found=f"{version} ({sys.executable})")]


def _torch(device: str) -> list[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        todo = "Install it again: pip install --force-reinstall torch"
        found = f"cannot be imported: {error}"
        return [Check(name="torch", state="fail", found=found, todo=todo, exit_code=ModelError.exit_code)]
    checks = [
        Check(name="torch", state="ok", found=f"{torch.__version__}, {torch.get_num_threads()} threads")
    ]
    present = ["cpu"] + [kind for kind in ("cuda", "mps", "xpu") if getattr(torch, kind).is_available()]
    kind, _, number = device.partition(":")
    absent = device != "auto" and kind not in present
    absent = absent or (bool(number) and int(number) >= getattr(torch, kind).device_count())
    if absent:
        todo = f"Set the device to auto or one of: {', '.join(present)} (now from the setting `device`)."
        found = f"{device!r} is not on this machine"
        checks.append(
            Check(name="device", state="fail", found=found, todo=todo, exit_code=ModelError.exit_code)
        )
    else:
        checks.append(Check(name="device", state="ok", found=f"{device} (there are: {', '.join(present)})"))
    checks.append(_bfloat16(present))
    return checks


def _bfloat16(present: list[str]) -> Check:
    import torch

    if "cuda" in present:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif len(present) > 1:
        native = True
    else:
        native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if native:
        return Check(name="bfloat16", state="ok", found="fast on this machine")
    return Check(
        name="bfloat16",
        state="note",
        found="slow on this processor",
        todo="Models run, some of them in float32.",
    )


def _weights() -> list[Check]:
    checks = []
    for name in SHIPPED:
        if is_pulled(name):
            checks.append(Check(name=f"weights {name}", state="ok", found="on this disk"))
            continue
        todo = f"Run: mnemon models pull {name}"
        checks.append(
            Check(
                name=f"weights {name}",
                state="fail",
                found="not on this disk, or damaged",
                todo=todo,
                exit_code=ModelError.exit_code,
            )
        )
    return checks


def _engine(settings: Settings) -> list[Check]:
    """What will run the language model, or whether it answers where it is served."""
    if "://" in settings.model:
        return [_served(settings)]
    if settings.engine == "llama.cpp" and not _installed("llama-cpp-python"):
        missing = MissingExtra("llama_cpp", "llamacpp", "The llama.cpp engine")
        todo = missing.hint or ""
        found = "llama.cpp is asked for and not installed"
        return [Check(name="engine", state="fail", found=found, todo=todo, exit_code=missing.exit_code)]
    from mnemon.agent import LocalChatModel

    try:
        engine = LocalChatModel.engine_for(settings.model, device=settings.device, engine=settings.engine)
    except MnemonError as error:  # no weights, no such device: rows above say what to do
        return [Check(name="engine", state="note", found=f"not known: {error.message}")]
    return [Check(name="engine", state="ok", found=f"{engine} (setting `engine`: {settings.engine})")]


def _served(settings: Settings) -> Check:
    from mnemon.agent import open_model

    try:
        found = open_model(settings.model).name
    except MnemonError as error:
        todo, code = error.hint or "", error.exit_code
        return Check(name="model", state="fail", found=error.message, todo=todo, exit_code=code)
    return Check(name="model", state="ok", found=f"{found}, at {settings.model}")


def _store(settings: Settings) -> list[Check]:
    if "://" in settings.db and not settings.db.startswith("sqlite:"):
        return [
            Check(name="store", state="note", found=f"{settings.db.partition('://')[0]}: not looked at here")
        ]
    address = settings.db.removeprefix("sqlite://").removeprefix("/" if "://" in settings.db else "")
    path = Path(address)
    if address in {"", ":memory:"}:
        return [Check(name="store", state="note", found="in memory only: nothing is kept")]
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(13, "Permission denied", str(path))
    except OSError as error:
        todo = "Let MNEMON_DB name a file that you can write, or change the folder's rights."
        found = f"{path} cannot be written: {error.strerror}"
        return [Check(name="store", state="fail", found=found, todo=todo, exit_code=StoreError.exit_code)]
    size = f", {path.stat().st_size / 1e6:.1f} MB" if path.exists() else ", not made yet"
    return [Check(name="store", state="ok", found=f"{path}{size}")]


def _sqlite() -> list[Check]:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        todo = "Use a Python that was built with a newer SQLite."
        found = f"{sqlite3.sqlite_version}, too old"
        return [Check(name="SQLite", state="fail", found=found, todo=todo, exit_code=StoreError.exit_code)]
    return [Check(name="SQLite", state="ok", found=sqlite3.sqlite_version)]


def _disk(home: Path) -> list[Check]:
    folder = home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free at {home}"
    if free < _LOW_DISK_BYTES:
        todo = "Make room, or let MNEMON_HOME name a folder on another disk."
        return [Check(name="disk", state="fail", found=found, todo=todo, exit_code=StoreError.exit_code)]
    return [Check(name="disk", state="ok", found=found)]


def _extras() -> list[Check]:
    checks = []
    for extra, distributions in EXTRAS.items():
        missing = [name for name in distributions if not _installed(name)]
        if missing:
            found = f"without {', '.join(missing)}"
            todo = f"If you want it: pip install 'mnemon[{extra}]'"
            checks.append(Check(name=f"extra {extra}", state="note", found=found, todo=todo))
        else:
            checks.append(Check(name=f"extra {extra}", state="ok", found="installed"))
    return checks


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
