"""A plain BERT sentence encoder in numpy: for one question, before three heavy libraries could be imported.

Importing torch and sentence-transformers takes seconds; a question is ten tokens, and its vector takes
milliseconds. Only for what is common and simple (BERT layers, mean or first-token pooling); `fits` says
whether a model is. Single precision, no padding; a test holds it to what sentence-transformers computes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import ModelError
from mnemon.retrievers.threads import one_thread

Floats = NDArray[np.float32]

BLOCK = 24_576  # weights of a linear map that are multiplied at once


class _Linear(NamedTuple):
    blocks: Floats  # (blocks, inputs, outputs of a block)
    bias: Floats  # (outputs,)


class _Norm(NamedTuple):
    weight: Floats  # (width,)
    bias: Floats


class _Layer(NamedTuple):
    attend: _Linear  # to query, key and value
    mix: _Linear
    mixed: _Norm
    widen: _Linear
    narrow: _Linear
    out: _Norm


def fits(folder: Path) -> bool:
    """Whether the model in the folder is one that this module computes."""
    config, modules = read_json(folder / "config.json"), read_json(folder / "modules.json")
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules or []]
    pooling = read_json(folder / "1_Pooling" / "config.json") or {}
    prompts = (read_json(folder / "config_sentence_transformers.json") or {}).get("prompts") or {}
    return bool(
        config
        and config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        and _pooling(pooling) in ("mean", "cls")
        and not any(prompts.values())
        and (folder / "model.safetensors").is_file()
        and (folder / "tokenizer.json").is_file()
    )


class LightBert:
    """Texts → unit vectors. Loads 0.1 s; any number of threads may share one."""

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        config = read_json(folder / "config.json")
        settings = read_json(folder / "sentence_bert_config.json") or {}
        self._heads: int = config["num_attention_heads"]
        self._epsilon = np.float32(config["layer_norm_eps"])
        self._lower = bool(settings.get("do_lower_case"))
        self._first_token = _pooling(read_json(folder / "1_Pooling" / "config.json") or {}) == "cls"
        longest = int(config["max_position_embeddings"])
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            weights = load_file(folder / "model.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(
                f"The model in {str(folder)!r} does not load: {error}", hint="Pull the model again."
            ) from error
        self._tokenizer.no_padding()
        self.longest = min(int(settings.get("max_seq_length") or longest), longest)  # tokens
        self._tokenizer.enable_truncation(self.longest)
        # Some files keep the name of the whole model before each weight.
        named = {name.removeprefix("bert."): np.asarray(w, np.float32) for name, w in weights.items()}
        tables = ("word_embeddings", "position_embeddings", "token_type_embeddings")
        self._tables = [named[f"embeddings.{table}.weight"] for table in tables]
        self._norm = _norm(named, "embeddings.LayerNorm")
        self._layers = [
            _layer(named, f"encoder.layer.{place}.") for place in range(int(config["num_hidden_layers"]))
        ]

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dimension). The tokens of all stand in one line; only attention keeps texts apart."""
        found = [self._tokenizer.encode(text.lower() if self._lower else text) for text in texts]
        ends = np.cumsum([len(one.ids) for one in found]).tolist()
        spans = [slice(end - len(one.ids), end) for one, end in zip(found, ends, strict=True)]
        with one_thread():
            states = np.concatenate([self._embedded(one.ids, one.type_ids) for one in found])
            for layer in self._layers:
                states = self._layer(layer, states, spans)
        pooled = np.stack([states[at][0] if self._first_token else states[at].mean(axis=0) for at in spans])
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.where(norms > 0, norms, np.float32(1)), np.float32)

    def _embedded(self, ids: list[int], kinds: list[int]) -> Floats:
        words, positions, types = self._tables
        summed = words[ids] + positions[: len(ids)] + types[kinds]
        return self._normed(self._norm, summed)

    def _layer(self, layer: _Layer, states: Floats, spans: Sequence[slice]) -> Floats:
        """(tokens, width) → (tokens, width)"""
        tokens, width = states.shape
        # (3, heads, tokens, width of a head)
        asked = _apply(layer.attend, states).reshape(tokens, 3, self._heads, width // self._heads)
        query, key, value = asked.transpose(1, 2, 0, 3)
        query *= np.float32((width // self._heads) ** -0.5)
        mixed = np.empty((tokens, self._heads, width // self._heads), np.float32)
        for at in spans:
            scores = query[:, at] @ key[:, at].transpose(0, 2, 1)
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed[at] = (scores @ value[:, at]).transpose(1, 0, 2)
        attended = _apply(layer.mix, mixed.reshape(tokens, width))
        attended += states
        attended = self._normed(layer.mixed, attended)
        after = _apply(layer.narrow, _gelu(_apply(layer.widen, attended)))
        after += attended
        return self._normed(layer.out, after)

    def _normed(self, norm: _Norm, states: Floats) -> Floats:
        """In place."""
        states -= states.mean(axis=-1, keepdims=True)
        spread = np.einsum("tw,tw->t", states, states)[:, None] / np.float32(states.shape[1])
        states /= np.sqrt(spread + self._epsilon)
        states *= norm.weight
        states += norm.bias
        return states


def _layer(weights: Mapping[str, Floats], name: str) -> _Layer:
    return _Layer(
        attend=_linear(weights, *(f"{name}attention.self.{part}" for part in ("query", "key", "value"))),
        mix=_linear(weights, f"{name}attention.output.dense"),
        mixed=_norm(weights, f"{name}attention.output.LayerNorm"),
        widen=_linear(weights, f"{name}intermediate.dense"),
        narrow=_linear(weights, f"{name}output.dense"),
        out=_norm(weights, f"{name}output.LayerNorm"),
    )


def _linear(weights: Mapping[str, Floats], *names: str) -> _Linear:
    """Maps of the same input as one."""
    whole = np.concatenate([weights[f"{name}.weight"] for name in names])  # (outputs, inputs)
    outputs, inputs = whole.shape
    size = max(size for size in range(1, max(BLOCK // inputs, 1) + 1) if outputs % size == 0)
    blocks = whole.reshape(outputs // size, size, inputs).transpose(0, 2, 1)
    return _Linear(np.ascontiguousarray(blocks), np.concatenate([weights[f"{name}.bias"] for name in names]))


def _norm(weights: Mapping[str, Floats], name: str) -> _Norm:
    return _Norm(weights[f"{name}.weight"], weights[f"{name}.bias"])


def _apply(linear: _Linear, states: Floats) -> Floats:
    """(tokens, inputs) → (tokens, outputs).

    Block by block: OpenBLAS puts a large matrix into another order before it multiplies, which takes as long
    as multiplying by a question's few tokens; small ones it takes as they are. Measured: a question costs
    9.4 ms of processor, not 12.0.
    """
    blocks, bias = linear
    found = np.empty((len(states), bias.size), np.float32)
    np.matmul(states, blocks, out=found.reshape(len(states), len(blocks), -1).transpose(1, 0, 2))
    found += bias
    return found


def _gelu(x: Floats) -> Floats:
    """x · Φ(x), in place. The error function by Abramowitz and Stegun 7.1.26: off by less than 2e-7."""
    size = np.abs(x)
    z = size * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = t * np.float32(1.061405429)
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(term)
        tail *= t
    z *= -z
    tail *= np.exp(z, out=z)  # 1 - erf(|x| / √2)
    tail *= size
    tail /= 2
    np.maximum(x, 0, out=x)
    x -= tail
    return x


def _pooling(settings: dict[str, Any]) -> str:
    """ "mean", "cls", or what else the model pools by."""
    if settings.get("include_prompt") is False:
        return "without prompt"
    if "pooling_mode" in settings:
        return str(settings["pooling_mode"])
    named = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    modes = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on is True]
    return named.get(modes[0], modes[0]) if len(modes) == 1 else "several"


def read_json(file: Path) -> Any:
    """What a model's file says; None if the model has no such file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{str(file)!r} is not JSON: {error}", hint="Pull the model again.") from error
