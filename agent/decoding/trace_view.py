"""A trace for people: coloured in the terminal, or one self-contained HTML page.

Both show every token on a shade of how much steering moved it, mark those that the base model would not have
written, and list λ, divergence and each trait's share. Knows traces; computes nothing new.
"""

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from mnemon.agent.decoding.trace import TokenTrace, Trace

if TYPE_CHECKING:
    from rich.console import RenderableType

_LEVELS = (0.0, 0.02, 0.1, 0.3)  # nats: where the next shade begins
# Each names its letters' colour too: a terminal may be light or dark.
_STYLES = (
    "",
    "grey100 on grey35",
    "grey100 on dark_green",
    "grey0 on dark_goldenrod",
    "grey100 on dark_red",
)


def level(token: TokenTrace) -> int:
    """0 (untouched) to 4, by the step's divergence."""
    if token.kl <= 0:
        return 0
    return sum(token.kl > edge for edge in _LEVELS)


def summary(trace: Trace) -> str:
    """One line: what steered, how far it went, what it changed."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted_shares(trace))
    line = (
        f"{trace.steering} on {trace.model}: {trace.changed} of {len(trace.tokens)} tokens changed, "
        f"divergence {trace.kl:.2f} nats"
    )
    return f"{line} ({shares})" if shares else line


def sorted_shares(trace: Trace) -> list[tuple[str, float]]:
    return sorted(trace.shares().items(), key=lambda item: -item[1])


def notes(trace: Trace) -> list[str]:
    """What steering had to say, each once, with how often."""
    counted: dict[str, int] = {}
    for token in trace.tokens:
        if token.note:
            counted[token.note] = counted.get(token.note, 0) + 1
    return [f"{note} ({times}×)" for note, times in counted.items()]


def terminal_view(trace: Trace, *, table: bool = False) -> "RenderableType":
    """The reply with shaded tokens, underlined where steering changed them; `table` adds a row per token."""
    from rich.console import Group
    from rich.text import Text

    text = Text()
    for token in trace.tokens:
        style = _STYLES[level(token)] + (" underline" if token.changed else "")
        text.append(token.text, style=style.strip())
    parts: list[RenderableType] = [text, Text(), Text(summary(trace), style="dim")]
    if any(level(token) for token in trace.tokens):
        parts.append(_legend())
    parts += [Text(note, style="yellow") for note in notes(trace)]
    if table:
        parts.append(_table(trace))
    return Group(*parts)


def _legend() -> "RenderableType":
    from rich.text import Text

    edges = [f"≤ {edge:g}" for edge in _LEVELS[1:]] + [f"> {_LEVELS[-1]:g}"]
    legend = Text.assemble(*((f" {edge} ", style) for edge, style in zip(edges, _STYLES[1:], strict=True)))
    legend.append(" nats at a token; ", "dim")
    legend.append("underlined", "dim underline")
    return legend.append(": the base model would have written another", "dim")


def _number(value: float, form: str) -> str:
    """Nothing for zero: most tokens are left alone, and the eye should find the others."""
    return format(value, form) if value else ""


def _table(trace: Trace) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    traits = list(trace.shares())
    for name in ("token", "base", "steered", "λ", "KL", *traits, "instead of", "note"):
        table.add_column(name, justify="left" if name in ("token", "instead of", "note") else "right")
    for token in trace.tokens:
        table.add_row(
            Text(repr(token.text)[1:-1]),
            f"{token.base_probability:.3f}",
            f"{token.steered_probability:.3f}",
            _number(token.lam, ".2f"),
            _number(token.kl, ".3f"),
            *(_number(token.contributions.get(trait, 0.0), "+.2f") for trait in traits),
            Text(repr(token.instead_of)[1:-1]),
            Text(token.note),
        )
    return table


def html_page(trace: Trace, *, title: str = "A steered reply") -> str:
    """One page without scripts or anything from elsewhere; hover over a token to see its numbers."""
    page = Template(files("mnemon.agent.decoding").joinpath("trace_page.html").read_text(encoding="utf-8"))
    shares = "".join(
        f'<li><span class="bar" style="width:{share:.1%}"></span>{escape(name)} {share:.0%}</li>'
        for name, share in sorted_shares(trace)
    )
    return page.substitute(
        title=escape(title),
        summary=escape(summary(trace)),
        notes="".join(f"<p class='note'>{escape(note)}</p>" for note in notes(trace)),
        shares=f"<h2>What each trait added</h2><ul class='shares'>{shares}</ul>" if shares else "",
        steps=_steps(trace),
        swaps=_swaps(trace),
        tokens="".join(_span(token) for token in trace.tokens),
        rows="".join(_row(token, list(trace.shares())) for token in trace.tokens),
        traits="".join(f"<th>{escape(trait)}</th>" for trait in trace.shares()),
    )


def _steps(trace: Trace) -> str:
    """A bar for each token, as high as its divergence."""
    highest = max((token.kl for token in trace.tokens), default=0.0)
    if highest <= 0:
        return ""
    bars = "".join(
        f'<i class="k{level(token)}" style="height:{token.kl / highest:.1%}"></i>' for token in trace.tokens
    )
    return (
        f"<h2>Divergence, token by token</h2><div class='steps'>{bars}</div><p class='dim'>The highest "
        f"is {highest:.3f} nats. All together are {trace.kl:.2f}, which bounds how far the reply drifted.</p>"
    )


def _swaps(trace: Trace) -> str:
    swaps = [
        f"<li><del>{escape(token.instead_of.strip() or repr(token.instead_of))}</del> "
        f"{escape(token.text.strip() or repr(token.text))}</li>"
        for token in trace.tokens
        if token.changed
    ]
    return (
        f"<h2>What the base model would have written</h2><ul class='swaps'>{''.join(swaps)}</ul>"
        if swaps
        else ""
    )


def _span(token: TokenTrace) -> str:
    told = [
        f"base {token.base_probability:.3f} → steered {token.steered_probability:.3f}",
        f"λ {token.lam:.2f}, KL {token.kl:.3f}",
        *(f"{name} {value:+.2f}" for name, value in token.contributions.items()),
    ]
    if token.changed:
        told.append(f"instead of {token.instead_of!r}")
    if token.note:
        told.append(token.note)
    kind = f"t k{level(token)}" + (" changed" if token.changed else "")
    return f'<span class="{kind}" title="{escape(chr(10).join(told))}">{escape(token.text)}</span>'


def _row(token: TokenTrace, traits: list[str]) -> str:
    numbers = [
        f"{token.base_probability:.3f}",
        f"{token.steered_probability:.3f}",
        _number(token.lam, ".2f"),
        _number(token.kl, ".3f"),
        *(_number(token.contributions.get(trait, 0.0), "+.2f") for trait in traits),
    ]
    cells = "".join(f"<td>{number}</td>" for number in numbers)
    instead = escape(repr(token.instead_of)) if token.changed else ""
    return (
        f"<tr{' class=changed' if token.changed else ''}><th>{escape(repr(token.text))}</th>{cells}"
        f"<td>{instead}</td><td>{escape(token.note)}</td></tr>"
    )
