"""`mnemon eval`: run a benchmark, list what there is, report on runs, compare two."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mnemon.cli import eval_reports
from mnemon.cli.eval_runs import beside, measure
from mnemon.cli.output import (
    DeviceOption,
    EmbedderOption,
    JsonOption,
    ModelOption,
    console,
    emit,
    print_table,
)

if TYPE_CHECKING:
    from mnemon.evals.seams import Result


MAIN_METRIC = "recall@10"  # shown by group; the first metric where a run has no such


class _TaskFirst(TyperGroup):
    """`mnemon eval locomo ...` is short for `mnemon eval run locomo ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    area = typer.Typer(
        cls=_TaskFirst,
        no_args_is_help=True,
        help="Measure memory on benchmarks: `mnemon eval TASK --data PATH`, e.g. `mnemon eval locomo "
        "--data locomo10.json`. The options of a run: `mnemon eval run --help`.",
    )
    area.command("run")(_run)
    area.command("list")(_list)
    eval_reports.register(area)
    app.add_typer(area, name="eval")


def _run(
    task: Annotated[
        str, typer.Argument(help="locomo, longmemeval, beam, realmem, prefeval, lamp or steering.")
    ],
    data: Annotated[Path, typer.Option("--data", help="The benchmark's own file or folder.")],
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            help="retrieval (default where there is one), qa, or mcq (multiple choice).",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            help="What is measured, see `mnemon eval list`; given again, several beside each other. "
            "peers: mnemon and all that one might take instead.  \\[default: mnemon]",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="Who judges answers: local, local:NAME, or MODEL@URL of an endpoint."),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="official (the data as released) or cleaned (repaired).")
    ] = "official",
    variant: Annotated[
        str, typer.Option("--variant", help="A benchmark's own variant; see `mnemon eval list`.")
    ] = "",
    limit: Annotated[int | None, typer.Option("--limit", help="Only so many items, drawn by --seed.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", help="Turns that reach the model (qa, mcq).")] = 10,
    context_tokens: Annotated[
        int | None, typer.Option("--context-tokens", help="Most tokens of history in a prompt (qa, mcq).")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", help="Longest answer; default: the benchmark's.")
    ] = None,
    grounding: Annotated[
        float,
        typer.Option("--grounding", help="Hold a local model to the recalled history: 0 off, 1 usual (qa)."),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Draws samples, option orders, intervals.")] = 0,
    exclude: Annotated[
        Path | None,
        typer.Option(
            "--exclude", help="Item ids with known-wrong keys, one a line: scores with and without."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave unreadable items out, and count them.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="The run's directory.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a benchmark and print its metrics with 95 % intervals; of several systems, one table."""
    from mnemon.errors import UsageError
    from mnemon.evals.registry import Wanted
    from mnemon.evals.systems import named_systems
    from mnemon.settings import load_settings

    settings = load_settings(model=model, embedder=embedder, device=device)
    if resume and out is None:
        raise UsageError("--resume needs to know which run.", hint="Name its directory with --out.")
    wanted = Wanted(
        task=task,
        data=data,
        mode=mode,
        protocol=protocol,
        variant=variant,
        judge=judge,
        k=top_k,
        limit=limit,
        seed=seed,
        skip_bad=skip_bad,
        exclude=exclude,
        context_tokens=context_tokens,
        max_tokens=max_tokens,
        grounding=grounding,
    )
    systems = named_systems(system or ["mnemon"])
    if len(systems) > 1:
        beside(wanted, systems, settings, out, resume=resume, as_json=as_json)
        return
    result = measure(replace(wanted, system=systems[0]), settings, out, resume=resume)
    emit(result.to_json(), as_json=as_json, human=lambda _: _show(result))


def _show(result: "Result") -> None:
    labels = result.run["group_labels"]
    rows = [[name, *_numbers(interval)] for name, interval in result.metrics.items()]
    print_table(["metric", "value", "95 % interval"], rows)
    main = MAIN_METRIC if MAIN_METRIC in result.metrics else next(iter(result.metrics), None)
    if main is not None and result.by:
        lines = []
        for group, metrics in result.by.items():
            shown = [result.run["counts"][group], *(_numbers(metrics[main]) if main in metrics else ["", ""])]
            lines.append([f"{group} {labels[group]}" if group in labels else group, *shown])
        print_table(["group", "n", main, "95 % interval"], lines)
    say = console().print
    say(f"{result.task}, {result.mode}, {result.protocol} protocol: n = {result.n}")
    if result.unscored:
        say(f"{result.unscored} items have something unscored: {result.run['unscored_reasons']}")
    if result.run["judge_agreement"]:
        say(result.run["judge_agreement"]["text"])
    if result.run["skipped_bad_items"]:
        say(f"{len(result.run['skipped_bad_items'])} unreadable items were left out")
    say(f"run: {result.run['dir']}")


def _numbers(interval: Any) -> list[str]:
    value, low, high = interval
    spread = f"{_short(low)} – {_short(high)}" if low is not None else "one cluster: none"
    return [_short(value), spread]


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def _list(as_json: JsonOption = False) -> None:
    """The tasks, their modes and variants, and the systems."""
    from mnemon.evals.registry import TASKS
    from mnemon.evals.systems import SYSTEMS

    tasks = {
        name: {"modes": sorted(task.modes), "variants": list(task.variants), "about": task.about}
        for name, task in TASKS.items()
    }
    systems = {name: {"about": entry.about, "extra": entry.extra} for name, entry in SYSTEMS.items()}

    def show(_: object) -> None:
        print_table(
            ["task", "modes", "variants", "about"],
            [
                [name, " ".join(task.modes), " ".join(task.variants), task.about]
                for name, task in TASKS.items()
            ],
        )
        print_table(
            ["system", "extra", "about"],
            [[name, entry.extra, entry.about] for name, entry in SYSTEMS.items()],
        )

    emit({"tasks": tasks, "systems": systems}, as_json=as_json, human=show)
