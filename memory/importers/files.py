"""The files of an export, whether it is one file, a folder or a zip, as streams of text that are never held
whole. What cannot be read is a `DataError` that names the place."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from mnemon.errors import DataError
from mnemon.memory.importers.conversation import Progress

_CHUNK = 1 << 16
_Unreadable = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


class Part(NamedTuple):
    """One file of an export."""

    name: str  # inside the folder or zip; the file's own name otherwise
    place: str  # how an error names it
    size: int  # bytes, unpacked
    open: Callable[[], IO[bytes]]


def parts(path: Path, wanted: re.Pattern[str], expected: str) -> list[Part]:
    """The files of an export whose names (without folders) match. A single file is taken by any name."""
    try:
        if path.is_dir():
            found = [_of_folder(path, file) for file in sorted(path.rglob("*")) if file.is_file()]
        elif not path.exists():
            raise DataError(f"There is no file {str(path)!r}.", hint=f"Give {expected}.")
        elif zipfile.is_zipfile(path):
            found = _of_zip(path)
        else:
            return [Part(path.name, repr(str(path)), path.stat().st_size, lambda: path.open("rb"))]
    except _Unreadable as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}.", hint=f"Give {expected}.") from error
    kept = [part for part in found if wanted.fullmatch(PurePosixPath(part.name).name) and not _hidden(part)]
    if not kept:
        raise DataError(f"{str(path)!r} holds nothing to import: {_some(found)}.", hint=f"Give {expected}.")
    return kept


def _of_folder(folder: Path, file: Path) -> Part:
    name = file.relative_to(folder).as_posix()
    return Part(name, repr(str(file)), file.stat().st_size, lambda: file.open("rb"))


def _of_zip(path: Path) -> list[Part]:
    def opener(name: str) -> Callable[[], IO[bytes]]:
        def open_member() -> IO[bytes]:
            # The member keeps the archive's file open; closing the member closes it.
            with zipfile.ZipFile(path) as archive:
                return archive.open(name)

        return open_member

    with zipfile.ZipFile(path) as archive:
        members = sorted(
            (one for one in archive.infolist() if not one.is_dir()), key=lambda one: one.filename
        )
    return [
        Part(one.filename, f"{one.filename!r} in {str(path)!r}", one.file_size, opener(one.filename))
        for one in members
    ]


def _hidden(part: Part) -> bool:
    return any(folder.startswith((".", "__MACOSX")) for folder in PurePosixPath(part.name).parts)


def _some(found: Sequence[Part]) -> str:
    names = ", ".join(repr(part.name) for part in found[:5])
    return f"it has {names}{' ...' if len(found) > 5 else ''}" if found else "it is empty"


@contextmanager
def reading(part: Part, meter: "Meter") -> Iterator[IO[str]]:
    """The text of a part. What goes wrong while it is read is said with its place."""
    try:
        with part.open() as file:
            counted = io.BufferedReader(_Counted(file, meter), _CHUNK)
            with io.TextIOWrapper(counted, encoding="utf-8-sig") as text:
                yield text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{part.place} is not UTF-8 text: {error.reason} within the first {meter.done} bytes.",
            hint="Export it again, or convert it to UTF-8.",
        ) from error
    except _Unreadable as error:
        raise DataError(
            f"{part.place} cannot be read: {error}.", hint="Download the export again; it may be cut short."
        ) from error


class Meter:
    """How many bytes of an export have been read."""

    def __init__(self, found: Sequence[Part], progress: Progress, *, passes: int = 1) -> None:
        self.total = passes * sum(part.size for part in found)
        self.done = 0
        self._progress = progress

    def add(self, count: int) -> None:
        self.done += count
        self._progress(self.done, self.total)


class _Counted(io.RawIOBase):
    def __init__(self, file: IO[bytes], meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._file.read(len(buffer))
        buffer[: len(read)] = read
        self._meter.add(len(read))
        return len(read)
