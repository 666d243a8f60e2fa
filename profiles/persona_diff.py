"""What changed between two personas: drift shown as lines."""

from dataclasses import dataclass

from mnemon.profiles.persona import Leaning, Persona


@dataclass(frozen=True, kw_only=True)
class LeaningChange:
    """A trait before and after; None: it was not there."""

    before: Leaning | None
    after: Leaning | None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.after}"
        if self.after is None:
            return f"- {self.before}"
        sure = f" (confidence {self.before.confidence:.2f} → {self.after.confidence:.2f})"
        return f"~ {self.before} → {self.after.weight:+.2f}" + (
            sure if self.before.confidence != self.after.confidence else ""
        )


@dataclass(frozen=True, kw_only=True)
class PersonaDiff:
    """Changed leanings, the largest change first; empty where nothing changed."""

    changes: tuple[LeaningChange, ...]
    parents_before: tuple[str, ...] = ()
    parents_after: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes) or self.parents_before != self.parents_after

    def __str__(self) -> str:
        lines = [str(change) for change in self.changes]
        if self.parents_before != self.parents_after:
            lines.append(f"parents: {_names(self.parents_before)} → {_names(self.parents_after)}")
        return "\n".join(lines) or "No difference."


def difference(before: Persona, after: Persona) -> PersonaDiff:
    old, new = ({one.key: one for one in persona.leanings} for persona in (before, after))
    changes = [
        LeaningChange(before=old.get(key), after=new.get(key))
        for key in dict.fromkeys([*old, *new])
        if _felt(old.get(key)) != _felt(new.get(key))
    ]
    changes.sort(key=lambda change: -abs(_pull(change.after) - _pull(change.before)))
    return PersonaDiff(changes=tuple(changes), parents_before=before.parents, parents_after=after.parents)


def _felt(one: Leaning | None) -> tuple[float, float] | None:
    return None if one is None else (one.weight, one.confidence)


def _pull(one: Leaning | None) -> float:
    return 0.0 if one is None else one.weight * one.confidence


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
