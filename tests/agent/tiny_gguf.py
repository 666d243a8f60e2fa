"""The tiny Llama as a GGUF file in float32, so that llama.cpp runs the very weights that torch runs."""

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.agent import tiny_llama

_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write_file(
    file: Path, *, seed: int = 0, context: int = 512, vocabulary: int = tiny_llama.VOCABULARY
) -> Path:
    shape = tiny_llama.config(vocabulary, context)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(vocabulary)
    writer.add_context_length(context)
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_head_count_kv(shape["num_key_value_heads"])
    writer.add_rope_dimension_count(shape["head_dim"])
    writer.add_rope_freq_base(shape["rope_theta"])
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    writer.add_tokenizer_model("no_vocab")  # the tokens come from tokenizer.json
    heads = {"q_proj": shape["num_attention_heads"], "k_proj": shape["num_key_value_heads"]}
    for name, tensor in tiny_llama.weights(seed, vocabulary).items():
        values = tensor.numpy().astype(np.float32)
        part = name.removesuffix(".weight").rpartition(".")[2]
        writer.add_tensor(_name(name), _rotary_order(values, heads[part]) if part in heads else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def write_folder(folder: Path, *, seed: int = 0, context: int = 512) -> Path:
    """A model folder with both kinds of weights, as the default model has them."""
    tiny_llama.write_folder(folder, seed=seed, context=context)
    size = tiny_llama.byte_tokenizer().get_vocab_size()
    write_file(folder / "model.gguf", seed=seed, context=context, vocabulary=size)
    return folder


def _name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER[rest.removesuffix('.weight')]}.weight"


def _rotary_order(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """llama.cpp turns neighbouring values, transformers the halves of a head."""
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
