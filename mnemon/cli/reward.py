"""`mnemon reward`: learn a reward head from pairs of replies, and show what one is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import DeviceOption, JsonOption, ModelOption, emit, note, print_table, progress

if TYPE_CHECKING:
    from mnemon.errors import DataError

SHOWN_PROBLEMS = 5


def register(app: typer.Typer) -> None:
    reward = typer.Typer(no_args_is_help=True, help="Learn what a person prefers, for the decoder.")
    reward.command("train")(train)
    reward.command("show")(show)
    app.add_typer(reward, name="reward")


def train(
    pairs: Annotated[
        Path,
        typer.Argument(
            help='Lines of {"prompt", "chosen", "rejected"}, or HH-RLHF\'s two dialogues that begin alike.'
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the head is written.")] = Path(
        "reward-head.safetensors"
    ),
    model: ModelOption = None,
    device: DeviceOption = None,
    ridge: Annotated[float, typer.Option(help="How strongly large weights are discouraged.")] = 300.0,
    held_out: Annotated[
        float, typer.Option(help="Share of the prompts to test on at a time; each is tested on once.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides which prompts are held out together.")] = 0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave lines out that are no pairs, and count them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a Bradley-Terry head on the model's hidden states; prints its card.

    The head is fitted on all pairs. Its accuracy is that of heads that had not seen the pairs they were
    tested on; 0.5 is chance. Use it with `mnemon steer --head FILE`.
    """
    from mnemon.agent.decoding.heads import check_writable
    from mnemon.agent.local import LocalChatModel
    from mnemon.agent.reward_training import read_pairs, train_head
    from mnemon.settings import load_settings

    check_writable(out)
    problems: list[DataError] = []
    found = read_pairs(pairs, on_bad=problems.append if skip_bad else None)
    if problems:
        note(f"{len(problems)} of {len(problems) + len(found)} lines left out:")
        for problem in problems[:SHOWN_PROBLEMS]:
            note(f"  {problem.message}")
    settings = load_settings(model=model, device=device)
    local = LocalChatModel.open(settings.model, device=settings.device)
    with progress("Reading pairs", total=len(found)) as advance:
        head = train_head(
            local,
            found,
            ridge=ridge,
            held_out=held_out,
            seed=seed,
            source=pairs.name,
            on_progress=lambda done, _: advance(done),
        )
    head.save(out)
    note(f"Wrote {out}")
    emit(head.card, as_json=as_json, human=_card)


def show(
    head: Annotated[Path, typer.Argument(help="A file that `mnemon reward train` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """The card of a head: whose it is and how well it did on pairs that it did not see."""
    from mnemon.agent.decoding.heads import RewardHead

    emit(RewardHead.load(head).card, as_json=as_json, human=_card)


def _card(card: object) -> None:
    from mnemon.agent.decoding.heads import HeadCard

    assert isinstance(card, HeadCard)
    rows: list[list[object]] = [
        ["Model", card.model],
        ["Learnt from", card.source],
        ["Pairs fitted on", card.pairs],
        ["Pairs held out", card.held_out_pairs],
        ["Held-out accuracy", f"{card.accuracy:.3f} ± {card.accuracy_stderr:.3f}"],
    ]
    rows += [
        [f"  after {cut} of the reply", f"{value:.3f}"] for cut, value in card.accuracy_by_prefix.items()
    ]
    print_table(["Reward head", ""], rows)
    if card.accuracy < 0.5 + 2 * card.accuracy_stderr:
        note(
            "Not shown to be better than chance (0.5): too few pairs, or choices that this model cannot see."
        )
