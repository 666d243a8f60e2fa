"""Export and import of one person: a zip of JSON lines with a manifest of their hashes. docs/memory.md has
the format.

Reading trusts nothing: names, sizes, hashes, every field, every identity and every quote are checked before a
single record is written. Nothing is ever unpacked to disk.
"""

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from mnemon.errors import DataError, StoreError, UsageError
from mnemon.memory.codec import from_plain, to_plain
from mnemon.memory.inputs import MAX_TEXT
from mnemon.memory.records import Episode, Fact, Item, Record, RecordKind, reference
from mnemon.memory.seams import MemoryStore, Operation, Put, Select
from mnemon.memory.upkeep import evidence_problems, identity_problems

FORMAT = "mnemon-export"
VERSION = 1
MANIFEST = "manifest.json"
FILES: Mapping[str, RecordKind] = {
    "episodes.jsonl": "episode",
    "sessions.jsonl": "session",
    "facts.jsonl": "fact",
    "profiles.jsonl": "profile",
    "feedback.jsonl": "feedback",
    "suppressions.jsonl": "suppression",
    "items.jsonl": "item",
}
SOMETIMES = frozenset(
    {"items.jsonl"}
)  # left out when it would be empty, as in exports before there were items
MAX_BYTES = 4 << 30  # unpacked, all files together
MAX_LINE = 8 * MAX_TEXT  # bytes; every character may be escaped as \uXXXX
LARGE = 256 << 20  # unpacked; below it no ratio harms anybody, and somebody may repeat himself
MAX_RATIO = 200  # unpacked to packed; JSON lines of prose have 3 to 30, a bomb 1000
_CHUNK = 1 << 20
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same records make the same bytes

_Unreadable = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
    ValueError,
)


def export(store: MemoryStore, user: str, path: Path, *, at: datetime, overwrite: bool = False) -> Path:
    """Write the zip beside its place and move it there whole."""
    if path.exists() and not overwrite:
        raise UsageError(f"{str(path)!r} is there already.", hint="Choose another name, or remove it.")
    if not path.parent.is_dir():
        raise UsageError(
            f"{str(path.parent)!r} is no folder to write {path.name!r} into.", hint="Make it first."
        )
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                _write(store, user, file, at=at)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written: {error.strerror}.", hint="Check the folder, or choose another."
        ) from error
    return path


def _write(store: MemoryStore, user: str, file: io.BufferedWriter, *, at: datetime) -> None:
    files: dict[str, dict[str, int | str]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, kind in FILES.items():
            records = store.read(user, Select(kind=kind, revisions=True))
            if name in SOMETIMES and not records:
                continue
            digest, lines, size = hashlib.sha256(), 0, 0
            with archive.open(zipfile.ZipInfo(name, _STAMP), "w", force_zip64=True) as member:
                for record in records:
                    line = json.dumps(to_plain(record), allow_nan=False).encode("ascii") + b"\n"
                    member.write(line)
                    digest.update(line)
                    lines, size = lines + 1, size + len(line)
            files[name] = {"sha256": digest.hexdigest(), "records": lines, "bytes": size}
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "user": user,
            "exported_at": at.isoformat(),
            "files": files,
        }
        archive.writestr(zipfile.ZipInfo(MANIFEST, _STAMP), json.dumps(manifest, indent=1))


def read(path: Path) -> list[Record]:
    """All records of an export, checked; `DataError` says what is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = _manifest(archive, path)
            records = [record for name in files for record in _records(archive, name, files[name], path)]
    except FileNotFoundError as error:
        raise DataError(
            f"There is no file {str(path)!r}.", hint="Give the zip that `mnemon export` wrote."
        ) from error
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
    except _Unreadable as error:
        raise _bad(path, str(error)) from error
    _check(records, path)
    return records


def missing(store: MemoryStore, user: str, records: Sequence[Record]) -> list[Operation]:
    """Puts of the records that are not there. A claim that is there keeps its own revisions, one that was
    forgotten does not come back."""
    here: set[tuple[str, str]] = set()
    for kind in set(FILES.values()):
        ids = [record.id for record in records if record.record_kind == kind]
        if ids:
            found = store.read(user, Select(kind=kind, keys=ids, revisions=True))
            here |= {(kind, record.id) for record in found}
    suppressed = {record.id for record in store.read(user, Select(kind="suppression"))}
    return [
        Put(record)
        for record in records
        if (record.record_kind, record.id) not in here
        and not (isinstance(record, Fact) and record.id in suppressed)
    ]


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, dict[str, Any]]:
    members = archive.infolist()
    names = [member.filename for member in members]
    strange = sorted(set(names) - {MANIFEST, *FILES})
    if strange or len(names) != len(set(names)):
        raise _bad(path, f"it holds {strange[0]!r}" if strange else "it holds a file twice")
    lacking = sorted({MANIFEST, *FILES} - SOMETIMES - set(names))
    if lacking:
        raise _bad(path, f"it lacks {lacking[0]!r}")
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > MAX_BYTES or (total > LARGE and total > MAX_RATIO * packed):
        raise _bad(path, f"it unpacks from {packed} to {total} bytes")
    if archive.getinfo(MANIFEST).file_size > _CHUNK:
        raise _bad(path, "its manifest is too long")
    manifest = json.loads(archive.read(MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _bad(path, "its manifest is of another kind")
    if (version := manifest.get("version")) != VERSION:
        raise DataError(
            f"{str(path)!r} is an export of version {version!r}, this mnemon reads {VERSION}.",
            hint="Upgrade mnemon: pip install --upgrade mnemon",
        )
    files = manifest.get("files")
    held = [name for name in FILES if name in names]
    if not isinstance(files, dict) or not all(isinstance(files.get(name), dict) for name in held):
        raise _bad(path, "its manifest does not list its files")
    return {name: cast(dict[str, Any], files[name]) for name in held}


def _records(archive: zipfile.ZipFile, name: str, entry: Mapping[str, Any], path: Path) -> Iterator[Record]:
    digest, count = hashlib.sha256(), 0
    with archive.open(name) as member:
        while line := member.readline(MAX_LINE):
            if not line.endswith(b"\n"):
                raise _bad(path, f"{name} has a line that does not end")
            digest.update(line)
            count += 1
            try:
                yield from_plain(FILES[name], json.loads(line))
            except RecursionError as error:
                raise _bad(path, f"{name}, line {count} is nested too deeply") from error
            except (DataError, ValueError) as error:
                raise _bad(path, f"{name}, line {count}: {error}") from error
    if digest.hexdigest() != entry.get("sha256") or count != entry.get("records"):
        raise _bad(path, f"{name} is not what the manifest says it is")


def _check(records: Sequence[Record], path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for record in records:
        where = tuple(reference(record))
        if where in seen:
            raise _bad(path, f"{where[0]} {where[1]!r} is there twice")
        seen.add(cast(tuple[str, str], where))
    problems = list(_problems(records))
    if problems:
        raise _bad(path, problems[0])


def _problems(records: Iterable[Record]) -> Iterator[str]:
    episodes = {record.id: record for record in records if isinstance(record, Episode)}
    for episode in episodes.values():
        if len(episode.text) > MAX_TEXT:
            yield f"episode {episode.id}: it has {len(episode.text)} characters"
    yield from identity_problems(list(episodes.values()), [one for one in records if isinstance(one, Item)])
    for record in records:
        if isinstance(record, Fact):
            yield from evidence_problems(record, episodes)


def _bad(path: Path, reason: str) -> DataError:
    return DataError(
        f"{str(path)!r} is not an export that can be taken in: {reason}. Nothing was written.",
        hint="Export again from the source with `mnemon export`.",
    )
