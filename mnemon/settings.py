"""The settings: one frozen object, each value with where it came from.

Precedence: argument > environment `MNEMON_*` > `mnemon.toml` > default. The file is the first that exists
of `$MNEMON_CONFIG`, `./mnemon.toml` and `mnemon.toml` in the user's configuration directory; no merging.
A key that is not known, or a value that cannot be, is an error and never skipped.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from mnemon.errors import UsageError

DEFAULT_CHAT_MODEL = "smollm2-135m-instruct"
DEFAULT_EMBEDDER = "all-minilm-l6-v2"

# Variables that begin with MNEMON_ and are no setting.
_OTHER_VARIABLES = frozenset(
    {
        "MNEMON_CONFIG",
        "MNEMON_DEBUG",
        "MNEMON_MODEL_KEY",
        "MNEMON_MODEL_KEY_FILE",
        "MNEMON_TEST_HOME",
        "MNEMON_TEST_POSTGRES",
    }
)
_ENGINES = ("auto", "transformers", "llama.cpp")
_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run is made with. Make one with `load_settings`."""

    home: Path
    db: str
    user: str
    model: str
    embedder: str
    device: str
    engine: str
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def models_dir(self) -> Path:
        """Where weights are unpacked, one folder for each model."""
        return self.home / "models"


class Setting(NamedTuple):
    """One key: what it means, how a text becomes a value (ValueError says what is allowed), its default."""

    help: str
    read: Callable[[str], str]
    default: Callable[[Path], str]  # from the home


def load_settings(
    *,
    home: str | Path | None = None,
    db: str | None = None,
    user: str | None = None,
    model: str | None = None,
    embedder: str | None = None,
    device: str | None = None,
    engine: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force. Arguments win over everything; None means "not given"."""
    env = os.environ if environment is None else environment
    given = {
        "home": None if home is None else str(home),
        "db": db,
        "user": user,
        "model": model,
        "embedder": embedder,
        "device": device,
        "engine": engine,
    }
    _refuse_unknown_variables(env)
    config_path = _config_path(env)
    config = _read_config(config_path) if config_path is not None else {}
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for key, setting in SETTINGS.items():  # `home` is first: other defaults are made from it
        variable = f"MNEMON_{key.upper()}"
        raw: object = given[key]
        if raw is not None:
            source = "argument"
        elif variable in env:
            raw, source = env[variable], f"environment {variable}"
        elif key in config:
            raw, source = config[key], str(config_path)
        else:
            raw, source = setting.default(Path(values.get("home", ""))), "default"
        values[key] = _checked(key, raw, setting, source)
        sources[key] = source
    return Settings(
        home=Path(values["home"]),
        db=values["db"],
        user=values["user"],
        model=values["model"],
        embedder=values["embedder"],
        device=values["device"],
        engine=values["engine"],
        sources=sources,
    )


def _config_path(env: Mapping[str, str]) -> Path | None:
    named = env.get("MNEMON_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise UsageError(
                f"MNEMON_CONFIG names {named!r}, which is not a file.",
                hint="Unset MNEMON_CONFIG or let it name a mnemon.toml.",
            )
        return path
    import platformdirs

    for folder in (Path.cwd(), platformdirs.user_config_path("mnemon", appauthor=False)):
        path = folder / "mnemon.toml"
        if path.is_file():
            return path
    return None


def _read_config(path: Path) -> dict[str, object]:
    import tomllib

    try:
        config: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}", hint="Correct it, or remove it.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    for key in config:
        if key not in SETTINGS:
            raise UsageError(f"Unknown setting {key!r} in {path}.", hint=_allowed(key, tuple(SETTINGS)))
    return config


def _refuse_unknown_variables(env: Mapping[str, str]) -> None:
    known = {f"MNEMON_{key.upper()}" for key in SETTINGS} | _OTHER_VARIABLES
    for name in env:
        if name.startswith("MNEMON_") and name not in known:
            raise UsageError(f"Unknown environment variable {name!r}.", hint=_allowed(name, sorted(known)))


def _allowed(given: str, allowed: tuple[str, ...] | list[str]) -> str:
    near = get_close_matches(given, allowed, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + "Allowed: " + ", ".join(allowed) + "."


def _checked(key: str, raw: object, setting: Setting, source: str) -> str:
    if not isinstance(raw, str):
        raise UsageError(
            f"Setting {key!r} is {raw!r} ({source}), which is not a text.", hint="Put it in quotes."
        )
    try:
        return setting.read(raw)
    except ValueError as error:
        raise UsageError(
            f"Setting {key!r} is {raw!r} ({source}), which cannot be.", hint=f"Allowed: {error}."
        ) from None


def _text(raw: str) -> str:
    if not raw.strip() or not raw.isprintable():
        raise ValueError("any printable text that is not empty")
    return raw


def _folder(raw: str) -> str:
    if not raw.strip() or "\0" in raw:
        raise ValueError("a folder")
    path = Path(raw).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError("a folder; this is a file")
    return str(path.absolute())


def _database(raw: str) -> str:
    _text(raw)
    return str(Path(raw).expanduser()) if raw.startswith("~") else raw


def _device(raw: str) -> str:
    if not _DEVICE.fullmatch(raw):
        raise ValueError("auto, cpu, mps, cuda, cuda:N, xpu, xpu:N")
    return raw


def _engine(raw: str) -> str:
    if raw not in _ENGINES:
        raise ValueError(", ".join(_ENGINES))
    return raw


def _default_home(_: Path) -> str:
    import platformdirs

    return str(platformdirs.user_data_path("mnemon", appauthor=False))


SETTINGS: Mapping[str, Setting] = {
    "home": Setting("where weights, databases and logs lie", _folder, _default_home),
    "db": Setting("the memory database: a path or a URL", _database, lambda home: str(home / "memory.db")),
    "user": Setting("whose memory", _text, lambda _: "me"),
    "model": Setting("the language model: a name, a path or an address", _text, lambda _: DEFAULT_CHAT_MODEL),
    "embedder": Setting("the embedding model: a name or a path", _text, lambda _: DEFAULT_EMBEDDER),
    "device": Setting("where models run", _device, lambda _: "auto"),
    "engine": Setting("what runs the language model of the assistant", _engine, lambda _: "auto"),
}
