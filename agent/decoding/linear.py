"""What of a steering needs no row of its own: rules over words, beside one model's own logits.

Such a part can be carried by any server that shows a step's logits (`mnemon.agent.vllm_rows`). Contrasts,
mixtures, adapters and heads need rows or hidden states, and stay behind.
"""

from dataclasses import replace

from mnemon.agent.decoding.rewards import ReplyLength
from mnemon.agent.decoding.steering import BASE, Branch, CandidateReward, Steering, Term
from mnemon.errors import UsageError

# Stands for the tokens that end a reply where only the serving side knows them.
THEIR_ENDS = (-1,)


def is_linear(term: Term) -> bool:
    return not isinstance(term.reward, CandidateReward) and not term.reward.branches


def linear_part(steering: Steering) -> Steering | None:
    """The steering with its rules alone, under the same budget; None where it has none."""
    rules = tuple(term for term in steering.active_terms() if is_linear(term))
    if not rules:
        return None
    return replace(
        steering,
        terms=rules,
        mix={BASE: 1.0},
        branches=(),
        shortlist=replace(steering.shortlist, judge=None),
    )


def check_linear(steering: Steering) -> None:
    """Refuses what one model's logits cannot carry."""
    strange = [term.name for term in steering.active_terms() if not is_linear(term)]
    used = {} if steering.idle else steering.used_branches()
    if strange or any(branch != Branch(name=BASE) for branch in used.values()):
        needs = f"the terms {strange} need" if strange else f"the branches {sorted(used)} are"
        raise UsageError(
            f"Steering {steering.name!r} cannot be carried by one model's logits: {needs} rows of their own.",
            hint="Send its rules alone: linear_part(steering). The rest needs `mnemon model-server`.",
        )


def with_ends(steering: Steering, end_ids: frozenset[int]) -> Steering:
    """With the end tokens of the side that serves, where the steering leaves them to it."""

    def known(term: Term) -> Term:
        reward = term.reward
        if isinstance(reward, ReplyLength) and tuple(reward.end_ids) == THEIR_ENDS:
            return replace(term, reward=replace(reward, end_ids=end_ids))
        return term

    return replace(steering, terms=tuple(known(term) for term in steering.terms))
