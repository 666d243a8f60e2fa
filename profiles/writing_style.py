"""What a person's own writing says about what they may want to read: weak evidence, and only of some traits.

Running sums of measures over their turns, so that nothing is read twice. Compared with how people usually
write to an assistant (`data/writing.json`). Knows texts and numbers.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from mnemon.profiles.measures import MEASURES, Reading
from mnemon.profiles.persona import Leaning
from mnemon.profiles.traits import Trait

ENOUGH = 30  # turns after which half of what writing can tell is told
MOST_SURE = 0.5  # people do not always want to read what they write
FAINT = 0.15  # a weight under which a habit is none
FEWEST = 8  # turns that show anything
LONGEST = 2_000  # letters of a turn that are measured; beyond it is pasted text
SHORTEST = 3  # words


@dataclass
class Writing:
    """Sums over a person's turns, by measure."""

    turns: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    last: list[str] = field(default_factory=list)  # ids of the newest turns: the evidence that is shown

    def read(self, episode_id: str, text: str, measures: Iterable[str]) -> None:
        if len(text) > LONGEST or len(text.split()) < SHORTEST or "```" in text:
            return
        self.turns += 1
        reading = Reading(text)
        for name in measures:
            felt = MEASURES[name].felt(MEASURES[name].count(reading))
            self.sums[name] = round(self.sums.get(name, 0.0) + felt, 6)
        self.last = [*self.last, episode_id][-3:]

    def leanings(self, traits: Iterable[Trait]) -> list[Leaning]:
        """Traits that the person's writing shows more, or less, than most people's."""
        if self.turns < FEWEST:
            return []
        found = []
        # In tenths: a habit that shows a little more clearly than last week is not news.
        confidence = round(MOST_SURE * self.turns / (self.turns + ENOUGH), 1)
        for trait in traits:
            usual = _usual().get(trait.measure)
            if not trait.mirrors or usual is None or trait.measure not in self.sums:
                continue
            mean, spread = usual
            # Means of people spread less than turns do: about half as much.
            z = (self.sums[trait.measure] / self.turns - mean) / (spread / 2)
            weight = round(0.6 * math.tanh(z / 2) * (-1 if trait.falls else 1), 1)
            if abs(weight) >= FAINT:
                leaning = Leaning(
                    trait=trait.name,
                    weight=weight,
                    confidence=confidence,
                    origin="style",
                    evidence=tuple(self.last),
                )
                found.append(leaning)
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"turns": self.turns, "sums": self.sums, "last": self.last}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Writing":
        return cls(turns=data["turns"], sums=dict(data["sums"]), last=list(data["last"]))


@cache
def _usual() -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each measure over turns to assistants, by measure."""
    text = files("mnemon.profiles").joinpath("data/writing.json").read_text(encoding="utf-8")
    return {name: (mean, spread) for name, (mean, spread) in json.loads(text)["measures"].items()}
