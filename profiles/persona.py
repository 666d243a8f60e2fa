"""The persona: how a person wants to be answered, as weighted traits with their evidence.

    persona = Persona(name="ana").leaning("concise", 0.8).leaning("formal", -0.4, when="code")
    steering = persona.compile(model, "Why does this loop never end?")

Plain frozen data: every edit is a new persona. It holds at three levels (the person's own, shared personas
that it names as parents, everybody's) and is joined from them by `resolved`. Knows no store and no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from mnemon.errors import UsageError
from mnemon.profiles.conditions import condition
from mnemon.profiles.plan import Plan, Steerable, make_plan
from mnemon.profiles.traits import TraitBank

if TYPE_CHECKING:
    from mnemon.profiles.persona_diff import PersonaDiff

S = TypeVar("S", covariant=True)

Level = Literal["user", "persona", "global"]
Origin = Literal["hand", "said", "style", "choices", "shared"]
# Which of two findings about one trait stands: what was set by hand over what was said, and so on.
RANK: dict[Origin, int] = {"hand": 4, "said": 3, "choices": 2, "style": 1, "shared": 0}


@dataclass(frozen=True, kw_only=True)
class Leaning:
    """One trait of a persona. `weight` runs from −1 (its opposite) to 1; `confidence` from 0 to 1."""

    trait: str
    weight: float
    confidence: float = 1.0
    when: str = ""  # a topic or words of the question; "" for always
    level: Level = "user"
    origin: Origin = "hand"
    evidence: tuple[str, ...] = ()  # ids of episodes or of feedback
    quote: str = ""  # the words it rests on, where it rests on words
    since: datetime | None = None

    def __post_init__(self) -> None:
        if not -1 <= self.weight <= 1:
            raise UsageError(f"The weight of {self.trait!r} is {self.weight!r}, expected −1 to 1.")
        if not 0 <= self.confidence <= 1:
            raise UsageError(f"The confidence of {self.trait!r} is {self.confidence!r}, expected 0 to 1.")
        object.__setattr__(self, "when", condition(self.when))

    @property
    def key(self) -> tuple[str, str]:
        return self.trait, self.when

    def __str__(self) -> str:
        when = f" when {self.when}" if self.when else ""
        return f"{self.trait} {self.weight:+.2f}{when}"


@dataclass(frozen=True, kw_only=True)
class Persona:
    """Leanings by trait and condition, at most one each, and the names of shared personas above."""

    name: str = "me"
    leanings: tuple[Leaning, ...] = ()
    parents: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        keys = [one.key for one in self.leanings]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            trait, when = min(twice)
            raise UsageError(f"Persona {self.name!r} has {trait!r} twice{f' when {when}' if when else ''}.")
        if self.name in self.parents:
            raise UsageError(f"Persona {self.name!r} is its own parent.")

    def __bool__(self) -> bool:
        return bool(self.leanings or self.parents)

    def __str__(self) -> str:
        parents = f" (as {', '.join(self.parents)})" if self.parents else ""
        return f"{self.name}{parents}: " + (", ".join(str(one) for one in self.leanings) or "no leanings")

    def get(self, trait: str, when: str = "") -> Leaning | None:
        return next((one for one in self.leanings if one.key == (trait, condition(when))), None)

    # --- editing: each gives a new persona

    def leaning(
        self,
        trait: str,
        weight: float,
        *,
        when: str = "",
        confidence: float = 1.0,
        bank: TraitBank | None = None,
    ) -> "Persona":
        """With a trait set by hand; the name must be one of the bank's."""
        known = (TraitBank.load() if bank is None else bank)[trait]
        made = Leaning(
            trait=known.name, weight=weight, confidence=confidence, when=when, since=datetime.now(UTC)
        )
        return self.having([made])

    def having(self, leanings: Iterable[Leaning]) -> "Persona":
        """With these leanings in place of those for the same trait and condition."""
        merged = {one.key: one for one in self.leanings}
        merged.update((one.key, one) for one in leanings)
        return replace(self, leanings=tuple(merged.values()))

    def without(self, trait: str, when: str = "") -> "Persona":
        key = (trait, condition(when))
        return replace(self, leanings=tuple(one for one in self.leanings if one.key != key))

    def under(self, *parents: str) -> "Persona":
        """With these shared personas as parents, the first counting most."""
        return replace(self, parents=parents)

    def merge(self, other: "Persona") -> "Persona":
        """Both personas as one: where they speak of the same trait, hand over said over chosen over style,
        then the surer, then the newer."""
        merged = {one.key: one for one in self.leanings}
        for one in other.leanings:
            standing = merged.get(one.key)
            merged[one.key] = one if standing is None or _stands(one) > _stands(standing) else standing
        parents = tuple(dict.fromkeys([*self.parents, *other.parents]))
        return replace(self, leanings=tuple(merged.values()), parents=parents)

    def shared(self, name: str, note: str = "") -> "Persona":
        """What of it may be given to others: the weights, with nobody's words and no evidence."""
        bare = [
            Leaning(trait=one.trait, weight=one.weight, when=one.when, level="persona", origin="shared")
            for one in self.leanings
        ]
        return Persona(name=name, leanings=tuple(bare), parents=self.parents, note=note)

    def diff(self, other: "Persona") -> "PersonaDiff":
        """What changes from this persona to the other."""
        from mnemon.profiles.persona_diff import difference

        return difference(self, other)

    # --- levels

    def resolved(
        self, shared: Mapping[str, "Persona"] | None = None, *, everybody: "Persona | None" = None
    ) -> "Persona":
        """One persona without parents. A nearer level counts by its confidence; the rest is the next one's:
        w = c·w_user + (1 − c)·w_parent, so a person of whom little is known is answered as their group is."""
        above = [*_lineage(self, shared or {}, (self.name,))]
        leanings = {one.key: one for one in self.leanings}
        for parent in above:
            for one in parent.leanings:
                leanings[one.key] = backed(leanings.get(one.key), replace(one, level="persona"))
        for one in everybody.leanings if everybody is not None else ():
            leanings[one.key] = backed(leanings.get(one.key), replace(one, level="global"))
        return replace(self, leanings=tuple(leanings.values()), parents=())

    # --- use

    def plan(self, query: str = "", *, bank: TraitBank | None = None, about: Sequence[str] = ()) -> Plan:
        """What of the persona holds for a question, as data: for a decoder, a prompt and a trace. `about` are
        lines about the person that the reply should suit."""
        if self.parents:
            raise UsageError(
                f"Persona {self.name!r} has parents that are not joined to it: {', '.join(self.parents)}.",
                hint="Join them first: persona.resolved(shared).",
            )
        return make_plan(self.leanings, query, bank=TraitBank.load() if bank is None else bank, about=about)

    def compile(
        self,
        model: Steerable[S],
        query: str = "",
        *,
        bank: TraitBank | None = None,
        about: Sequence[str] = (),
    ) -> S:
        """Rewards and a λ policy for this question, in the form that the model takes."""
        return model.steering_for(self.plan(query, bank=bank, about=about), asked=query)

    # --- files

    @classmethod
    def load(cls, path: str | Path) -> "Persona":
        """From TOML or JSON, by the file's ending."""
        from mnemon.profiles.persona_file import load

        return load(Path(path))

    def save(self, path: str | Path) -> Path:
        """As TOML or JSON, by the file's ending; read back it is equal."""
        from mnemon.profiles.persona_file import save

        return save(self, Path(path))


EMPTY = Persona()


def _stands(one: Leaning) -> tuple[int, float, float]:
    return RANK[one.origin], one.confidence, one.since.timestamp() if one.since is not None else 0.0


def backed(nearer: Leaning | None, farther: Leaning) -> Leaning:
    """A leaning with what it leaves open filled from what counts less: another level, a weaker evidence."""
    if nearer is None:
        return farther
    share = nearer.confidence
    left = (1 - share) * farther.confidence
    if left <= 0:
        return nearer
    weight = (share * nearer.weight + left * farther.weight) / (share + left)
    evidence = tuple(dict.fromkeys([*nearer.evidence, *farther.evidence]))
    mixed = replace(nearer, weight=weight, confidence=min(1.0, share + left), evidence=evidence)
    return mixed if share >= left else replace(mixed, level=farther.level, origin=farther.origin)


def _lineage(persona: Persona, shared: Mapping[str, Persona], seen: tuple[str, ...]) -> list[Persona]:
    """Parents before grandparents, each once."""
    found: list[Persona] = []
    for name in persona.parents:
        if name in seen:
            raise UsageError(f"The personas {' → '.join([*seen, name])} are parents of each other.")
        if name not in shared:
            from difflib import get_close_matches

            near = get_close_matches(name, shared, n=3)
            raise UsageError(
                f"Persona {persona.name!r} has the parent {name!r}, which is not there.",
                hint=f"Did you mean {', '.join(near)}?"
                if near
                else "`mnemon persona list` lists shared ones.",
            )
        found.append(shared[name])
    for parent in list(found):
        found += [one for one in _lineage(parent, shared, (*seen, parent.name)) if one not in found]
    return found
