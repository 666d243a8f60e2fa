"""Doing the runs of `mnemon eval`: one system, or several beside each other on the same items."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.cli.output import console, emit, note, print_table, progress

if TYPE_CHECKING:
    from mnemon.agent import LocalChatModel, Reply, ReplyOptions
    from mnemon.evals.reader import Grounded, Messages
    from mnemon.evals.registry import Tools, Wanted
    from mnemon.evals.seams import Result
    from mnemon.evals.systems import Equipment
    from mnemon.retrievers import Embedder
    from mnemon.settings import Settings


def measure(
    wanted: "Wanted",
    settings: "Settings",
    out: Path | None,
    *,
    resume: bool,
    equipment: "Equipment | None" = None,
) -> "Result":
    """One run of one system into `out`; None: a fresh folder under the home."""
    from mnemon.evals.registry import make_plan
    from mnemon.evals.run import evaluate

    plan = make_plan(wanted, settings, tools=_tools(settings.home), equipment=equipment)
    title = f"{wanted.task} · {plan.mode} · {wanted.system}"
    folder = out or _fresh_folder(settings.home, f"{wanted.task}-{plan.mode}-{wanted.system}")
    try:
        with progress(title) as advance:
            result = evaluate(plan, folder, resume=resume, advance=advance)
    except KeyboardInterrupt:
        whole = folder if equipment is None else folder.parent
        note(f"Stopped. What is done is kept; go on with the same options and: --out {whole} --resume")
        raise
    for problem in plan.task.problems:
        note(f"left out: {problem}")
    return result


def beside(
    wanted: "Wanted",
    systems: Sequence[str],
    settings: "Settings",
    out: Path | None,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    """Several systems with one embedder: a run each below one folder, one table and one page of all."""
    from mnemon.errors import MissingExtra
    from mnemon.evals.registry import equip
    from mnemon.evals.report import write_report

    folder = out or _fresh_folder(settings.home, f"{wanted.task}-systems")
    equipment = equip(settings, _tools(settings.home))
    left_out = {}
    for name in systems:
        one = replace(wanted, system=name)
        try:
            measure(one, settings, folder / name, resume=resume, equipment=equipment)
        except MissingExtra as error:
            left_out[name] = str(error)
            note(f"left out: {name}: {error}")
    runs = [folder / name for name in systems if name not in left_out]
    written = write_report(runs, folder)
    data = {**_table(runs), "left_out": left_out, **written._asdict()}
    emit(data, as_json=as_json, human=_show)


def _table(folders: Sequence[Path]) -> dict[str, Any]:
    """The headline metrics of the runs, and what may be said of each against the first."""
    from mnemon.evals.compare import compare, load_run
    from mnemon.evals.report import headline_metrics

    runs = [load_run(folder) for folder in folders]
    metrics = headline_metrics(runs)
    # A statistic over a whole run, such as a macro F1, has no pairs to compare.
    main = [name for name in metrics[:1] if any(name in record.metrics for record in runs[0].records)]
    rows = []
    for run in runs:
        row = {"system": run.system, "n": run.result["n"], "metrics": run.result["metrics"], "against": None}
        if run is not runs[0] and main:
            row["against"] = compare(runs[0], run, metrics=main).rows[0].test.difference._asdict()
        rows.append(row)
    about = {key: runs[0].config[key] for key in ("task", "mode", "protocol")}
    return {**about, "headline": metrics, "systems": rows}


def _show(data: dict[str, Any]) -> None:
    first, main = data["systems"][0]["system"], data["headline"][0] if data["headline"] else ""
    shown = [
        *data["headline"],
        *(name for name in ("recall_ms_p50",) if name in data["systems"][0]["metrics"]),
    ]
    lines = []
    for row in data["systems"]:
        values = [_value(row["metrics"].get(name), wide=name == main) for name in shown]
        lines.append([row["system"], row["n"], *values, _value(row["against"], wide=True, sign="+")])
    print_table(["system", "n", *shown, f"{main} − {first}'s"], lines)
    say = console().print
    say(
        f"{data['task']}, {data['mode']}, {data['protocol']} protocol; in brackets 95 % intervals, bootstrap "
        "over whole conversations or persons"
    )
    say(f"page: {data['html']}\ntable: {data['markdown']}")


def _value(interval: Any, *, wide: bool, sign: str = "") -> str:
    """A value, with its interval where there is room."""
    if interval is None:
        return ""
    value = interval["value"]
    text = f"{value:{sign}.3f}" if abs(value) < 1.5 else f"{value:.1f}"
    if wide and interval["low"] is not None:
        text += f" [{interval['low']:{sign}.3f}, {interval['high']:{sign}.3f}]"
    return text


@cache
def _tools(home: Path) -> "Tools":
    from mnemon.evals.registry import Tools

    return Tools(cache=partial(_cached, home), grounded=_grounded)


def _cached(home: Path, embedder: "Embedder") -> "Embedder":
    """Texts are embedded once for all systems and runs; queries each time, because they are timed."""
    from mnemon.evals.systems import TextsCached
    from mnemon.retrievers import CachedEmbedder
    from mnemon.retrievers.embedding_cache import SqliteCache

    cache = SqliteCache(home / "cache" / "eval-embeddings.sqlite")
    return TextsCached(embedder, CachedEmbedder(embedder, cache))


def _grounded(model: "LocalChatModel", strength: float) -> "Grounded":
    """The assistant's way of holding a local model to what it was given."""
    from mnemon.agent.decoding.presets import grounding
    from mnemon.agent.decoding.steering import Branch

    def reply(messages: "Messages", alone: "Messages", options: "ReplyOptions") -> "Reply":
        without = Branch(name="without memories", messages=tuple(alone))
        return model.steer(messages, grounding(without, lam=strength), options=options).reply

    return reply


def _fresh_folder(home: Path, name: str) -> Path:
    from datetime import datetime

    return home / "evals" / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
