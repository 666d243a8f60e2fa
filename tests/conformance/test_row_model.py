"""What every RowModel promises, checked against the slow obvious version: each row alone, nothing cached.

The reference is transformers' own forward over the whole sequence, on the same float32 weights. llama.cpp
keeps keys and values in float16, so it is held to the same behaviour and to less exact numbers.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mnemon.agent.decoding.hf import TransformersTrunk
from mnemon.agent.decoding.llama import LlamaTrunk, _Linear, can_pack
from mnemon.agent.decoding.llamacpp import BATCH
from mnemon.agent.decoding.llamacpp_rows import LlamaCppRowModel
from mnemon.agent.decoding.rows import PrefixStore, RowPrompt, TrunkRowModel
from mnemon.errors import ModelError, UsageError
from tests.agent import tiny_gguf, tiny_llama

Model = TrunkRowModel | LlamaCppRowModel
LLAMA_CPP = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed (mnemon[llamacpp])"
)
BACKENDS = (
    "llama",
    "llama, fixed shapes",
    "transformers",
    "transformers, fixed shapes",
    pytest.param("llama.cpp, one by one", marks=LLAMA_CPP),
    pytest.param("llama.cpp, all at once", marks=LLAMA_CPP),
)

PROMPTS = [
    RowPrompt((5, 9, 17, 33, 4, 8, 90, 3, 77, 12, 6)),
    RowPrompt((5, 9, 17)),
    RowPrompt((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)),
]
WRITTEN = [40, 41, 7, 99]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def reference(folder: Path) -> TransformersTrunk:
    return TransformersTrunk.open(folder, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(params=BACKENDS)
def model(request: pytest.FixtureRequest, folder: Path, reference: TransformersTrunk) -> Iterator[Model]:
    kind, fixed = str(request.param).split(",")[0], "fixed" in request.param
    if kind == "transformers":
        yield TrunkRowModel(reference, fixed=fixed)
    elif kind == "llama":
        trunk = LlamaTrunk.open(folder, dtype=torch.float32, device=torch.device("cpu"))
        yield TrunkRowModel(trunk, fixed=fixed)
    else:
        opened = LlamaCppRowModel(folder / "model.gguf", threads=1)
        opened.weights.at_once = 1 if "one by one" in request.param else BATCH
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def alone(reference: TransformersTrunk, ids: tuple[int, ...]) -> Tensor:
    return reference.model(torch.tensor([ids])).logits[0, -1].float()


def alone_hidden(reference: TransformersTrunk, ids: tuple[int, ...]) -> Tensor:
    return reference.model.model(torch.tensor([ids])).last_hidden_state[0, -1].float()


def assert_near(found: Tensor, expected: Tensor, model: Model) -> None:
    exact = isinstance(model, TrunkRowModel)
    torch.testing.assert_close(
        found, expected, atol=2e-4 if exact else 0.02, rtol=1e-4 if exact else 5e-3, check_dtype=True
    )


def assert_rows(found: Tensor, reference: TransformersTrunk, written: list[int], model: Model) -> None:
    for row, prompt in zip(found, PROMPTS, strict=True):
        assert_near(row, alone(reference, prompt.ids + tuple(written)), model)


def test_prefill_gives_each_prompt_its_own_logits(model: Model, reference: TransformersTrunk) -> None:
    assert_rows(model.prefill(PROMPTS, room=8).logits, reference, [], model)


def test_steps_follow_each_row_alone(model: Model, reference: TransformersTrunk) -> None:
    rows = model.prefill(PROMPTS, room=8)
    for n, token in enumerate(WRITTEN, start=1):
        assert_rows(rows.step(token), reference, WRITTEN[:n], model)
    assert rows.counts.forwards == len(WRITTEN)
    assert rows.counts.rows == len(WRITTEN) * len(PROMPTS)


def test_a_reply_may_outgrow_its_room(model: Model, reference: TransformersTrunk) -> None:
    rows = model.prefill(PROMPTS, room=1)
    written = list(range(20, 45))
    for token in written:
        rows.step(token)
    assert_rows(rows.logits, reference, written, model)


def test_look_scores_candidates_as_if_each_were_written(model: Model, reference: TransformersTrunk) -> None:
    rows = model.prefill(PROMPTS, room=16)
    rows.step(WRITTEN[0])
    forwards = rows.counts.forwards
    candidates = torch.tensor([11, 60, 3, 99, 45])
    hidden = rows.look(candidates)
    assert rows.counts.forwards == forwards + 1
    for i, token in enumerate(candidates.tolist()):
        for row, prompt in zip(hidden[:, i], PROMPTS, strict=True):
            assert_near(row, alone_hidden(reference, (*prompt.ids, WRITTEN[0], token)), model)


def test_a_candidate_taken_is_a_step_made(model: Model, reference: TransformersTrunk) -> None:
    rows = model.prefill(PROMPTS, room=16)
    rows.look(torch.tensor([11, 60, 3]))
    assert_rows(rows.take(1), reference, [60], model)
    rows.look(torch.tensor([9, 8]))
    assert_rows(rows.take(0), reference, [60, 9], model)
    assert_rows(rows.step(4), reference, [60, 9, 4], model)
    assert rows.counts.forwards == 3


def test_looking_and_then_stepping_forgets_the_candidates(model: Model, reference: TransformersTrunk) -> None:
    rows = model.prefill(PROMPTS, room=16)
    rows.look(torch.tensor([11, 60, 3]))
    assert_rows(rows.step(70), reference, [70], model)


def test_the_next_turn_reads_only_what_is_new(model: Model, reference: TransformersTrunk) -> None:
    rows = model.prefill(PROMPTS, room=8)
    for token in WRITTEN:
        rows.step(token)
    rows.close()
    longer = [RowPrompt((*prompt.ids, *WRITTEN, 50, 51)) for prompt in PROMPTS]
    again = model.prefill(longer, room=4)
    # (3 tokens + 4 written + 2 new; shorter prefixes than the shortest worth reusing are read again)
    assert again.counts.reused >= len(PROMPTS[0].ids) + len(PROMPTS[2].ids) + 2 * len(WRITTEN)
    for row, prompt in zip(again.logits, longer, strict=True):
        assert_near(row, alone(reference, prompt.ids), model)


def test_a_shared_prefix_is_read_once(model: Model, reference: TransformersTrunk) -> None:
    model.store.clear()
    prefix = tuple(range(30, 60))
    pair = [RowPrompt((*prefix, 3, 4)), RowPrompt((*prefix, 90, 91, 92))]
    rows = model.prefill(pair, room=4)
    assert rows.counts.prefilled == len(prefix) + 2 + 3
    for row, prompt in zip(rows.logits, pair, strict=True):
        assert_near(row, alone(reference, prompt.ids), model)


def test_a_thread_that_grows_is_kept_once(model: Model) -> None:
    model.store = PrefixStore()
    for length in (10, 20, 30):
        rows = model.prefill([RowPrompt(tuple(range(3, 3 + length)))], room=4)
        rows.step(99)
        rows.close()
    model.prefill([RowPrompt(tuple(range(50, 70)))], room=1)
    assert sorted(len(ids) for _, ids in model.store._known) == [11, 20, 21, 31]


def test_the_store_keeps_within_its_limit(model: Model) -> None:
    model.store = PrefixStore(limit=40_000)
    for start in range(1, 60):
        model.prefill([RowPrompt(tuple(range(start, start + 40)))], room=1)
    assert 0 < sum(known.bytes for known in model.store._known.values()) <= 40_000


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ([], "no prompts"),
        ([RowPrompt(())], "empty"),
        ([RowPrompt(tuple([3] * 512))], "512 tokens"),
        ([RowPrompt((3, 10_000))], "10000 is not in the vocabulary"),
        ([RowPrompt((3, 4), adapter="ana")], "no adapter 'ana'"),
    ],
)
def test_bad_prompts_are_refused(model: Model, prompts: list[RowPrompt], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        model.prefill(prompts, room=1)


def test_too_little_memory_is_told(model: Model) -> None:
    with pytest.raises(ModelError, match="Out of memory while reading 3 prompts"):
        model.prefill(PROMPTS, room=10**12)
    assert model.prefill(PROMPTS, room=1).logits.shape[0] == 3  # and nothing is broken by it


def test_weights_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    folder = tiny_llama.write_folder(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match="do not belong"):
        LlamaTrunk.open(folder, dtype=torch.float32, device=torch.device("cpu"))


@pytest.mark.skipif(not can_pack(), reason="this processor has no bfloat16 products")
@pytest.mark.parametrize("rows", [1, 2, 7, 40])
def test_packed_weights_multiply_as_plain_ones(rows: int) -> None:
    dice = torch.Generator().manual_seed(rows)
    weight = torch.randn(48, 32, generator=dice).bfloat16()
    x, residual = (torch.randn(rows, n, generator=dice).bfloat16() for n in (32, 48))
    packed, plain = _Linear(weight, packed=True), _Linear(weight, packed=False)
    torch.testing.assert_close(packed(x), plain(x), atol=0.05, rtol=0.02)
    exact = x.double() @ weight.double().T + residual.double()
    torch.testing.assert_close(packed.add_to(residual, x).double(), exact, atol=0.06, rtol=0.02)
    torch.testing.assert_close(plain.add_to(residual, x).double(), exact, atol=0.06, rtol=0.02)
