"""The reader: one language model, one prompt, the same for every system that is compared.

It lays the given turns out in order of time, drops what its context cannot hold (the least important
first), and asks. It knows nothing of where the turns came from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mnemon.agent import Reply, ReplyOptions, apart_from_the_best
from mnemon.errors import UsageError
from mnemon.evals.prompting import prompt, prompt_hash
from mnemon.evals.seams import Answer, Context, Question, Turn

CHARACTERS_PER_TOKEN = 3.0  # a safe guess for English where the model cannot count
OVERHEAD_TOKENS = 160  # chat template, instructions and question, generously


class Likelihoods(Protocol):
    """What multiple choice needs of a model besides replying."""

    def log_likelihood(
        self, messages: Sequence[Mapping[str, str]], continuations: Sequence[str]
    ) -> Sequence[float]: ...


class Replies(Protocol):
    """What reading needs of a model."""

    @property
    def name(self) -> str: ...

    def reply(self, messages: Sequence[Mapping[str, str]], options: ReplyOptions) -> Reply: ...


Messages = Sequence[Mapping[str, str]]
# Answers the first messages, steered by what they say more than the second.
Grounded = Callable[[Messages, Messages, ReplyOptions], Reply]


def guess_tokens(text: str) -> int:
    return int(len(text) / CHARACTERS_PER_TOKEN) + 1


@dataclass(frozen=True, kw_only=True)
class ModelReader:
    """Reads with a chat model, greedily. `context_tokens` bounds the turns it is shown.

    With `grounded`, a prompt that holds history is answered by its contrast with `ungrounded`.
    """

    model: Replies
    context_tokens: int
    likelihoods: Likelihoods | None = None  # None: the model has no log-likelihoods
    count: Callable[[str], int] = guess_tokens
    max_tokens: int | None = None  # overrides the benchmark's own bound
    grounded: Grounded | None = None
    grounding: float = 0.0  # the λ that `grounded` works with, for the record

    def describe(self) -> Mapping[str, Any]:
        return {
            "model": self.model.name,
            "temperature": 0.0,
            "context_tokens": self.context_tokens,
            "max_tokens": self.max_tokens,
            "grounding": self.grounding,
            "prompts": {name: prompt_hash(name) for name in ("reader", "reader_alone")},
        }

    def answer(self, question: Question, context: Context) -> Answer:
        bound = self.max_tokens or question.max_tokens
        options = ReplyOptions(max_tokens=bound)
        kept = fit(context, self.context_tokens, self.count)
        messages = _laid_out(question, kept)
        if self.grounded is not None and kept:
            reply = self.grounded(messages, _ungrounded(question, context, kept), options)
        else:
            reply = self.model.reply(messages, options)
        usage = reply.usage
        return Answer(
            text=reply.text.strip(),
            prompt_tokens=usage.prompt_tokens or None,  # an endpoint does not tell
            completion_tokens=usage.completion_tokens or None,
        )

    def preferences(self, question: Question, context: Context) -> list[float]:
        if self.likelihoods is None:
            raise UsageError(
                f"multiple choice needs log-likelihoods, which {self.model.name!r} does not give.",
                hint="Use a local model: --model default.",
            )
        if not question.options:
            raise UsageError("this question has no options to choose from.")
        messages = self.messages(question, context)
        totals = self.likelihoods.log_likelihood(messages, question.options)
        # Per token: the sum alone would prefer the shortest option.
        return [
            total / max(1, self.count(option)) for total, option in zip(totals, question.options, strict=True)
        ]

    def messages(self, question: Question, context: Context) -> list[dict[str, str]]:
        return _laid_out(question, fit(context, self.context_tokens, self.count))

    def ungrounded(self, question: Question, context: Context) -> list[dict[str, str]]:
        """What grounding contrasts `messages` with."""
        return _ungrounded(question, context, fit(context, self.context_tokens, self.count))


def _ungrounded(question: Question, context: Context, kept: Sequence[Turn]) -> list[dict[str, str]]:
    best = context.ranking[0] if context.ranking else None
    others, asking = apart_from_the_best(
        kept, None if best is None else lambda turn: turn.id == best, question.text
    )
    return _laid_out(replace(question, text=asking), others)


def _laid_out(question: Question, turns: Sequence[Turn]) -> list[dict[str, str]]:
    date = f"Today is {question.time_text}.\n" if question.time_text else ""
    values = {"date": date, "question": question.text, "instructions": question.instructions}
    user = prompt("reader", context=lay_out(turns), **values) if turns else prompt("reader_alone", **values)
    return [{"role": "user", "content": user}]


def fit(context: Context, budget: int, count: Callable[[str], int]) -> list[Turn]:
    """The most important turns that fit, in the order of the history; without a ranking, the newest.

    The first turn that does not fit is cut to what is left, and ends the context.
    """
    by_id = {turn.id: turn for turn in context.turns}
    wanted = context.ranking or tuple(turn.id for turn in reversed(context.turns))
    kept: dict[str, Turn] = {}
    left = budget
    for turn_id in wanted:
        turn = by_id[turn_id]
        cost = count(line(turn)) + 1
        if cost > left:
            if not kept and left > 0:
                kept[turn_id] = _cut(turn, left / cost)
            break
        kept[turn_id] = turn
        left -= cost
    return [kept[turn.id] for turn in context.turns if turn.id in kept]


def _cut(turn: Turn, share: float) -> Turn:
    text = turn.text[: int(len(turn.text) * share)]
    return Turn(
        id=turn.id,
        session=turn.session,
        position=turn.position,
        role=turn.role,
        speaker=turn.speaker,
        text=text,
        document=text,
        time=turn.time,
    )


def line(turn: Turn) -> str:
    """One turn on a line of its own: small models take headings and dialogue for something to continue."""
    day = f"On {turn.time.day} {turn.time:%B %Y}, " if turn.time else ""
    return f'{day}{turn.speaker} said, "{" ".join(turn.text.split())}"'


def lay_out(turns: Sequence[Turn]) -> str:
    """Turns in order of time; undated ones in the order of the history."""
    return "\n".join(line(turn) for turn in sorted(turns, key=_moment))


def _moment(turn: Turn) -> float:
    return turn.time.timestamp() if turn.time else 0.0
