"""The benchmark that wants a GPU runs on a processor too, with a tiny shape."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import bench_decoding
import decoding_gpu


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


def test_a_step_reads_eight_billion_weights_once() -> None:
    """16 GB of bfloat16 less the table of embeddings; a token's keys and values are 131 kB."""
    assert decoding_gpu.bytes_per_step("8b", tokens=0) == pytest.approx(15.0e9, rel=0.01)
    more = decoding_gpu.bytes_per_step("8b", tokens=1) - decoding_gpu.bytes_per_step("8b", tokens=0)
    assert more == 131_072
