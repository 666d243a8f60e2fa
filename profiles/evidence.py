"""One person's choices as the learner sees them: differences between replies, how much each counts, and of
what it was. Kept as one blob of numbers; the words stay in the feedback they were read from.
"""

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from zipfile import BadZipFile

import numpy as np

from mnemon.errors import DataError
from mnemon.profiles.population import Floats, Population
from mnemon.retrievers.head import Comparison, Head

FORMAT = 1
KEPT = 600  # choices; older ones hardly count any more
ENOUGH = 6  # choices about a topic before it has weights of its own
MOST_TOPICS = 3  # with weights of their own: each makes every update slower
TOPIC_SHARE = 0.25  # of the variance between people, how much is again found between one person's topics


@dataclass(frozen=True)
class Evidence:
    """One choice: the chosen reply less each of the rejected, (n, D)."""

    difference: Floats
    weight: float
    topics: tuple[str, ...] = ()


@dataclass
class Ledger:
    """All that was taken in, oldest first, and what the person usually gets to read."""

    choices: list[Evidence] = field(default_factory=list)
    read: set[str] = field(default_factory=set)  # ids of feedback records, also of those that taught nothing
    seen: Floats | None = None  # (D,) sum over the replies that were compared or rated
    replies: int = 0

    def add(self, choice: Evidence) -> None:
        self.choices = [*self.choices, choice][-KEPT:]

    def saw(self, rows: Floats) -> None:
        self.seen = rows.sum(axis=0) + (0.0 if self.seen is None else self.seen)
        self.replies += len(rows)

    @property
    def usual(self) -> Floats | None:
        return None if self.seen is None else self.seen / self.replies

    def topics(self) -> tuple[str, ...]:
        """Those with choices enough for weights of their own, the most first."""
        named = Counter(name for choice in self.choices for name in choice.topics)
        return tuple(name for name, count in named.most_common(MOST_TOPICS) if count >= ENOUGH)

    def posterior(self, population: Population, prior: Head, *, half_life: float) -> Head:
        """Departures from the population's weights, (D·(1 + topics),): for always, then for each topic.

        A choice about a topic is explained by both blocks, so that topics share what they have in common.
        """
        known = self.topics()
        size, last = len(population.mean), len(self.choices) - 1
        shares = np.diag([0.0, *[TOPIC_SHARE] * len(known)])
        covariance: Floats = np.kron(shares, population.covariance).astype(np.float64)
        covariance[:size, :size] = prior.covariance
        start = Head(np.concatenate([prior.mean, np.zeros(size * len(known))]), covariance)
        comparisons = [
            Comparison(
                np.zeros(len(start.mean)),
                -widened(choice.difference, choice.topics, known),
                choice.weight * 0.5 ** ((last - place) / half_life),
            )
            for place, choice in enumerate(self.choices)
        ]
        base = np.concatenate([population.mean, np.zeros(size * len(known))])
        return start.fit(comparisons, base=base, basis=np.eye(len(base)))

    def dumps(self, population: Population) -> bytes:
        meta = {
            "format": FORMAT,
            "population": population.digest,
            "topics": [choice.topics for choice in self.choices],
            "read": sorted(self.read),
            "replies": self.replies,
        }
        size = len(population.mean)
        out = io.BytesIO()
        np.savez(
            out,
            meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
            differences=np.concatenate([np.zeros((0, size)), *(one.difference for one in self.choices)]),
            lengths=np.array([len(one.difference) for one in self.choices], np.int64),
            weights=np.array([one.weight for one in self.choices]),
            seen=np.zeros(size) if self.seen is None else self.seen,
        )
        return out.getvalue()

    @classmethod
    def loads(cls, body: bytes, population: Population) -> "Ledger":
        """DataError where the blob is damaged or was written for another population: read the feedback
        again then."""
        try:
            with np.load(io.BytesIO(body), allow_pickle=False) as stored:
                meta = json.loads(stored["meta"].tobytes().decode())
                if (meta["format"], meta["population"]) != (FORMAT, population.digest):
                    raise DataError("What was learnt from choices was kept for another population.")
                parts = np.split(stored["differences"], np.cumsum(stored["lengths"])[:-1])
                weights, seen = stored["weights"].tolist(), stored["seen"]
        except (OSError, EOFError, BadZipFile, ValueError, KeyError) as error:
            raise DataError(f"What was learnt from choices cannot be read: {error}.") from error
        choices = [
            Evidence(part, weight, tuple(topics))
            for part, weight, topics in zip(parts, weights, meta["topics"], strict=False)
        ]
        replies = int(meta["replies"])
        return cls(choices, set(meta["read"]), seen if replies else None, replies)


def widened(rows: Floats, topics: Sequence[str], known: Sequence[str]) -> Floats:
    """Rows beside copies of themselves for the topics that hold. (n, D) → (n, D·(1 + known))"""
    return np.concatenate([rows, *(rows * (name in topics) for name in known)], axis=1)
