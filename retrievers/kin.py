"""Words that mean nearly the same or go together: "sports" and "soccer", "city" and "Lisbon".

A question often names the kind and its evidence an example. Whole texts compared by meaning blur that; word
beside word keeps it. The table says of each common English stem which others are nearest, by a sentence
embedder's vectors of single words, made once (`make`): at search it costs a few posting lists and no
embedding, and it helps where there is no embedder. Knows no history.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import as_file, files
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import DataError
from mnemon.retrievers.seams import Embedder
from mnemon.retrievers.text import Tokenizer

NEAREST = 24  # relatives of a word at most
LEAST = 0.45  # cosine from which a word is a relative
NONE = 0.35  # cosine at which a likeness would be 0: two words picked at random have about 0.2
SHORTEST = 3  # letters of a word
MOST = 2**16  # stems: their numbers are kept in two bytes
_STEPS = 255  # a likeness is kept in one byte
_BLOCK = 1024  # words compared with all others at a time


class Relative(NamedTuple):
    stem: str
    likeness: float  # above 0, below 1


class Kin:
    """Relatives by stem, the least alike first: who writes them down in order ends with the most alike."""

    def __init__(
        self,
        stems: Sequence[str],
        starts: NDArray[np.int64],
        others: NDArray[np.uint16],
        likeness: NDArray[np.uint8],
    ) -> None:
        self._stems, self._starts, self._others, self._likeness = list(stems), starts, others, likeness
        self._place = {stem: place for place, stem in enumerate(stems)}

    def __len__(self) -> int:
        return len(self._stems)

    def of(self, stem: str) -> Iterator[Relative]:
        place = self._place.get(stem)
        if place is None:
            return
        here = slice(int(self._starts[place]), int(self._starts[place + 1]))
        for other, likeness in zip(self._others[here].tolist(), self._likeness[here].tolist(), strict=True):
            yield Relative(self._stems[other], likeness / _STEPS)

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                stems=np.frombuffer("\n".join(self._stems).encode(), np.uint8),
                counts=np.diff(self._starts).astype(np.uint8),
                others=self._others,
                likeness=self._likeness,
            )


def load(path: Path) -> Kin:
    try:
        with np.load(path, allow_pickle=False) as stored:
            stems = stored["stems"].tobytes().decode().split("\n")
            starts = np.concatenate([[0], np.cumsum(stored["counts"], dtype=np.int64)])
            return Kin(stems, starts, stored["others"], stored["likeness"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{str(path)!r} is not a table of related words: {error}.",
            hint="Make one with: mnemon rerank kin --output kin.npz",
        ) from error


@cache
def shipped_kin() -> Kin:
    with as_file(files(__package__).joinpath("data/kin.npz")) as path:
        return load(path)


def vocabulary(model: Path) -> list[str]:
    """The whole English words that a model's tokenizer knows, the commonest first."""
    try:
        known = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{str(model)!r} has no tokenizer.json with a vocabulary of words: {error!r}.",
            hint="Words are taken from all-MiniLM-L6-v2 or another model with a BERT vocabulary.",
        ) from error
    return [word for word in known if word.isascii() and word.isalpha() and len(word) >= SHORTEST]


def make(words: Sequence[str], embedder: Embedder) -> Kin:
    """The table of these words, commonest first: of words with one stem the first stands for all, and of too
    many stems the rarest are left out."""
    stems = Tokenizer("english")
    by_stem: dict[str, str] = {}
    for word in words:
        for stem in stems(word):
            by_stem.setdefault(stem, word)
    chosen = sorted(islice(by_stem, MOST))
    vectors = embedder.embed_texts([by_stem[stem] for stem in chosen])
    found = list(chain.from_iterable(_nearest(vectors, start) for start in range(0, len(chosen), _BLOCK)))
    starts = np.concatenate([[0], np.cumsum([others.size for others, _ in found])]).astype(np.int64)
    return Kin(
        chosen,
        starts,
        np.concatenate([others for others, _ in found]),
        np.concatenate([likeness for _, likeness in found]),
    )


def _nearest(
    vectors: NDArray[np.float32], start: int
) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
    """Of each word of one block its relatives and how alike they are, the least alike first."""
    cosines = vectors[start : start + _BLOCK] @ vectors.T
    for row, values in enumerate(cosines):
        values[start + row] = -1.0
        others = np.argsort(values, kind="stable")[-NEAREST:]
        others = others[values[others] >= LEAST]
        steps = np.clip(np.rint((values[others] - NONE) / (1 - NONE) * _STEPS), 1, _STEPS - 1)
        yield others.astype(np.uint16), steps.astype(np.uint8)
