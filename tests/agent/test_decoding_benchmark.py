"""The benchmark that wants a GPU runs on a processor too, with a tiny shape."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import bench_decoding
import decoding_gpu
from released_forms import ReleasedForms


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a network this small is mostly waiting for threads
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_random_weights_are_measured_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    bench_decoding.main(["--random-weights", "tiny", "--quick"])
    shown = capsys.readouterr().out
    for form in ("fixed shapes", "growing shapes"):
        assert f"tiny on cpu, {form}" in shown
    for case in ("unguided", "two branches", "six attributes", "ten candidates"):
        assert shown.count(f"  {case:20}") == 2
    assert shown.count("of what the memory allows") == 2


@pytest.mark.usefixtures("one_thread")
def test_every_released_form_takes_its_steps() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=None,
    )
    prompts = [torch.tensor([bench_decoding.prompt_of(seed, 12, 264)]) % 64 for seed in range(7)]
    forms = ReleasedForms(LlamaForCausalLM(config).eval(), prompts, new=4)
    assert {name.partition(":")[0] for name in forms.cases()} == {
        "transformers generate", "CFG, transformers' own", "CoS", "AMULET", "PAD", "Drift", "ARGS", "PANDA",
    }  # fmt: skip
    for name, case in forms.cases().items():
        times = case()
        assert 3 <= len(times) <= 4, name
        assert min(times) > 0


def test_a_step_reads_eight_billion_weights_once() -> None:
    """16 GB of bfloat16 less the table of embeddings; a token's keys and values are 131 kB."""
    assert decoding_gpu.bytes_per_step("8b", tokens=0) == pytest.approx(15.0e9, rel=0.01)
    more = decoding_gpu.bytes_per_step("8b", tokens=1) - decoding_gpu.bytes_per_step("8b", tokens=0)
    assert more == 131_072
