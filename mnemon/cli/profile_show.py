"""How profiles and personas look on a terminal. rich is imported when something is shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnemon.cli.output import console

if TYPE_CHECKING:
    from rich.text import Text

    from mnemon.profiles import Leaning, Profile, Statement

BAR = 10  # characters of a weight's bar on each side of its middle
_USER = ("The user's ", "The user ")


def profile(found: "Profile") -> None:
    from rich.text import Text

    out = console()
    if not found:
        out.print("Nothing is known yet.", style="dim")
        return
    for section, statements in found.sections.items():
        out.print(Text(section.capitalize(), style="bold cyan"))
        for one in statements:
            line = Text("  ")
            line.append(_short(one.text))
            if one.sensitive:
                line.append(f"  [{one.sensitive}]", style="yellow")
            if one.source == "hand":
                line.append("  by hand", style="magenta")
            if one.said_at is not None:
                line.append(f"  {one.said_at:%Y-%m-%d}", style="dim")
            out.print(line)
    if found.persona:
        out.print(Text("How to answer", style="bold cyan"))
        leanings(found.persona.leanings)
    if found.persona.parents:
        out.print(Text(f"  follows {', '.join(found.persona.parents)}", style="dim"))


def leanings(found: Sequence["Leaning"]) -> None:
    """A line for each trait: a bar from −1 to 1, how sure, when, and where it comes from."""
    from rich.text import Text

    out = console()
    width = max((len(one.trait) for one in found), default=0)
    for one in found:
        line = Text(f"  {one.trait:<{width}}  ")
        line.append_text(_bar(one.weight))
        line.append(f"  {one.weight:+.2f}")
        line.append(f"  sure {one.confidence:.2f}  {one.origin}", style="dim")
        if one.level != "user":
            line.append(f"  {one.level}", style="dim")
        if one.when:
            line.append(f"  when {one.when}", style="yellow")
        out.print(line)


def _bar(weight: float) -> "Text":
    from rich.text import Text

    filled = round(abs(weight) * BAR)
    left = ("█" * filled if weight < 0 else "").rjust(BAR, "·")
    right = ("█" * filled if weight > 0 else "").ljust(BAR, "·")
    bar = Text(left, style="red")
    bar.append("│", style="dim")
    bar.append(right, style="green")
    return bar


def evidence(statements: Sequence["Statement"], traits: Sequence["Leaning"]) -> None:
    from rich.text import Text

    out = console()
    for one in statements:
        out.print(Text(f"{one.text}", style="bold"))
        out.print(Text(f"  {one.key}  confidence {one.confidence:.2f}  by {one.source}", style="dim"))
        for quote in one.quotes:
            out.print(Text(f"  “{quote.words}”  {quote.episode_id}"))
    for leaning in traits:
        out.print(Text(str(leaning), style="bold"))
        out.print(Text(f"  {leaning.origin}, confidence {leaning.confidence:.2f}", style="dim"))
        if leaning.quote:
            day = f"{leaning.since:%Y-%m-%d}" if leaning.since is not None else ""
            out.print(Text(f"  “{leaning.quote}”  {day}"))
        for name in leaning.evidence:
            out.print(Text(f"  {name}", style="dim"))


def history(steps: Sequence[dict[str, Any]]) -> None:
    from rich.text import Text

    out = console()
    if not steps:
        out.print("No version was kept yet: `mnemon profile refresh`", style="dim")
    for step in steps:
        note = f"  {step['note']}" if step["note"] else ""
        out.print(Text(f"{step['at']:%Y-%m-%d %H:%M}  {step['version']}{note}", style="bold"))
        for line in step["changes"].splitlines():
            style = {"+": "green", "-": "red", "~": "yellow"}.get(line[:1], "dim")
            out.print(Text(f"  {line}", style=style))


def markdown(found: "Profile") -> str:
    lines = ["# Profile", ""]
    for section, statements in found.sections.items():
        lines += [f"## {section.capitalize()}", ""]
        for one in statements:
            mark = f" *({one.sensitive})*" if one.sensitive else ""
            words = "".join(f" — “{quote.words}”" for quote in one.quotes[:1])
            lines.append(f"- {one}{mark}{words}")
        lines.append("")
    if found.persona:
        lines += ["## How to answer", "", *(f"- {one}" for one in found.persona.leanings), ""]
    return "\n".join(lines)


def plain_profile(found: "Profile") -> dict[str, object]:
    """For JSON: sections rather than one list."""
    return {
        "version": found.version,
        "recorded_at": found.recorded_at,
        "sections": found.sections,
        "persona": found.persona,
        "allowed": found.allowed,
    }


def _short(text: str) -> str:
    """Without "The user", which every line would begin with."""
    start = next((start for start in _USER if text.startswith(start)), "")
    rest = text.removeprefix(start)
    return rest[:1].upper() + rest[1:]
