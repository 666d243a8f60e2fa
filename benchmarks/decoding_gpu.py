"""Tokens per second, guided and not, of a network with random weights, and its share of the memory's speed.

    python benchmarks/bench_decoding.py --device cuda --random-weights 8b

Speed depends on shapes and not on what the weights are, so no file is needed. The limit is that of one row:
every weight of a step read once, and the keys and values, at the speed at which this device copies memory.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from mnemon.agent.decoding.llama import LlamaTrunk
from mnemon.agent.decoding.rows import TrunkRowModel

SHAPES: dict[str, dict[str, Any]] = {
    "8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "max_position_embeddings": 8192,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1024,
        "max_position_embeddings": 2048,
    },
}
EMBEDDINGS = "model.embed_tokens.weight"
COPIED = 2**28  # numbers of two bytes, in the copy that measures the memory


def sizes(shape: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of every weight of such a Llama, by its name in a file."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    keys = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    layer = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    found: dict[str, tuple[int, ...]] = {
        f"model.layers.{i}.{name}.weight": size
        for i in range(shape["num_hidden_layers"])
        for name, size in layer.items()
    }
    outer = (shape["vocab_size"], hidden)
    return found | {EMBEDDINGS: outer, "lm_head.weight": outer, "model.norm.weight": (hidden,)}


class RandomWeights(Mapping[str, Tensor]):
    """Weights of such sizes, made when asked for: two copies of 16 GB need not fit."""

    def __init__(self, shape: Mapping[str, Any], *, dtype: torch.dtype, device: torch.device) -> None:
        self._sizes, self._dtype, self._device = sizes(shape), dtype, device

    def __getitem__(self, name: str) -> Tensor:
        size = self._sizes[name]
        if len(size) == 1:
            return torch.ones(size, dtype=self._dtype, device=self._device)
        return torch.empty(size, dtype=self._dtype, device=self._device).normal_(0, 0.02)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


def random_rows(shape: str, *, device: torch.device, fixed: bool | None = None) -> TrunkRowModel:
    torch.manual_seed(0)
    config = SHAPES[shape]
    weights = RandomWeights(config, dtype=torch.bfloat16, device=device)
    trunk = LlamaTrunk(config, weights, name=f"random {shape}", dtype=torch.bfloat16, device=device)
    return TrunkRowModel(trunk, fixed=fixed)


def bytes_per_step(shape: str, *, tokens: int) -> int:
    """What a step of one row must read: all weights but the table of embeddings, and its keys and values."""
    config = SHAPES[shape]
    weights = sum(prod(size) for name, size in sizes(config).items() if name != EMBEDDINGS)
    keys = config["hidden_size"] // config["num_attention_heads"] * config["num_key_value_heads"]
    return 2 * (weights + config["num_hidden_layers"] * 2 * keys * tokens)


def memory_bytes_per_second(device: torch.device, *, numbers: int = COPIED) -> float:
    """By copying within the device: each byte is read and written."""
    source = torch.zeros(numbers, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(source)

    def seconds(copies: int) -> float:
        wait(device)
        start = time.perf_counter()
        for _ in range(copies):
            target.copy_(source)
        wait(device)
        return time.perf_counter() - start

    seconds(2)  # pages and clocks wake up
    return 2 * 5 * source.nbytes / seconds(5)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def show_random(
    shape: str,
    device: torch.device,
    *,
    new: int,
    measure: Callable[[TrunkRowModel], dict[str, float]],
    targets: Mapping[str, float],
) -> dict[str, float]:
    """Measures replies on fixed and on growing shapes, prints both, and returns tokens/s by case."""
    numbers = COPIED if shape == "8b" else 2**20
    memory = memory_bytes_per_second(device, numbers=numbers)
    found: dict[str, float] = {}
    for name, fixed in (("fixed shapes", True), ("growing shapes", False)):
        speeds = measure(random_rows(shape, device=device, fixed=fixed))
        base = speeds["unguided"]
        share = base * bytes_per_step(shape, tokens=256 + new) / memory
        print(f"{shape} on {device}, {name}; a copy moves {memory / 1e9:.1f} GB/s")
        for case, speed in speeds.items():
            wanted = f"  (promised ≥ {targets[case]:.2f})" if case in targets and fixed else ""
            print(f"  {case:20}{speed:8.1f} tokens/s   {speed / base:5.2f} × unguided{wanted}")
        print(f"  unguided reaches {share:.2f} of what the memory allows")
        found |= {f"{name}, {case}": speed for case, speed in speeds.items()}
        found[f"{name}, share of memory"] = share
    return found
