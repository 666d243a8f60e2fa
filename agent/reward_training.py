"""From pairs of replies to a reward head of the local model. Reads texts; `decoding.heads` does the fitting.

Heads are used in the middle of replies, so each pair is read whole and cut at several lengths: a head fitted
on whole replies alone misjudges beginnings.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mnemon.agent.decoding.heads import HeadCard, RewardHead, fit_bradley_terry, pair_accuracy
from mnemon.agent.decoding.rows import RowCounts, RowPrompt, TrunkRowModel, causal_mask
from mnemon.agent.decoding.steering import Floats
from mnemon.agent.decoding.trunk import KeyValueCache
from mnemon.agent.local import LocalChatModel, with_instruction
from mnemon.errors import DataError, UsageError

CUTS = (0.25, 0.5, 0.75, 1.0)  # of a reply's tokens
FEWEST_PAIRS = 10
OnProgress = Callable[[int, int], None]


class Pair(NamedTuple):
    """Two replies to one prompt; the person preferred `chosen`."""

    prompt: str
    chosen: str
    rejected: str


def read_pairs(file: Path) -> list[Pair]:
    """Lines of {"prompt": …, "chosen": …, "rejected": …}."""
    if not file.is_file():
        raise DataError(f"{str(file)!r} does not exist; a file of pairs was expected.")
    pairs = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            pair = Pair(entry["prompt"], entry["chosen"], entry["rejected"])
        except (ValueError, KeyError, TypeError) as e:
            raise DataError(
                f"Line {number} of {str(file)!r} is no pair: {type(e).__name__} {e}.",
                hint='Each line is {"prompt": "...", "chosen": "...", "rejected": "..."}.',
            ) from e
        if not all(isinstance(text, str) and text.strip() for text in pair):
            raise DataError(f"Line {number} of {str(file)!r} has a text that is empty or no string.")
        pairs.append(pair)
    return pairs


def train_head(
    model: LocalChatModel,
    pairs: Sequence[Pair],
    *,
    ridge: float = 10.0,
    held_out: float = 0.2,
    seed: int = 0,
    source: str = "",
    on_progress: OnProgress | None = None,
) -> RewardHead:
    """Fits a head on most pairs and measures it on the rest; pairs of one prompt stay on one side."""
    if len(pairs) < FEWEST_PAIRS:
        raise UsageError(f"{len(pairs)} pairs are too few to fit and to test; give {FEWEST_PAIRS} or more.")
    if not 0 < held_out < 1:
        raise UsageError(f"held_out={held_out!r} must lie between 0 and 1.")
    train, test = split_by_prompt(pairs, held_out=held_out, seed=seed)
    features = []
    for number, pair in enumerate(pairs):
        features.append((hidden_at_cuts(model, pair.prompt, pair.chosen),
                         hidden_at_cuts(model, pair.prompt, pair.rejected)))  # fmt: skip
        if on_progress is not None:
            on_progress(number + 1, len(pairs))
    chosen = np.stack([pair[0] for pair in features])  # (pairs, cuts, hidden)
    rejected = np.stack([pair[1] for pair in features])
    size = chosen.shape[-1]
    weight = fit_bradley_terry(
        chosen[train].reshape(-1, size), rejected[train].reshape(-1, size), ridge=ridge * len(CUTS)
    )
    by_cut = [pair_accuracy(weight, chosen[test, i], rejected[test, i]) for i in range(len(CUTS))]
    card = HeadCard(
        model=model.name,
        pairs=len(train),
        held_out_pairs=len(test),
        accuracy=by_cut[-1][0],
        accuracy_stderr=by_cut[-1][1],
        accuracy_by_prefix={f"{cut:.0%}": accuracy for cut, (accuracy, _) in zip(CUTS, by_cut, strict=True)},
        ridge=ridge,
        seed=seed,
        source=source,
    )
    return RewardHead(weight, card)


def split_by_prompt(pairs: Sequence[Pair], *, held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Places of the pairs to fit and to test on."""
    prompts = sorted({pair.prompt for pair in pairs})
    if len(prompts) < 2:
        raise UsageError("All pairs have the same prompt, so none can be held out fairly.")
    order = np.random.default_rng(seed).permutation(len(prompts))
    count = min(len(prompts) - 1, max(1, round(held_out * len(prompts))))
    kept_back = {prompts[i] for i in order[:count]}
    test = [i for i, pair in enumerate(pairs) if pair.prompt in kept_back]
    return [i for i in range(len(pairs)) if i not in set(test)], test


@torch.inference_mode()
def hidden_at_cuts(model: LocalChatModel, prompt: str, reply: str) -> Floats:
    """(cuts, hidden) of the reply's tokens at each cut; the prompt is read once for both replies."""
    rows = model.rows
    if not isinstance(rows, TrunkRowModel):
        raise UsageError(
            f"{model.name!r} shows no hidden states of a text, so no head can be fitted on it.",
            hint="Open it with engine='transformers'.",
        )
    trunk = rows.trunk
    start = model.codec.prompt_ids([{"role": "user", "content": prompt}])
    room = model.context_length - 1
    if len(start) >= room:
        raise UsageError(f"A prompt has {len(start)} tokens; {model.name!r} reads {model.context_length}.")
    ids = model.codec.encode(reply)[: room - len(start)]
    known = rows.read(RowPrompt(tuple(start)), RowCounts())
    n, q = len(start), len(ids)
    cache = KeyValueCache(trunk.shape, rows=1, capacity=n + q, dtype=trunk.dtype, device=trunk.device)
    for block, source in zip(cache.blocks, known.blocks, strict=True):
        block[:, 0, :, :n] = source[:, :, :n]
    cache.length = n
    positions = torch.arange(n, n + q, device=trunk.device)[None]
    hidden = trunk.forward(
        torch.tensor([ids], device=trunk.device), positions, cache, causal_mask(n, n + q, trunk)
    )[0]
    places = [max(0, round(cut * q) - 1) for cut in CUTS]
    found: Floats = hidden[places].double().cpu().numpy()
    return found


def attribute_features(
    model: LocalChatModel, prompt: str, reply: str, attributes: Mapping[str, str]
) -> Floats:
    """(attributes) log p(reply | prompt, instruction) − log p(reply | prompt), per token, as in Drift."""
    messages = [{"role": "user", "content": prompt}]
    (plain,) = model.log_likelihood(messages, [reply])
    told = [
        model.log_likelihood(with_instruction(messages, instruction), [reply])[0]
        for instruction in attributes.values()
    ]
    features: Floats = (np.array(told) - plain) / max(1, model.count_tokens(reply))
    return features


def fit_attribute_weights(
    model: LocalChatModel, pairs: Sequence[Pair], attributes: Mapping[str, str], *, ridge: float = 1.0
) -> dict[str, float]:
    """How much a person wants each trait, from pairs, without training the model: weights for terms.

    `attributes` maps names to instructions. Absolute values sum to 1; a negative weight is a dislike.
    """
    if not attributes:
        raise UsageError("There are no attributes to weigh; give at least one instruction.")
    chosen = np.stack([attribute_features(model, p.prompt, p.chosen, attributes) for p in pairs])
    rejected = np.stack([attribute_features(model, p.prompt, p.rejected, attributes) for p in pairs])
    weight = fit_bradley_terry(chosen, rejected, ridge=ridge)
    spread = np.concatenate([chosen, rejected]).std(axis=0)
    share = weight * spread  # in units of each feature's spread, as normalised rewards are
    total = float(np.abs(share).sum())
    return {name: float(s / total) if total else 0.0 for name, s in zip(attributes, share, strict=True)}
