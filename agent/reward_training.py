"""From pairs of replies to a reward head of the local model. Reads texts; `decoding.heads` does the fitting.

Heads are used in the middle of replies, so each pair is read whole and cut at several lengths: a head fitted
on whole replies alone misjudges beginnings.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mnemon.agent.decoding.heads import (
    DEFAULT_RIDGE,
    HeadCard,
    RewardHead,
    check_ridge,
    fit_bradley_terry,
    ordered_rightly,
    share_right,
)
from mnemon.agent.decoding.rows import RowCounts, RowPrompt, TrunkRowModel, causal_mask
from mnemon.agent.decoding.steering import Floats
from mnemon.agent.decoding.trunk import KeyValueCache
from mnemon.agent.local import LocalChatModel, with_instruction
from mnemon.errors import DataError, UsageError

CUTS = (0.25, 0.5, 0.75, 1.0)  # of a reply's tokens
FEWEST_PAIRS = 10
OnProgress = Callable[[int, int], None]
_TURN = "\n\nAssistant:"
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):")


class Pair(NamedTuple):
    """Two replies to one prompt; the person preferred `chosen`."""

    prompt: str
    chosen: str
    rejected: str


class HiddenPairs(NamedTuple):
    """What a model's last layer holds of both replies at each cut: (pairs, cuts, hidden)."""

    chosen: Floats
    rejected: Floats


def read_pairs(file: Path, *, on_bad: Callable[[DataError], None] | None = None) -> list[Pair]:
    """Lines of {"prompt": …, "chosen": …, "rejected": …}, or of two whole dialogues as HH-RLHF has them.

    With `on_bad` a line that is no pair is told to it and left out; otherwise it is an error.
    """
    if not file.is_file():
        raise DataError(f"{str(file)!r} is no file; a file of pairs was expected.")
    pairs = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            pairs.append(_pair(line, f"Line {number} of {str(file)!r}"))
        except DataError as error:
            if on_bad is None:
                raise
            on_bad(error)
    if not pairs:
        raise DataError(f"{str(file)!r} has no pairs.")
    return pairs


def _pair(line: bytes, where: str) -> Pair:
    try:
        entry = json.loads(line.decode("utf-8"))
        if "prompt" in entry:
            pair = Pair(entry["prompt"], entry["chosen"], entry["rejected"])
        else:
            pair = _parted(entry["chosen"], entry["rejected"])
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(
            f"{where} is no pair: {type(e).__name__} {e}.",
            hint='Each line is {"prompt": "...", "chosen": "...", "rejected": "..."}. Without "prompt" '
            'they are dialogues that begin alike: "\\n\\nHuman: ...\\n\\nAssistant: ...".',
        ) from e
    if not all(isinstance(text, str) and text.strip() for text in pair):
        raise DataError(f"{where} has a text that is empty or no string.")
    if pair.chosen == pair.rejected:
        raise DataError(f"{where} has the same reply twice, which says nothing of what is preferred.")
    return pair


def _parted(chosen: str, rejected: str) -> Pair:
    """Two dialogues: what they share up to an answer is the prompt, the rest are the replies."""
    shared = min(len(chosen), len(rejected))
    shared = next((i for i in range(shared) if chosen[i] != rejected[i]), shared)
    start = chosen.rfind(_TURN, 0, shared)
    if start < 0:
        raise ValueError(f'they share no turn before an answer, "{_TURN.strip()}"')
    end = start + len(_TURN)
    return Pair(chosen[:start].strip(), chosen[end:].strip(), rejected[end:].strip())


def turns_of(prompt: str) -> list[dict[str, str]]:
    """The messages of a prompt: a dialogue as HH-RLHF writes one, or all of it as one question."""
    before, *parts = _SPEAKER.split(prompt)
    if before or not parts or parts[-2] != "Human" or not all(part.strip() for part in parts):
        return [{"role": "user", "content": prompt}]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [
        {"role": roles[speaker], "content": text.strip()}
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def train_head(
    model: LocalChatModel,
    pairs: Sequence[Pair],
    *,
    ridge: float = DEFAULT_RIDGE,
    held_out: float = 0.2,
    seed: int = 0,
    source: str = "",
    on_progress: OnProgress | None = None,
) -> RewardHead:
    """A head of all pairs. Its card tells how heads did that had not seen the pairs they were tested on."""
    folds = split_by_prompt(pairs, held_out=held_out, seed=seed)  # before the long part: it may refuse
    check_ridge(ridge)
    hidden = hidden_pairs(model, pairs, on_progress=on_progress)
    return fit_head(hidden, folds, model=model.name, ridge=ridge, seed=seed, source=source)


def fit_head(
    hidden: HiddenPairs,
    folds: Sequence[Sequence[int]],
    *,
    model: str,
    ridge: float = DEFAULT_RIDGE,
    seed: int = 0,
    source: str = "",
) -> RewardHead:
    """`folds` are the places of the pairs that are held out together; each is held out once.

    The head's rewards of the pairs' whole replies have a spread of 1, so that a strength such as ARGS's
    weight means the same whatever the penalty and the number of pairs.
    """
    every = np.arange(len(hidden.chosen))
    right = np.zeros((len(every), len(CUTS)))
    for fold in folds:
        weight = _fitted(hidden, np.setdiff1d(every, fold), ridge)
        right[list(fold)] = ordered_rightly(weight, hidden.chosen[list(fold)], hidden.rejected[list(fold)])
    tested = np.concatenate([np.asarray(fold, dtype=int) for fold in folds])
    by_cut = [share_right(right[tested, cut]) for cut in range(len(CUTS))]
    card = HeadCard(
        model=model,
        pairs=len(every),
        held_out_pairs=len(tested),
        accuracy=by_cut[-1][0],
        accuracy_stderr=by_cut[-1][1],
        accuracy_by_prefix={f"{cut:.0%}": accuracy for cut, (accuracy, _) in zip(CUTS, by_cut, strict=True)},
        ridge=ridge,
        seed=seed,
        source=source,
    )
    weight = _fitted(hidden, every, ridge)
    spread = float(np.concatenate([part[:, -1] for part in hidden]).dot(weight).std())
    return RewardHead(weight / spread if spread > 0 else weight, card)


def _fitted(hidden: HiddenPairs, places: NDArray[np.intp], ridge: float) -> Floats:
    size = hidden.chosen.shape[-1]
    chosen, rejected = (part[places].reshape(-1, size) for part in hidden)
    return fit_bradley_terry(chosen, rejected, ridge=ridge * len(CUTS))


def split_by_prompt(pairs: Sequence[Pair], *, held_out: float, seed: int) -> list[list[int]]:
    """Folds of about `held_out` of the prompts each: the places of their pairs."""
    if len(pairs) < FEWEST_PAIRS:
        raise UsageError(f"{len(pairs)} pairs are too few to fit and to test; give {FEWEST_PAIRS} or more.")
    if not 0 < held_out <= 0.5:
        raise UsageError(f"held_out={held_out!r} must be above 0 and at most 0.5.")
    prompts = sorted({pair.prompt for pair in pairs})
    if len(prompts) < 2:
        raise UsageError("All pairs have the same prompt, so none can be held out fairly.")
    order = np.random.default_rng(seed).permutation(len(prompts))
    count = min(len(prompts), round(1 / held_out))
    fold_of = {prompts[place]: number % count for number, place in enumerate(order)}
    return [[i for i, pair in enumerate(pairs) if fold_of[pair.prompt] == fold] for fold in range(count)]


def hidden_pairs(
    model: LocalChatModel, pairs: Sequence[Pair], *, on_progress: OnProgress | None = None
) -> HiddenPairs:
    """Reads all pairs with the model: the long part, so what is too long is told before it."""
    for pair in pairs:
        _prompt_ids(model, pair.prompt)
    both = []
    for number, pair in enumerate(pairs, start=1):
        both.append([hidden_at_cuts(model, pair.prompt, reply) for reply in (pair.chosen, pair.rejected)])
        if on_progress is not None:
            on_progress(number, len(pairs))
    stacked = np.array(both)  # (pairs, 2, cuts, hidden)
    return HiddenPairs(stacked[:, 0], stacked[:, 1])


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
    start = _prompt_ids(model, prompt)
    ids = model.codec.encode(reply)[: model.context_length - 1 - len(start)]
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


def _prompt_ids(model: LocalChatModel, prompt: str) -> list[int]:
    ids = model.codec.prompt_ids(turns_of(prompt))
    if len(ids) >= model.context_length - 1:
        raise UsageError(
            f"A prompt has {len(ids)} tokens; {model.name!r} reads {model.context_length}: {prompt[:50]!r}",
            hint="Shorten it, or leave the pair out.",
        )
    return ids


def attribute_features(
    model: LocalChatModel, prompt: str, reply: str, attributes: Mapping[str, str]
) -> Floats:
    """(attributes) log p(reply | prompt, instruction) − log p(reply | prompt), per token, as in Drift."""
    messages = turns_of(prompt)
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
