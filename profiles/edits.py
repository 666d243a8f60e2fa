"""Edits of a profile by hand, kept as feedback of the person: they outlive every refresh and rebuild.

Each is one record, so it can be undone, exported and forgotten like everything else that the person says.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from mnemon.errors import UsageError
from mnemon.memory import Feedback, Person
from mnemon.profiles.conditions import condition
from mnemon.profiles.persona import Leaning
from mnemon.profiles.profile import SECTIONS, Section, Statement
from mnemon.profiles.sensitive import categories, sensitive
from mnemon.profiles.traits import TraitBank

Kind = Literal["set", "drop", "add", "remove", "under", "allow", "mood"]

KINDS: tuple[Kind, ...] = get_args(Kind)


class Edit(NamedTuple):
    """`name` is a trait, a section, a statement's key or nothing, as `kind` says."""

    kind: Kind
    name: str
    made: Feedback


def set_trait(
    person: Person, trait: str, weight: float, *, when: str = "", bank: TraitBank | None = None
) -> Feedback:
    """Lean so far towards a trait (1) or its opposite (−1), whatever was learnt."""
    known = (TraitBank.load() if bank is None else bank)[trait]
    Leaning(trait=known.name, weight=weight)  # its bounds
    return _keep(person, "set", known.name, rating=weight, note=condition(when))


def drop_trait(person: Person, trait: str, *, when: str = "") -> Feedback:
    """Lean no way, whatever was learnt before; what is said from now on counts again."""
    return _keep(person, "drop", trait, note=condition(when))


def add_statement(person: Person, section: str, text: str) -> Feedback:
    if section not in SECTIONS:
        raise UsageError(f"There is no section {section!r}, expected one of {', '.join(SECTIONS)}.")
    if not text.strip():
        raise UsageError("The statement is empty.")
    return _keep(person, "add", section, good=[" ".join(text.split())])


def remove_statement(person: Person, key: str) -> Feedback:
    """Never say this again; the fact itself stays until it is forgotten."""
    return _keep(person, "remove", key)


def set_parents(person: Person, parents: Sequence[str]) -> Feedback:
    """Answer as these shared personas say where the person's own says little."""
    return _keep(person, "under", "", good=parents)


def allow(person: Person, sensitive_categories: Sequence[str]) -> Feedback:
    """Sensitive categories that may steer replies from now on; all others may not."""
    strange = sorted(set(sensitive_categories) - set(categories()))
    if strange:
        raise UsageError(f"There is no category {strange[0]!r}, expected {', '.join(categories())}.")
    return _keep(person, "allow", "", good=sensitive_categories)


def show_mood(person: Person, wanted: bool) -> Feedback:
    """Whether the profile says how the person said they feel; it does not unless asked."""
    return _keep(person, "mood", "", rating=float(wanted))


def _keep(
    person: Person,
    kind: Kind,
    name: str,
    *,
    good: Sequence[str] = (),
    rating: float | None = None,
    note: str = "",
) -> Feedback:
    return person.keep_feedback("profile", f"{kind} {name}".strip(), good=good, rating=rating, note=note)


def edit_of(feedback: Feedback) -> Edit | None:
    """The edit that a record holds; None for other feedback and for edits of a newer version."""
    kind, _, name = feedback.query.partition(" ")
    known: Kind | None = next((one for one in KINDS if one == kind), None)
    if feedback.about != "profile" or known is None:
        return None
    return Edit(kind=known, name=name, made=feedback)


def leaning_of(edit: Edit) -> Leaning:
    """The leaning that a "set" makes."""
    return Leaning(
        trait=edit.name,
        weight=edit.made.rating or 0.0,
        when=edit.made.note,
        origin="hand",
        evidence=(edit.made.id,),
        since=edit.made.recorded_at,
    )


def statement_of(edit: Edit) -> Statement:
    """The statement that an "add" makes."""
    text = edit.made.good[0]
    section: Section = next((one for one in SECTIONS if one == edit.name), "who they are")
    return Statement(
        section=section,
        text=text,
        key=edit.made.id,
        said_at=edit.made.recorded_at,
        sensitive=sensitive(text),
        source="hand",
    )
