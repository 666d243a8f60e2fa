"""`mnemon steer`: one steered reply, and what steering did to it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import DeviceOption, EngineOption, JsonOption, ModelOption, console, emit, note

if TYPE_CHECKING:
    from mnemon.agent.decoding import Steering, Term, Trace
    from mnemon.agent.decoding.steering import LambdaPolicy


HEAD_READS = 10  # likeliest tokens that a reward head chooses among


def register(app: typer.Typer) -> None:
    app.command("steer")(steer)


def steer(
    prompt: Annotated[str, typer.Argument(help="What to answer.")],
    towards: Annotated[
        list[str] | None,
        typer.Option("--towards", "-t", help="A trait in words, such as 'Be brief.'; may be repeated."),
    ] = None,
    away_from: Annotated[
        list[str] | None,
        typer.Option("--away-from", "-a", help="The opposite of the trait at the same place."),
    ] = None,
    traits: Annotated[
        list[str] | None,
        typer.Option("--trait", help="A trait that can be counted: 'short sentences', plain, brief, ..."),
    ] = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option("--head", help="A reward head from `mnemon reward train`; may be repeated."),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="Divergence allowed per token, in nats.")] = 0.2,
    max_tokens: Annotated[int, typer.Option(help="The longest reply.")] = 120,
    table: Annotated[bool, typer.Option("--table", help="Show a line for every token.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the trace as one page.")] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer under traits; tokens are shaded by how much steering moved them."""
    from mnemon.agent.decoding.policies import ReplyBudget
    from mnemon.agent.decoding.trace_view import html_page, terminal_view
    from mnemon.agent.local import LocalChatModel
    from mnemon.agent.seams import ReplyOptions
    from mnemon.settings import load_settings

    if html is not None:
        _check_page(html)
    policy = ReplyBudget(epsilon)
    terms = _terms(towards or [], away_from or [], traits or [], heads or [])
    settings = load_settings(model=model, device=device, engine=engine)
    local = LocalChatModel.open(settings.model, device=settings.device, engine=settings.engine)
    steering = _steering(terms, _rules(traits or [], local.codec.end_ids, prompt), policy)
    messages = [{"role": "user", "content": prompt}]
    trace: Trace = local.steer(messages, steering, options=ReplyOptions(max_tokens=max_tokens)).reply.trace  # type: ignore[attr-defined]
    if html is not None:
        html.write_text(html_page(trace, title=prompt), encoding="utf-8")
        note(f"Wrote {html}")
    emit(trace.to_dict(), as_json=as_json, human=lambda _: console().print(terminal_view(trace, table=table)))


def _check_page(file: Path) -> None:
    from mnemon.errors import UsageError

    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise UsageError(
            f"No page can be written to {str(file)!r}.", hint="Name a file in a folder of yours: --html FILE"
        )


def _terms(towards: list[str], away_from: list[str], traits: list[str], heads: list[Path]) -> "list[Term]":
    """Traits in words and learnt heads; rules wait for the model."""
    from mnemon.agent.decoding import RewardHead, Term, attribute
    from mnemon.agent.decoding.traits import check_traits
    from mnemon.errors import UsageError

    if not towards and not traits and not heads:
        raise UsageError(
            "There is nothing to steer towards.",
            hint="Give --trait brief, or --towards 'Answer in one sentence.'",
        )
    check_traits(traits)
    if len(away_from) > len(towards):
        raise UsageError(f"{len(away_from)} opposites were given for {len(towards)} traits in words.")
    opposites = [*away_from, *[None] * (len(towards) - len(away_from))]
    contrasts = [
        Term(name=told, reward=attribute(told, told, opposite=opposite))
        for told, opposite in zip(towards, opposites, strict=True)
    ]
    return contrasts + [Term(name=file.stem, reward=RewardHead.load(file)) for file in heads]


def _rules(traits: list[str], end_ids: frozenset[int], asked: str) -> "list[Term]":
    from mnemon.agent.decoding.traits import trait

    return [term for name in traits for term in trait(name, end_ids=end_ids, asked=asked)]


def _steering(terms: "list[Term]", rules: "list[Term]", policy: "LambdaPolicy") -> "Steering":
    from mnemon.agent.decoding import RewardHead, budgeted
    from mnemon.agent.decoding.presets import on_topic

    heads = any(isinstance(term.reward, RewardHead) for term in terms)
    topic = [on_topic()] if rules or heads else []
    # Each candidate that a head reads costs a column of the step.
    return budgeted([*terms, *rules, *topic], policy=policy, top=HEAD_READS if heads else 64)
