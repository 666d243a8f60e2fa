"""From names to objects: the one place where strings become tasks, systems, readers and judges."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mnemon.errors import DataError, UsageError
from mnemon.evals.beam import BEAM
from mnemon.evals.benchmark import Benchmark, Opening
from mnemon.evals.lamp import LaMP
from mnemon.evals.loading import read_text
from mnemon.evals.locomo import LoCoMo
from mnemon.evals.longmemeval import LongMemEval
from mnemon.evals.prefeval import PrefEval
from mnemon.evals.realmem import RealMem
from mnemon.evals.run import Plan
from mnemon.evals.seams import DataProtocol, Judge, Mode, Reader
from mnemon.evals.steering import Steering
from mnemon.evals.systems import Equipment, open_system
from mnemon.retrievers import Embedder, SentenceEmbedder
from mnemon.settings import Settings

if TYPE_CHECKING:
    from mnemon.agent import LocalChatModel
    from mnemon.evals.reader import Grounded

TASKS: dict[str, type[Benchmark]] = {
    task.name: task for task in (LoCoMo, LongMemEval, BEAM, RealMem, PrefEval, LaMP, Steering)
}


Cache = Callable[[Embedder], Embedder]  # an embedder → one that keeps what it embedded
LONGEST_ANSWER = 256  # tokens kept free for the answer
ENDPOINT_CONTEXT = 32_000  # tokens of history for a model that does not say what it can hold


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asked for."""

    task: str
    data: Path
    mode: str | None = None  # None: retrieval where the task has it, else qa
    system: str = "mnemon"
    protocol: str = "official"
    variant: str = ""
    judge: str | None = None
    k: int = 10
    limit: int | None = None
    seed: int = 0
    skip_bad: bool = False
    exclude: Path | None = None
    context_tokens: int | None = None
    max_tokens: int | None = None
    grounding: float = 0.0


def _as_it_is(embedder: Embedder) -> Embedder:
    return embedder


def _no_steering(model: "LocalChatModel", strength: float) -> "Grounded":
    raise UsageError(f"grounding {strength!r} was asked of {model.name!r}, but no steering was given.")


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the caller brings: where vectors are kept, and how a local model is held to its context."""

    cache: Cache = _as_it_is
    grounded: "Callable[[LocalChatModel, float], Grounded]" = _no_steering


NO_TOOLS = Tools()


def equip(settings: Settings, tools: Tools = NO_TOOLS) -> Equipment:
    """What systems are built with; give it to several plans, and they share one embedder."""
    return Equipment(embedder=embedder_opener(settings, tools.cache))


def make_plan(
    wanted: Wanted, settings: Settings, *, tools: Tools = NO_TOOLS, equipment: Equipment | None = None
) -> Plan:
    """Everything a run needs; nothing heavy is loaded unless the run will use it."""
    mode = _check(wanted)
    protocol: DataProtocol = wanted.protocol  # type: ignore[assignment]
    excluded = read_exclusions(wanted.exclude) if wanted.exclude else frozenset()
    task = TASKS[wanted.task](
        Opening(
            path=wanted.data,
            mode=mode,
            protocol=protocol,
            variant=wanted.variant,
            skip_bad=wanted.skip_bad,
            seed=wanted.seed,
            exclude=excluded,
        )
    )
    unknown = sorted(excluded - {case.id for case in task.cases()})
    if unknown:
        raise UsageError(f"{wanted.exclude}: no item is named {unknown[0]!r} ({len(unknown)} unknown names).")
    system = open_system(wanted.system, equipment or equip(settings, tools))
    if mode == "retrieval" and not system.ranks:
        raise UsageError(
            f"the system {wanted.system!r} ranks nothing, so it has no retrieval to measure.",
            hint="Measure it with --mode qa.",
        )
    return Plan(
        task=task,
        system=system,
        mode=mode,
        protocol=protocol,
        variant=task.variant,
        reader=None if mode == "retrieval" else open_reader(wanted, settings, tools),
        judge=open_judge(wanted.judge) if wanted.judge else None,
        k=wanted.k,
        limit=wanted.limit,
        seed=wanted.seed,
        exclude=excluded,
        data_path=str(wanted.data),
    )


def _check(wanted: Wanted) -> Mode:
    """Refuse what cannot be, and settle the mode."""
    if wanted.task not in TASKS:
        raise UsageError(f"no task is named {wanted.task!r}.", hint=f"Tasks: {', '.join(TASKS)}.")
    mode = wanted.mode or ("retrieval" if "retrieval" in TASKS[wanted.task].modes else "qa")
    for value, allowed, option in (
        (mode, get_args(Mode), "--mode"),
        (wanted.protocol, get_args(DataProtocol), "--protocol"),
    ):
        if value not in allowed:
            raise UsageError(f"{option} is {value!r}; expected {' or '.join(allowed)}.")
    if wanted.limit is not None and wanted.limit < 1:
        raise UsageError(f"--limit is {wanted.limit!r}; expected 1 or more.")
    if wanted.k < 1:
        raise UsageError(f"--top-k is {wanted.k!r}; expected 1 or more.")
    if not 0 <= wanted.grounding <= 10:
        raise UsageError(f"--grounding is {wanted.grounding!r}; expected 0 (off) to 10, 1 is usual.")
    if wanted.judge and mode != "qa":
        raise UsageError("a judge reads answers: --judge goes with --mode qa.")
    return mode  # type: ignore[return-value]  # one of them, as was just checked


def read_exclusions(file: Path) -> frozenset[str]:
    """Item ids, one a line; what follows "#" is a remark."""
    names = [line.partition("#")[0].strip() for line in read_text(file).splitlines()]
    found = frozenset(name for name in names if name)
    if not found:
        raise DataError(f"{file}: no item ids here; expected one a line, such as conv-26/12.")
    return found


def embedder_opener(settings: Settings, cache: Cache) -> Callable[[], Embedder | None]:
    """Opens the embedder of the settings once. "none" is no embedder; "hash" the fast test double."""

    @functools.cache
    def open_embedder() -> Embedder | None:
        if settings.embedder == "none":
            return None
        if settings.embedder == "hash":
            from mnemon.testing import HashEmbedder

            return HashEmbedder()
        return cache(SentenceEmbedder(settings.embedder, device=settings.device))

    return open_embedder


def open_reader(wanted: Wanted, settings: Settings, tools: Tools) -> Reader:
    """A local model by name or path, or MODEL@URL of an OpenAI-compatible endpoint."""
    from mnemon.evals.reader import OVERHEAD_TOKENS, ModelReader

    name, _, url = settings.model.partition("@http")
    if url:
        from mnemon.agent import EndpointChatModel

        if wanted.grounding:
            raise UsageError("--grounding steers a local model; an endpoint cannot be steered.")
        room = wanted.context_tokens or ENDPOINT_CONTEXT
        endpoint = EndpointChatModel("http" + url, name, key=os.environ.get("OPENAI_API_KEY"))
        return ModelReader(model=endpoint, context_tokens=room, max_tokens=wanted.max_tokens)
    from mnemon.agent import LocalChatModel

    model = LocalChatModel.open(settings.model, device=settings.device)
    room = model.context_length - OVERHEAD_TOKENS - (wanted.max_tokens or LONGEST_ANSWER)
    return ModelReader(
        model=model,
        context_tokens=min(room, wanted.context_tokens or room),
        likelihoods=model,
        count=model.count_tokens,
        max_tokens=wanted.max_tokens,
        grounded=tools.grounded(model, wanted.grounding) if wanted.grounding else None,
        grounding=wanted.grounding,
    )


def open_judge(name: str) -> Judge:
    from mnemon.evals.judges import open_judge as open_by_name

    return open_by_name(name)
