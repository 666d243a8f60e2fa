"""Files of a pulled model: hashes, the manifest written beside them, and whether they still agree."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mnemon.models.catalogue import Weights

MANIFEST = "mnemon.json"


class Finding(NamedTuple):
    """What `verify` found wrong with one file."""

    file: str
    problem: str


def sha256_of(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def write_manifest(folder: Path, weights: Weights) -> None:
    """Record every file's size and hash. It is written last: a folder that has it was complete."""
    files = {
        name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for name, path in sorted(_files(folder))
    }
    manifest = {
        "name": weights.name,
        "source": weights.requirement,
        "licence": weights.licence,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def is_complete(folder: Path, weights: Weights) -> bool:
    """A quick look, no hashing: the manifest is there and the tensor file has its size."""
    tensors = folder / "model.safetensors"
    return (
        (folder / MANIFEST).is_file() and tensors.is_file() and tensors.stat().st_size == weights.ready_bytes
    )


def verify(folder: Path, weights: Weights) -> list[Finding]:
    """Hash every file again and compare with the manifest, and the tensors with the pinned hashes."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Finding(MANIFEST, f"cannot be read: {error}")]
    found = dict(_files(folder))
    findings = [Finding(name, "is missing") for name in expected if name not in found]
    pinned = {"model.safetensors": weights.ready_sha256, "model.gguf": weights.tensor_sha256}
    for name, path in sorted(found.items()):
        digest = sha256_of(path)
        if digest != pinned.get(name, digest):
            findings.append(Finding(name, f"has sha256 {digest}, pinned is {pinned[name]}"))
        elif name in expected and digest != expected[name]:
            findings.append(Finding(name, f"has sha256 {digest}, was {expected[name]} when it was pulled"))
    return findings


def make_durable(folder: Path) -> None:
    """Force the files to the disk before the folder gets its name: a power cut leaves all or nothing."""
    for _, path in _files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != MANIFEST:
            yield path.relative_to(folder).as_posix(), path
