"""How people differ in the replies they like: the prior from which every person starts.

A reply is seen as the measures that the shipped traits name, on the scale on which people feel them. Weights
over these are Gaussian over people: θ_u = θ̄ + U a_u + e_u, a few directions in which people differ together
(who wants it short rarely wants examples) and what is left of each weight. Fitted by EM over many people's
choices; the shipped one over made-up people. Knows nobody in particular.

After PReF (Shenfeld et al. 2025, arXiv:2503.06358) and LoRe (Bose et al. 2025, arXiv:2504.14439), with a
posterior where they have a point.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import DataError, UsageError
from mnemon.profiles.measures import MEASURES, Reading
from mnemon.profiles.traits import TraitBank
from mnemon.retrievers.head import Comparison, Head

Floats = NDArray[np.float64]
CLIP = 4.0  # standard deviations: one strange reply must not decide what a person likes
LEAST = 0.02  # variance left to each weight, so that nobody is wholly determined by the shared directions
ROUNDS = 25
FORMAT = 1
_ARRAYS = ("centre", "scale", "mean", "basis", "residual")


@cache
def features() -> tuple[str, ...]:
    """The measures that the shipped traits name, in the order of `MEASURES`."""
    named = {trait.measure for trait in TraitBank.load().values()}
    return tuple(name for name in MEASURES if name in named)


@lru_cache(maxsize=4096)  # the same replies are compared with many others
def felt(text: str) -> Floats:
    """A reply as its measures on the scale on which they are felt. (D,)"""
    reading = Reading(text)
    found = np.array([MEASURES[name].felt(MEASURES[name].count(reading)) for name in features()])
    found.setflags(write=False)
    return found


@dataclass(frozen=True, kw_only=True)
class Population:
    """A Gaussian over people's weights. `scale` is one over the spread of a feature among usual replies."""

    features: tuple[str, ...]
    centre: Floats  # (D,)
    scale: Floats  # (D,)
    mean: Floats  # (D,) θ̄
    basis: Floats  # (D, R) U
    residual: Floats  # (D,) variance of e
    card: dict[str, object] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """What was learnt from one population means nothing under another."""
        numbers = b"".join(getattr(self, name).astype(np.float32).tobytes() for name in _ARRAYS)
        return hashlib.blake2b(" ".join(self.features).encode() + numbers, digest_size=8).hexdigest()

    @cached_property
    def covariance(self) -> Floats:
        found: Floats = self.basis @ self.basis.T + np.diag(self.residual)
        return found

    @property
    def typical(self) -> Floats:
        """How large each weight usually is, over people. (D,)"""
        found: Floats = np.sqrt(self.mean**2 + np.diag(self.covariance))
        return found

    def represent(self, text: str) -> Floats:
        """A reply as the learner sees it. (D,)"""
        found: Floats = np.clip((felt(text) - self.centre) * self.scale, -CLIP, CLIP)
        return found

    def prior(self) -> Head:
        """A person of whom nothing is known, as a head over departures from θ̄."""
        return Head(np.zeros(len(self.mean)), self.covariance)

    def save(self, path: Path) -> None:
        meta = {"format": FORMAT, "features": list(self.features), "card": self.card}
        text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
        with path.open("wb") as file:
            np.savez(file, meta=text, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> "Population":
        """Read one and check that it was fitted on the features that this version measures."""
        hint = "Fit one: python benchmarks/simulated_people.py fit"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                meta = json.loads(stored["meta"].tobytes().decode())
                arrays = {name: np.asarray(stored[name], np.float64) for name in _ARRAYS}
        except (OSError, EOFError, BadZipFile, ValueError, KeyError) as error:
            raise DataError(f"{str(path)!r} is no population: {error}.", hint=hint) from error
        if meta.get("format") != FORMAT or tuple(meta["features"]) != features():
            raise DataError(
                f"The population {str(path)!r} was fitted on other measures than this version has.", hint=hint
            )
        return cls(features=features(), card=meta["card"], **arrays)


@cache
def shipped_population() -> Population:
    """The one that comes with mnemon: `data/population.npz`."""
    with as_file(files("mnemon.profiles").joinpath("data/population.npz")) as path:
        return Population.load(path)


def fit_population(
    people: Sequence[Sequence[tuple[str, str]]], *, rank: int = 5, card: dict[str, object] | None = None
) -> Population:
    """From people's choices, each (chosen, rejected): two people or more, better hundreds."""
    if sum(bool(choices) for choices in people) < 2:
        raise UsageError("A population is fitted on the choices of two people or more.")
    seen = {text: felt(text) for choices in people for pair in choices for text in pair}
    table = np.stack(list(seen.values()))
    spread = table.std(axis=0)
    # What never varies here has no scale of its own: the middle of the others' will do.
    scale = 1 / np.where(spread > 1e-6, spread, np.median(spread[spread > 1e-6]))
    centre = table.mean(axis=0)

    def row(text: str) -> Floats:
        found: Floats = np.clip((seen[text] - centre) * scale, -CLIP, CLIP)
        return found

    compared = [
        [Comparison(row(chosen), row(rejected)[None]) for chosen, rejected in choices] for choices in people
    ]
    mean, basis, residual = _expectation_maximisation(compared, size=len(centre), rank=rank)
    return Population(
        features=features(),
        centre=centre,
        scale=scale,
        mean=mean,
        basis=basis,
        residual=residual,
        card={"people": len(people), "choices": sum(map(len, people)), **(card or {})},
    )


def _expectation_maximisation(
    people: Iterable[Sequence[Comparison]], *, size: int, rank: int
) -> tuple[Floats, Floats, Floats]:
    """θ̄, U and the residual variances under which the people's weights are likely, by Laplace posteriors."""
    everyone = list(people)
    mean, covariance = np.zeros(size), np.eye(size)
    basis, residual = np.zeros((size, rank)), np.ones(size)
    for _ in range(ROUNDS):
        prior = Head(np.zeros(size), covariance)
        heads = [prior.fit(choices, base=mean, basis=np.eye(size)) for choices in everyone]
        means = np.stack([head.mean for head in heads])  # (people, D) departures from the present θ̄
        shift = means.mean(axis=0)
        centred = means - shift
        spread = centred.T @ centred / len(heads) + np.mean([head.covariance for head in heads], axis=0)
        mean = mean + shift
        basis, residual = low_rank(spread, rank)
        covariance = basis @ basis.T + np.diag(residual)
    return mean, basis, residual


def low_rank(covariance: Floats, rank: int) -> tuple[Floats, Floats]:
    """U and variances with U Uᵀ + diag(variances) ≈ covariance: principal factors. (D, R), (D,)"""
    residual = np.diag(covariance) * 0.5
    basis = np.zeros((len(covariance), rank))
    for _ in range(50):
        values, vectors = np.linalg.eigh(covariance - np.diag(residual))
        basis = vectors[:, -rank:] * np.sqrt(np.maximum(values[-rank:], 0))
        residual = np.maximum(np.diag(covariance) - (basis**2).sum(axis=1), LEAST)
    return basis, residual
