"""The Llama architecture, written for decoding few rows at a time. The default model runs on this.

Why not transformers' own module: importing it takes longer than answering, and one step spends more time
between its kernels than in them. Here the projections are fused (four products per layer instead of seven),
keys and values are written in place, and on CPUs with bfloat16 products the weights are laid out once for
them, which also makes seven rows cost little more than one. `TransformersTrunk` is its reference in tests.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mnemon.agent.decoding.styles import StyleRows, StyleVector
from mnemon.agent.decoding.trunk import KeyValueCache, Shape
from mnemon.errors import ModelError


def is_plain_llama(config: Mapping[str, Any]) -> bool:
    """Whether config.json describes exactly the network below: no biases, no rope scaling, silu."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return (
        config.get("architectures") == ["LlamaForCausalLM"]
        and not config.get("attention_bias")
        and not config.get("mlp_bias")
        and config.get("hidden_act", "silu") == "silu"
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and "quantization_config" not in config
    )


def can_pack() -> bool:
    """Whether this processor and this torch have oneDNN's bfloat16 products."""
    return bool(torch._C._has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _Layer(NamedTuple):
    norm_in: Tensor
    qkv: "_Linear"
    out: "_Linear"
    norm_mid: Tensor
    gate_up: "_Linear"
    down: "_Linear"


class _Linear:
    """x → x·Wᵀ (+ residual). Packed, the weight lies in the order oneDNN's product reads it."""

    def __init__(self, weight: Tensor, *, packed: bool) -> None:
        self.packed = packed
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, 1) if packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        if self.packed:
            product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], "")
            return product
        return F.linear(x, self.weight)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        if self.packed:
            total: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, None, "add")
            return total
        return residual + F.linear(x, self.weight)


class LlamaTrunk:
    """A Llama-shaped network from a folder with config.json and *.safetensors."""

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        *,
        name: str,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.name, self.dtype, self.device = name, dtype, device
        heads = int(config["num_attention_heads"])
        hidden = int(config["hidden_size"])
        self.shape = Shape(
            layers=int(config["num_hidden_layers"]),
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            hidden=hidden,
            vocabulary=int(config["vocab_size"]),
            context_length=int(config["max_position_embeddings"]),
        )
        self._heads = heads
        self._eps = float(config.get("rms_norm_eps", 1e-6))
        rope = config.get("rope_parameters") or {}
        self._theta = float(rope.get("rope_theta", config.get("rope_theta", 10000.0)))
        self._turns = [self._rotations(256)]  # the last is in use; a captured graph may still read an earlier
        self._packed = dtype == torch.bfloat16 and device.type == "cpu" and can_pack()
        self._take_weights(weights, tied=bool(config.get("tie_word_embeddings")))
        self.styles = StyleRows()
        self._probe: int | None = None  # the layer whose output `layer_output` wants
        self._probed = torch.empty(0)

    @classmethod
    def open(cls, folder: Path, *, dtype: torch.dtype, device: torch.device) -> "LlamaTrunk":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights: dict[str, Tensor] = {}
        try:
            for file in sorted(folder.glob("*.safetensors")):
                weights.update(load_file(file, device=str(device)))
            return cls(config, weights, name=f"{folder.name}@{_short(dtype)}", dtype=dtype, device=device)
        except (SafetensorError, KeyError) as e:
            raise ModelError(
                f"The weights in {str(folder)!r} do not belong to its config.json: {e}.",
                hint="Fetch the model again: mnemon models pull",
            ) from e

    def _take_weights(self, weights: Mapping[str, Tensor], *, tied: bool) -> None:
        def take(key: str) -> Tensor:
            return weights[key].to(device=self.device, dtype=self.dtype)

        def linear(*keys: str) -> _Linear:
            return _Linear(torch.cat([take(f"{key}.weight") for key in keys]), packed=self._packed)

        self._layers = []
        for i in range(self.shape.layers):
            at = f"model.layers.{i}."
            attention, mlp = at + "self_attn.", at + "mlp."
            self._layers.append(
                _Layer(
                    take(at + "input_layernorm.weight"),
                    linear(attention + "q_proj", attention + "k_proj", attention + "v_proj"),
                    linear(attention + "o_proj"),
                    take(at + "post_attention_layernorm.weight"),
                    linear(mlp + "gate_proj", mlp + "up_proj"),
                    linear(mlp + "down_proj"),
                )
            )
        self._embeddings = take("model.embed_tokens.weight")
        self._norm = take("model.norm.weight")
        head = self._embeddings if tied or "lm_head.weight" not in weights else take("lm_head.weight")
        self._head = _Linear(head, packed=self._packed)

    def _rotations(self, length: int) -> tuple[Tensor, Tensor]:
        """cos and signed sin, (length, head_dim): rotation is x·cos + (halves of x swapped)·sin."""
        half = self.shape.head_dim // 2
        rates = self._theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = torch.arange(length, dtype=torch.float32)[:, None] * rates
        cos, sin = angles.cos(), angles.sin()
        return (
            torch.cat([cos, cos], dim=-1).to(device=self.device, dtype=self.dtype),
            torch.cat([-sin, sin], dim=-1).to(device=self.device, dtype=self.dtype),
        )

    @torch.inference_mode()
    def forward(self, ids: Tensor, positions: Tensor, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        rows, q = ids.shape
        heads, kv, d = self._heads, self.shape.kv_heads, self.shape.head_dim
        while cache.length + q > len(self._turns[-1][0]):
            self._turns.append(self._rotations(2 * len(self._turns[-1][0])))
        x = self._embeddings[ids.reshape(-1)]  # (rows·q, hidden)
        cos, sin = (turn[positions].view(rows * q, 1, d) for turn in self._turns[-1])
        group = heads // kv
        if mask is not None:
            # Queries of one key head lie side by side, so that grouped attention needs no repeated keys.
            mask = mask.to(self.dtype).repeat(1, 1, group, 1) if q > 1 else mask.to(self.dtype)
        width = (self.shape.hidden,)
        for i, layer in enumerate(self._layers):
            qkv = layer.qkv(F.rms_norm(x, width, layer.norm_in, self._eps)).view(rows * q, heads + 2 * kv, d)
            qk = qkv[:, : heads + kv]
            swapped = qk.view(rows * q, heads + kv, 2, d // 2).flip(2).view(rows * q, heads + kv, d)
            turned = torch.addcmul(qk * cos, swapped, sin).view(rows, q, heads + kv, d)
            keys, values = cache.write(
                i,
                turned[:, :, heads:].transpose(1, 2),
                qkv.view(rows, q, heads + 2 * kv, d)[:, :, heads + kv :].transpose(1, 2),
            )
            queries = turned[:, :, :heads].view(rows, q, kv, group, d)
            queries = queries.permute(0, 2, 3, 1, 4).reshape(rows, kv, group * q, d)
            seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
            seen = seen.view(rows, kv, group, q, d).permute(0, 3, 1, 2, 4).reshape(rows * q, heads * d)
            x = layer.out.add_to(x, seen)
            gate, up = layer.gate_up(F.rms_norm(x, width, layer.norm_mid, self._eps)).chunk(2, dim=-1)
            x = layer.down.add_to(x, F.silu(gate) * up)
            nudge = self.styles.nudge(i)
            if nudge is not None:
                x = (x.view(rows, q, -1) + nudge).view(rows * q, -1)
            if i == self._probe:
                self._probed = x
        return F.rms_norm(x, width, self._norm, self._eps).view(rows, q, -1)

    @property
    def adapters(self) -> frozenset[str]:
        return self.styles.names

    def add_style(self, name: str, style: StyleVector) -> None:
        self.styles.add(name, style, self.shape, dtype=self.dtype, device=self.device)

    def select_adapters(self, adapters: Sequence[str | None] | None) -> None:
        self.styles.select(adapters)

    def layer_output(self, ids: Sequence[int], layer: int) -> Tensor:
        """(q, hidden) that a layer makes of a text."""
        n = len(ids)
        cache = KeyValueCache(self.shape, rows=1, capacity=n, dtype=self.dtype, device=self.device)
        mask = torch.full((n, n), float("-inf"), dtype=self.dtype, device=self.device).triu(1)[None, None]
        self._probe = layer
        try:
            everything = torch.arange(n, device=self.device)[None]
            self.forward(torch.tensor([list(ids)], device=self.device), everything, cache, mask)
        finally:
            self._probe = None
        return self._probed

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        flat = hidden.reshape(-1, hidden.shape[-1])
        return self._head(flat).float().view(*hidden.shape[:-1], -1)


def _short(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}.get(dtype, str(dtype))
