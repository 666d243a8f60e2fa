"""How the memory commands look to a person. What was remembered is data: printed as it is, control characters
out."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mnemon.cli.output import console, print_table

if TYPE_CHECKING:
    from mnemon.memory import Diff, Fact, Hit
    from mnemon.memory.forgetting import Forgotten
    from mnemon.memory.upkeep import Findings, Stats


def remembered(data: Mapping[str, Any]) -> str:
    written = data["written"]
    if written is None:
        return "Known already." if data["ids"] else "Nothing to remember in it."
    return clean(str(written), lines=True)


def hits(found: "Sequence[Hit]") -> str | None:
    if not found:
        return "Nothing found."
    print_table(
        ["Score", "When", "Who", "What", "Id"],
        [[f"{hit.score:.2f}", _when(hit.time), clean(hit.speaker), clean(hit.text), hit.id] for hit in found],
    )
    return None


def explained(found: "Sequence[Hit]") -> str | None:
    """Each hit with what spoke for it, the strongest first."""
    if not found:
        return "Nothing found."
    for hit in found:
        where = f" in {clean(hit.session)}" if hit.session else ""
        console().print(f"{hit.score:.2f}  {clean(hit.text)}")
        console().print(f"      {hit.unit} {hit.id}, {_when(hit.time)}, {clean(hit.speaker)}{where}")
        numbers = {name: value for name, value in hit.why.items() if isinstance(value, int | float)}
        order = sorted(numbers, key=lambda name: -abs(numbers[name]))
        print_table(["Why", "Value"], [[name, f"{numbers[name]:+.3f}"] for name in order])
        for name, value in hit.why.items():
            if isinstance(value, str):
                console().print(f"      {name}: {clean(value)}")
    return None


def facts(found: "Sequence[Fact]") -> str | None:
    if not found:
        return "Nothing known."
    print_table(
        ["Fact", "Kind", "From", "Until", "Sure", "Said", "Words", "Id"],
        [
            [
                clean(fact.text),
                fact.kind if fact.status != "disputed" else f"{fact.kind}, disputed",
                _day(fact.valid_from),
                _day(fact.valid_to),
                f"{fact.confidence:.2f}",
                fact.count,
                clean(" | ".join(quote.words for quote in fact.quotes)),
                fact.id,
            ]
            for fact in found
        ],
    )
    return None


def history(found: "Sequence[Fact]") -> None:
    print_table(
        ["Known from", "Known until", "Fact", "From", "Until", "Status", "Said"],
        [
            [
                _when(fact.recorded_at),
                _when(fact.superseded_at),
                clean(fact.text),
                _day(fact.valid_from),
                _day(fact.valid_to),
                fact.status,
                fact.count,
            ]
            for fact in found
        ],
    )


def diff(shown: "Diff | None") -> str:
    if shown is None:
        return "Nothing was written yet."
    if not shown:
        return "Nothing to change." if shown.event == 0 else "Nothing left to show of this write."
    kind = f"write {shown.event}" if shown.event else "a dry run"
    back = f", takes back write {shown.undoes}" if shown.undoes else ""
    back += f", taken back by write {shown.undone_by}" if shown.undone_by else ""
    return f"{shown.action} ({kind}{back}), {_when(shown.at)}\n{clean(str(shown), lines=True)}"


def log(found: "Sequence[Diff]") -> str | None:
    if not found:
        return "Nothing was written yet."
    print_table(
        ["Write", "When", "What", "Changes", "Takes back", "Taken back by"],
        [
            [one.event, _when(one.at), one.action, len(one.differences), one.undoes, one.undone_by]
            for one in found
        ],
    )
    return None


def forgotten(found: "Forgotten") -> str:
    if not found:
        return "Nothing found."
    from mnemon.memory.diff import described

    gone = [*found.episodes, *found.facts, *found.others]
    lines = [f"- {clean(described(one))}" for one in gone]
    lines += [f"~ {clean(described(one))}" for one in found.trimmed]
    return "\n".join(lines) or "- older states in the log"


def plain_forgotten(found: "Forgotten") -> dict[str, object]:
    return {
        "episodes": [one.id for one in found.episodes],
        "facts": [one.id for one in found.facts],
        "trimmed": [one.id for one in found.trimmed],
        "others": [{"kind": one.record_kind, "id": one.id} for one in found.others],
    }


def stats(found: "Stats") -> str | None:
    rows: list[tuple[str, object]] = [
        ("user", clean(found.user)),
        ("turns", found.episodes),
        ("sessions", f"{found.sessions} ({found.summaries} summarised)"),
        ("facts", found.facts),
        ("profile versions", found.profiles),
        ("feedback", found.feedback),
        ("items", found.items),
        ("writes", found.events),
        ("first turn", _when(found.first)),
        ("last turn", _when(found.last)),
        *((f"embeddings {model}", count) for model, count in found.vectors.items()),
        ("embedder", found.embedder),
        *((f"database {name}", value) for name, value in found.store.items()),
    ]
    if found.note:
        rows.append(("note", found.note))
    print_table(["What", "Value"], rows)
    return None


def findings(found: "Findings") -> str:
    lines = [f"repaired: {clean(line)}" for line in found.repaired]
    lines += [f"problem: {clean(line)}" for line in found.problems]
    lines.append(f"{found.checked} records checked, {len(found.problems) or 'no'} problems")
    return "\n".join(lines)


def clean(text: str, *, lines: bool = False) -> str:
    """Text that cannot move the cursor, colour the screen or reverse the line it stands in."""
    return "".join(
        letter
        if (lines and letter == "\n") or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else " "
        if letter in "\n\r\t"
        else "\ufffd"
        for letter in text
    )


def _when(time: datetime | None) -> str:
    return "" if time is None else time.isoformat(sep=" ", timespec="minutes")


def _day(time: datetime | None) -> str:
    return "" if time is None else time.date().isoformat()
