"""The local chat model: any causal language model on this machine, steered when asked to be.

Joins a codec (text), rows (the network) and the decode loop. Knows no memory and no person; what to steer
towards comes as a `Steering`. Several replies may be in the making at once; their steps take turns.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from mnemon.agent.codec import Codec, StopStrings
from mnemon.agent.decoding.engine import Decoding, Plan, Step
from mnemon.agent.decoding.llamacpp_rows import LlamaCppRowModel
from mnemon.agent.decoding.loading import (
    Engine,
    open_llama_cpp,
    open_rows,
    pick_device,
    pick_dtype,
    pick_engine,
)
from mnemon.agent.decoding.picking import Sampling
from mnemon.agent.decoding.rows import RowCounts, RowModel, RowPrompt, TrunkRowModel
from mnemon.agent.decoding.scoring import log_likelihoods
from mnemon.agent.decoding.steering import BASE, Branch, LogitsProcessor, Steering
from mnemon.agent.decoding.styles import StyledTrunk, style_from_texts
from mnemon.agent.decoding.together import Together, shared
from mnemon.agent.decoding.trace import SteeredReply, TokenTrace, Trace
from mnemon.agent.grammar import GrammarCompiler
from mnemon.agent.seams import (
    DEFAULT_OPTIONS,
    Ability,
    ChatModel,
    CutShort,
    Finish,
    Message,
    Reply,
    ReplyOptions,
    ReplyStream,
    Usage,
    check_messages,
)
from mnemon.errors import UsageError
from mnemon.models import model_path
from mnemon.profiles import Plan as PersonaPlan


class LocalChatModel(ChatModel):
    """A causal language model that answers, scores and can be steered.

        model = LocalChatModel.open()
        for piece in model.stream([{"role": "user", "content": "Hello!"}]):
            print(piece, end="")

    Keys and values of earlier turns are kept: a thread that grows is read only where it is new.
    """

    def __init__(self, codec: Codec, rows: RowModel, *, others: Mapping[str, RowModel] | None = None) -> None:
        self.codec, self.rows = codec, rows
        self._models: dict[str, RowModel] = {BASE: rows, **(others or {})}
        self._grammars = GrammarCompiler(
            codec.file, vocabulary=rows.vocabulary, end_id=min(codec.end_ids, default=0)
        )
        self._busy = Lock()
        joins = isinstance(rows, TrunkRowModel) and isinstance(rows.trunk, Together)
        self._step: AbstractContextManager[object] = nullcontext() if joins else self._busy

    @classmethod
    def open(
        cls,
        model: str | Path = "default",
        *,
        device: str = "auto",
        dtype: str | None = None,
        adapters: Mapping[str, Path] | None = None,
        engine: str = "transformers",
    ) -> "LocalChatModel":
        """A model by name or folder. `dtype` None: bfloat16 where the processor multiplies it natively.

        `adapters` are PEFT folders by the names under which branches may use them. `engine` "llama.cpp" runs
        the folder's GGUF file, or the one that `model` names; "auto" takes the faster one that is installed.
        """
        folder = model_path(str(model))
        if pick_engine(engine, folder, device=device, only_torch=bool(adapters or dtype)) == "llama.cpp":
            texts = folder.parent if folder.is_file() else folder
            return cls(Codec(texts), open_llama_cpp(folder, device=device))
        chosen = pick_device(device)
        rows = open_rows(folder, device=chosen, dtype=pick_dtype(dtype, chosen), adapters=adapters)
        return cls(Codec(folder), rows)

    @staticmethod
    def engine_for(model: str | Path, *, device: str = "auto", engine: str = "auto") -> Engine:
        """The engine that `open` would take."""
        return pick_engine(engine, model_path(str(model)), device=device, only_torch=False)

    def with_model(self, name: str, model: "LocalChatModel") -> "LocalChatModel":
        """The same model, with another one whose rows a branch may name (a small proxy, an expert)."""
        if not self.codec.has_tokens_of(model.codec):
            raise UsageError(
                f"The vocabularies of {self.name!r} and {model.name!r} differ: the same number is another "
                "token there. Their logits cannot be mixed.",
                hint="Choose an expert with the same tokenizer as the base model.",
            )
        return LocalChatModel(self.codec, self.rows, others={**self._models, name: model.rows})

    def together(self) -> "LocalChatModel":
        """The same model for replies of many threads, which then take their steps in one batch. Where rows
        cannot be joined, and under adapters, steps go on taking turns: it is this model itself."""
        if not isinstance(self.rows, TrunkRowModel) or self.rows.adapters or len(self._models) > 1:
            return self
        return LocalChatModel(self.codec, shared(self.rows))

    @property
    def name(self) -> str:
        return self.rows.name

    @property
    def engine(self) -> Engine:
        """What computes it."""
        return "llama.cpp" if isinstance(self.rows, LlamaCppRowModel) else "transformers"

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset({"seed", "json_schema", "usage", "log_likelihood", "steering"})

    @property
    def context_length(self) -> int:
        return self.rows.context_length

    @property
    def parameters(self) -> int | None:
        """About how many weights it has, by its shape; None when only its logits are known."""
        if isinstance(self.rows, LlamaCppRowModel):
            return self.rows.parameters
        if not isinstance(self.rows, TrunkRowModel):
            return None
        shape = self.rows.trunk.shape
        return 12 * shape.layers * shape.hidden**2 + shape.vocabulary * shape.hidden

    def count_tokens(self, text: str | Sequence[Message]) -> int:
        """Tokens of a text, or of a conversation as the model will read it."""
        if isinstance(text, str):
            return len(self.codec.encode(text))
        return len(self.codec.prompt_ids(check_messages(text)))

    def stream(self, messages: Sequence[Message], options: ReplyOptions = DEFAULT_OPTIONS) -> ReplyStream:
        return self.steer(messages, None, options=options)

    def steer(
        self,
        messages: Sequence[Message],
        steering: Steering | None,
        *,
        options: ReplyOptions = DEFAULT_OPTIONS,
        processors: Sequence[LogitsProcessor] = (),
    ) -> "DraftStream":
        """A reply under a steering; its `reply` is a `SteeredReply` with the trace.

        `processors` see the reply's tokens and the steered logits; grammars come last.
        """
        plan = self._plan(messages, steering, options, tuple(processors))
        draft = Draft(self.name, plan)
        return DraftStream(self._write(plan, options, draft), draft)

    def steering_for(self, plan: PersonaPlan, *, asked: str = "") -> Steering:
        """A persona's plan as a steering of the answer to `asked`; `persona.compile(model)` asks for it."""
        from mnemon.agent.persona import steering_for

        return steering_for(plan, end_ids=self.codec.end_ids, asked=asked)

    def add_style(
        self,
        name: str,
        *,
        real: Sequence[str],
        generic: Sequence[str],
        layer: int | None = None,
        strength: float = 1.0,
    ) -> None:
        """Learns a style from a person's texts and plain versions of them; branches name it as adapter."""
        trunk = self.rows.trunk if isinstance(self.rows, TrunkRowModel) else None
        if trunk is None or not isinstance(trunk, StyledTrunk):
            raise UsageError(
                f"{self.name!r} shows no layers, so it cannot take a style.",
                hint="Open it with engine='transformers'.",
            )
        chosen = trunk.shape.layers // 2 if layer is None else layer
        encoded = [[self.codec.encode(text) for text in texts] for texts in (real, generic)]
        trunk.add_style(name, style_from_texts(trunk, *encoded, layer=chosen).scaled(strength))

    def log_likelihood(self, messages: Sequence[Message], continuations: Sequence[str]) -> list[float]:
        """log p of each continuation as the reply, in nats, summed over its tokens."""
        prompt = self._fitting(check_messages(messages))
        encoded = [self.codec.encode(text) for text in continuations]
        with self._busy:
            if isinstance(self.rows, LlamaCppRowModel):
                return self.rows.log_likelihoods(prompt, encoded)
            if isinstance(self.rows, TrunkRowModel):
                return log_likelihoods(self.rows, prompt, encoded)
        raise UsageError(f"{self.name!r} gives no likelihoods.")

    def _fitting(self, messages: Sequence[dict[str, str]]) -> list[int]:
        ids = self.codec.prompt_ids(messages)
        if len(ids) < self.context_length:
            return ids
        sizes = [len(self.codec.encode(message["content"])) for message in messages]
        longest = max(range(len(sizes)), key=sizes.__getitem__)
        raise UsageError(
            f"The conversation has {len(ids)} tokens; {self.name!r} reads {self.context_length} in all.",
            hint=f"Shorten message {longest} ({messages[longest]['role']}, {sizes[longest]} tokens)"
            + (", or drop the oldest turns." if len(messages) > 2 else "."),
        )

    def _plan(
        self,
        messages: Sequence[Message],
        steering: Steering | None,
        options: ReplyOptions,
        processors: tuple[LogitsProcessor, ...],
    ) -> Plan:
        checked = check_messages(messages)
        branches = {BASE: Branch(name=BASE)}
        if steering is not None and not steering.idle:
            branches = steering.used_branches()
        prompts = {name: (branch.model, self._row(branch, checked)) for name, branch in branches.items()}
        unknown = sorted({model for model, _ in prompts.values()} - set(self._models))
        if unknown:
            raise UsageError(
                f"Branches name the models {unknown}; {sorted(self._models)} are here.",
                hint="Add one with model.with_model(name, other).",
            )
        constraint = None
        if options.json_schema is not None:
            constraint = self._grammars.for_schema(options.json_schema)
        longest = max(len(row.ids) for _, row in prompts.values())
        return Plan(
            prompts=prompts,
            steering=steering,
            max_tokens=min(options.max_tokens, self.context_length - longest),
            end_ids=self.codec.end_ids,
            sampling=Sampling(options.temperature, options.top_p, options.seed),
            constraint=constraint,
            processors=processors,
        )

    def _row(self, branch: Branch, messages: Sequence[dict[str, str]]) -> RowPrompt:
        if branch.ids is not None:
            return RowPrompt(branch.ids, branch.adapter)
        if branch.messages is not None:
            return RowPrompt(tuple(self._fitting(check_messages(branch.messages))), branch.adapter)
        if branch.instruction:
            messages = with_instruction(messages, branch.instruction)
        return RowPrompt(tuple(self._fitting(messages)), branch.adapter)

    def _write(self, plan: Plan, options: ReplyOptions, draft: "Draft") -> Generator[str, None, Reply]:
        pieces, stops = self.codec.pieces(), StopStrings(options.stop)
        finish: Finish = "length"
        cut = False
        with self._busy:
            decoding = Decoding(self._models, plan, self._shown)
        draft.decoding = decoding
        with closing(self._locked(decoding)) as steps:
            for step in steps:
                if step.trace is not None:
                    draft.traces.append(step.trace)
                if step.ended:
                    finish = "stop"
                    break
                draft.tokens += 1
                piece = stops.push(pieces.push(step.token))
                if piece:
                    draft.pieces.append(piece)
                    try:
                        yield piece
                    except CutShort:
                        cut = True
                        break
                if stops.hit:
                    finish = "stop"
                    break
        if plan.constraint is not None and plan.constraint.finished:
            finish = "stop"
        if not (stops.hit or cut):
            rest = stops.push(pieces.flush()) + stops.flush()
            if rest:
                draft.pieces.append(rest)
                yield rest
        return draft.reply(finish)

    def _locked(self, decoding: Decoding) -> Generator[Step, None, None]:
        """The steps, each computed alone, unless the rows know how to share; between them others may compute
        theirs."""
        steps = iter(decoding)
        try:
            while True:
                with self._step:
                    step = next(steps, None)
                if step is None:
                    return
                yield step
        finally:
            with self._step:
                steps.close()

    def _shown(self, ids: Sequence[int]) -> str:
        return self.codec.token_text(ids[0]) if len(ids) == 1 else self.codec.decode(ids)


@dataclass
class Draft:
    """A reply as far as it is written."""

    model: str
    plan: Plan
    decoding: Decoding | None = None  # None until the prompt has been read
    pieces: list[str] = field(default_factory=list)
    traces: list[TokenTrace] = field(default_factory=list)
    tokens: int = 0

    @property
    def usage(self) -> Usage:
        prompts = self.plan.prompts
        return Usage(
            prompt_tokens=len(prompts[BASE][1].ids) if BASE in prompts else 0,
            completion_tokens=self.tokens,
            reused_tokens=self._counts.reused,
        )

    def trace(self, *, since: int = 0) -> Trace | None:
        """Of the tokens from that one on; None where nothing is steered."""
        if self.plan.steering is None:
            return None
        return Trace(
            steering=self.plan.steering.name,
            model=self.model,
            tokens=tuple(self.traces[since:]),
            forwards=self._counts.forwards,
            rows=self._counts.rows,
        )

    def reply(self, finish: Finish) -> SteeredReply:
        return SteeredReply(text="".join(self.pieces), finish=finish, usage=self.usage, trace=self.trace())

    @property
    def _counts(self) -> RowCounts:
        return self.decoding.counts if self.decoding is not None else RowCounts()


class DraftStream(ReplyStream):
    """A stream that can be looked at while it is written."""

    def __init__(self, pieces: Generator[str, None, Reply], draft: Draft) -> None:
        super().__init__(pieces)
        self.draft = draft


def with_instruction(messages: Sequence[dict[str, str]], instruction: str) -> list[dict[str, str]]:
    """The conversation with an instruction added to its system text."""
    if messages and messages[0]["role"] == "system":
        first = {"role": "system", "content": f"{messages[0]['content']}\n{instruction}".strip()}
        return [first, *messages[1:]]
    return [{"role": "system", "content": instruction}, *messages]
