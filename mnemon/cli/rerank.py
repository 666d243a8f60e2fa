"""`mnemon rerank`: train the ranker of memories, and say what one was trained on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import (
    DeviceOption,
    EmbedderOption,
    JsonOption,
    console,
    emit,
    note,
    plain,
    print_table,
)

if TYPE_CHECKING:
    from mnemon.evals.held_out import HeadGain, HeldOut
    from mnemon.evals.seams import Interval
    from mnemon.retrievers import Embedder
    from mnemon.retrievers.trunk import Trunk
    from mnemon.settings import Settings

rerank = typer.Typer(help="Train the ranker of memories, or show one.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(rerank, name="rerank")


LICENSED = {"realmem": "RealMem (Apache-2.0)"}  # how a card names data whose licence is known


@rerank.command()
def train(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="RealMem folders or *.json, or *.jsonl histories.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder for trunk.npz, sessions.npz and card.json.")
    ] = Path("ranker"),
    made_up: Annotated[int, typer.Option(help="How many made-up histories to add.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Same seed and data, same ranker.")] = 0,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the rankers of turns and of sessions on histories whose evidence is known."""
    from mnemon.errors import UsageError
    from mnemon.retrievers.pairs import checksum, load_histories
    from mnemon.retrievers.synthetic import histories
    from mnemon.retrievers.train import Recipe, train_rankers
    from mnemon.settings import load_settings

    given = paths or []
    if not given and not made_up:
        raise UsageError("There is nothing to train on.", hint="Give a path, or --made-up 24.")
    settings = load_settings(embedder=embedder, device=device)
    data = [history for path in given for history in load_histories(path, seed=seed)]
    data += histories(made_up, seed=seed)
    note(f"{len(data)} histories, {sum(len(history.examples) for history in data)} questions")
    model = _embedder(settings)
    files = [f"{LICENSED.get(path.name.lower(), path.name)} {checksum(path)}" for path in given]
    source = ", ".join([*files, f"{made_up} made-up histories"])
    trained = train_rankers(data, model, recipe=Recipe(seed=seed), source=source)
    output.mkdir(parents=True, exist_ok=True)
    trained.turns.save(output / "trunk.npz")
    trained.sessions.save(output / "sessions.npz")
    (output / "card.json").write_text(json.dumps(plain(trained.card), indent=2) + "\n", encoding="utf-8")
    emit(trained.card, as_json=as_json, human=lambda card: f"{output}: held out {card['held_out']}")


@rerank.command("held-out")
def held_out(
    task: Annotated[str, typer.Argument(help="A benchmark whose evidence are turns: locomo, beam.")],
    data: Annotated[Path, typer.Option("--data", help="The benchmark's own file or folder.")],
    choices: Annotated[
        int, typer.Option(help="Questions of each person whose evidence a head learns from.", min=1)
    ] = 20,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recall of the shipped ranker adapted to the other conversations, and what choices add to it."""
    from dataclasses import asdict

    from mnemon.errors import UsageError
    from mnemon.evals import held_out as measure
    from mnemon.evals.benchmark import Opening
    from mnemon.evals.registry import TASKS
    from mnemon.retrievers.trunk import shipped_trunk
    from mnemon.settings import load_settings

    if task not in TASKS:
        raise UsageError(f"no benchmark is named {task!r}.", hint=f"Benchmarks: {', '.join(TASKS)}.")
    settings = load_settings(embedder=embedder, device=device)
    asked = measure.pools(TASKS[task](Opening(path=data)), _embedder(settings))
    trunk = shipped_trunk()
    learnt = measure.held_out(asked, trunk, advance=lambda done, of: note(f"left out: {done} of {of}"))
    head = measure.head_gain(asked, trunk, choices=choices)
    found = {"learnt": asdict(learnt), "head": asdict(head)}
    emit(found, as_json=as_json, human=lambda _: _print_held_out(learnt, head))


@rerank.command()
def kin(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the table goes.")] = Path("kin.npz"),
    word: Annotated[
        list[str] | None, typer.Option("--word", help="Only show the relatives of this word.")
    ] = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the table of words that go together, which ranking uses; or look words up in the shipped one."""
    from mnemon.errors import UsageError
    from mnemon.models import model_path
    from mnemon.retrievers.kin import make, shipped_kin, vocabulary
    from mnemon.retrievers.text import Tokenizer
    from mnemon.settings import load_settings

    if word:
        table, stems = shipped_kin(), Tokenizer("english")
        found = {one: {r.stem: r.likeness for stem in stems(one) for r in table.of(stem)} for one in word}
        emit(found, as_json=as_json, human=_print_kin)
        return
    settings = load_settings(embedder=embedder, device=device)
    model = _embedder(settings)
    if model is None:
        raise UsageError("Words are compared by an embedder.", hint="Name one with --embedder.")
    made = make(vocabulary(model_path(settings.embedder)), model)
    made.save(output)
    emit(
        {"output": str(output), "words": len(made)},
        as_json=as_json,
        human=lambda data: f"{data['output']}: {data['words']:,} words",
    )


def _print_kin(found: dict[str, dict[str, float]]) -> None:
    rows = [
        (word, ", ".join(f"{stem} {likeness:.2f}" for stem, likeness in reversed(relatives.items())))
        for word, relatives in found.items()
    ]
    print_table(["Word", "Goes together with (stems, most alike first)"], rows)


@rerank.command()
def show(
    path: Annotated[
        Path | None, typer.Argument(help="A trunk.npz; the shipped one if left out.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What a ranker was trained on, and how much each feature weighs in it."""
    from mnemon.retrievers.features import FEATURES
    from mnemon.retrievers.trunk import load_trunk, shipped_trunk

    trunk = shipped_trunk() if path is None else load_trunk(path, features=FEATURES)
    straight = trunk.weights[: len(FEATURES)] * (trunk.scale > 0)
    weights = dict(sorted(zip(FEATURES, straight.tolist(), strict=True), key=lambda item: -abs(item[1])))
    data = {"features": len(FEATURES), "rank": trunk.rank, "card": trunk.card, "weights": weights}
    emit(data, as_json=as_json, human=lambda _: _print(trunk, weights))


def _embedder(settings: "Settings") -> "Embedder | None":
    """The embedder of the settings; texts that were embedded before are looked up."""
    from mnemon.retrievers import CachedEmbedder, SentenceEmbedder
    from mnemon.retrievers.embedding_cache import SqliteCache

    if settings.embedder == "none":
        return None
    model = SentenceEmbedder(settings.embedder, device=settings.device)
    return CachedEmbedder(model, SqliteCache(settings.home / "cache" / "eval-embeddings.sqlite"))


def _print_held_out(learnt: "HeldOut", head: "HeadGain") -> None:
    rows = [(name, f"{value:.3f}") for name, value in learnt.by_conversation.items()]
    print_table(["Left out", "Recall at 10"], [*rows, ("all", _interval(learnt.recall))])
    console().print(
        f"A head after {head.choices} choices, {head.people} people, {head.questions} later questions:"
        f" MRR {head.trunk:.3f} → {head.head:.3f}, gain {_interval(head.gain)}"
    )


def _interval(found: "Interval") -> str:
    bounds = "" if found.low is None or found.high is None else f" [{found.low:.4f}, {found.high:.4f}]"
    return f"{found.value:.4f}{bounds}"


def _print(trunk: "Trunk", weights: dict[str, float]) -> None:
    for name, value in trunk.card.items():
        console().print(f"{name}: {value}")
    rows = [(name, f"{weight:+.3f}") for name, weight in weights.items() if weight]
    print_table(["Feature", "Weight, per standard deviation"], rows)
