"""Shared personas in a folder, one TOML or JSON file each, named by the file. Holds nobody's words."""

import re
from pathlib import Path

from mnemon.errors import UsageError
from mnemon.profiles.persona import Persona
from mnemon.settings import load_settings

EVERYBODY = "everybody"  # the shared persona that holds where nothing nearer does
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}\Z")


class Library:
    """The shared personas of one folder; `usual` is `<home>/personas`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def usual(cls) -> "Library":
        """The one of the settings in force."""
        return cls(load_settings().home / "personas")

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._files())

    def all(self) -> dict[str, Persona]:
        return {path.stem: Persona.load(path) for path in self._files()}

    def get(self, name: str) -> Persona:
        found = next((path for path in self._files() if path.stem == name), None)
        if found is None:
            raise UsageError(
                f"There is no shared persona {name!r}, there are {self.names()}.",
                hint=f"Make it: mnemon persona new {name}",
            )
        return Persona.load(found)

    def put(self, persona: Persona) -> Path:
        """Keep a persona under its name, bare of evidence: what is shared quotes nobody."""
        if not _NAME.match(persona.name):
            raise UsageError(
                f"A shared persona is called {persona.name!r}, expected small letters, digits and hyphens."
            )
        bare = persona.shared(persona.name, persona.note)
        return bare.save(self.folder / f"{persona.name}.toml")

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.suffix in (".toml", ".json"))
