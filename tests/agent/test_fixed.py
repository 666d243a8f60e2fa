"""Forwards of fixed shapes write what forwards that grow write, and say so where a graph cannot be had."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mnemon.agent.decoding import presets
from mnemon.agent.decoding.fixed import FixedForward
from mnemon.agent.decoding.llama import LlamaTrunk
from mnemon.agent.decoding.rewards import Contrast
from mnemon.agent.decoding.rows import RowPrompt, TrunkRowModel
from mnemon.agent.decoding.steering import BASE, Branch, Floats, Steering, StepView, Term
from mnemon.agent.decoding.together import shared
from tests.agent import tiny_llama
from tests.agent.steered import PROMPT, Run

OTHER = (90, 3, 77, 12, 6, 33, 4, 8, 9, 17)


class SumHead:
    """A reward that reads hidden states."""

    hidden_size = 32

    def score_hidden(self, view: StepView, hidden: Floats) -> Floats:
        total: Floats = hidden.sum(-1)
        return total


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> LlamaTrunk:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")
    return LlamaTrunk.open(folder, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def steerings() -> dict[str, Steering | None]:
    term = Term(name="other", reward=Contrast(Branch(name="other", ids=OTHER)))
    return {
        "unsteered": None,
        "two rows": presets.budgeted([term], epsilon=0.3),
        "candidates": presets.args(SumHead(), weight=0.3, top=5),
    }


@pytest.mark.parametrize("name", steerings())
def test_a_reply_is_the_same_token_by_token(trunk: LlamaTrunk, name: str) -> None:
    fixed = Run({BASE: TrunkRowModel(trunk, fixed=True)}, steerings()[name], tokens=60)
    grown = Run({BASE: TrunkRowModel(trunk, fixed=False)}, steerings()[name], tokens=60)
    assert fixed.tokens == grown.tokens
    assert (fixed.counts.forwards, fixed.counts.rows) == (grown.counts.forwards, grown.counts.rows)


def test_buffers_are_kept_until_the_cache_grows(trunk: LlamaTrunk) -> None:
    rows = TrunkRowModel(trunk, fixed=True).prefill([RowPrompt(PROMPT)], room=20)
    seen = set()
    for token in range(12):
        rows.step(token)
        seen.add(id(rows._forwards[1]))
    for k in (3, 7, 8):  # one buffer serves shortlists of several lengths
        assert rows.look(torch.arange(k)).shape == (1, k, trunk.shape.hidden)
    assert len(seen) == 1
    assert set(rows._forwards) == {1, 8}
    before = rows._forwards[1]
    for token in range(30):
        rows.step(token)
    assert rows._forwards[1] is not before


@pytest.mark.parametrize("length", range(3, 11))
def test_the_last_look_of_a_reply_needs_no_new_buffers(trunk: LlamaTrunk, length: int) -> None:
    """A look of ten takes sixteen columns; a cache that grew for it would double, and be captured anew."""
    rows = TrunkRowModel(trunk, fixed=True).prefill([RowPrompt(PROMPT[:length])], room=4 + 10)
    capacity = rows._cache.capacity
    assert capacity % 8 == 0
    for token in range(4):
        rows.step(token)
    rows.look(torch.arange(10))
    assert rows._cache.capacity == capacity


def test_what_a_captured_graph_reads_outlives_a_longer_reply(trunk: LlamaTrunk) -> None:
    before = trunk._turns[-1]
    TrunkRowModel(trunk).prefill([RowPrompt(PROMPT)], room=900).step(3)
    TrunkRowModel(trunk).prefill([RowPrompt(tuple(range(90)) * 4)], room=4).step(3)
    assert trunk._turns[-1] is not before
    assert any(turn is before for turn in trunk._turns)


def test_only_a_gpu_takes_fixed_shapes_by_itself(trunk: LlamaTrunk) -> None:
    assert not TrunkRowModel(trunk).fixed
    assert not shared(TrunkRowModel(trunk, fixed=True)).fixed  # joined, shapes change


@pytest.mark.skipif(torch.cuda.is_available(), reason="a graph can be had here")
def test_without_a_graph_the_step_runs_and_says_so(trunk: LlamaTrunk) -> None:
    model = TrunkRowModel(trunk, fixed=True)
    rows = model.prefill([RowPrompt(PROMPT)], room=20)
    forward = FixedForward(trunk, rows._cache, [len(PROMPT)], width=1)
    forward._captures = True
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        hidden = forward(torch.tensor([7]), rows._cache.length)
    expected = model.prefill([RowPrompt((*PROMPT, 7))], room=1)
    torch.testing.assert_close(hidden[:, 0], expected.hidden, atol=2e-4, rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_replayed_graph_writes_the_same(tmp_path: Path) -> None:
    folder = tiny_llama.write_folder(tmp_path / "tiny")
    trunk = LlamaTrunk.open(folder, dtype=torch.float32, device=torch.device("cuda"))
    for name, steering in steerings().items():
        graph = Run({BASE: TrunkRowModel(trunk)}, steering, tokens=60).tokens
        assert graph == Run({BASE: TrunkRowModel(trunk, fixed=False)}, steering, tokens=60).tokens, name
