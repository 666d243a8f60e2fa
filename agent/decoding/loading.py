"""From a folder of weights to rows: picks the engine, the network's implementation, precision and device."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from mnemon.agent.decoding.llama import LlamaTrunk, is_plain_llama
from mnemon.agent.decoding.rows import TrunkRowModel
from mnemon.agent.decoding.trunk import Trunk, memory_errors
from mnemon.errors import ModelError, UsageError

if TYPE_CHECKING:
    from mnemon.agent.decoding.llamacpp_rows import LlamaCppRowModel

Engine = Literal["auto", "transformers", "llama.cpp"]
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def pick_device(device: str) -> torch.device:
    """ "auto" is a GPU when there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as e:
        raise UsageError(
            f"device={device!r} cannot be used here: {str(e).splitlines()[0]}", hint="Use 'cpu' or 'auto'."
        ) from e
    return chosen


def pick_dtype(dtype: str | None, device: torch.device) -> torch.dtype:
    """bfloat16 where products of it are native, float32 elsewhere, unless one is named."""
    if dtype is not None:
        if dtype not in DTYPES:
            raise UsageError(f"dtype={dtype!r} is not one of {sorted(DTYPES)}.")
        return DTYPES[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def pick_engine(engine: str, place: Path, *, device: str, only_torch: bool) -> Engine:
    """ "auto" is llama.cpp where it is the faster one: installed, with a GGUF file at hand, on a processor
    without bfloat16 products. With them torch reads prompts nine times as fast, and a turn of a chat is done
    first there, though llama.cpp writes faster. `only_torch`: llama.cpp cannot do what was asked for.
    """
    if engine not in get_args(Engine):
        raise UsageError(f"engine={engine!r} is not one of {sorted(get_args(Engine))}.")
    if place.suffix == ".gguf":  # nothing else runs one
        engine = "llama.cpp"
    if engine == "auto":
        chosen = pick_device(device)
        slow = chosen.type == "cpu" and pick_dtype(None, chosen) != torch.bfloat16
        fits = slow and not only_torch and find_spec("llama_cpp") is not None
        return "llama.cpp" if fits and len(gguf_files(place)) == 1 else "transformers"
    if engine == "llama.cpp" and only_torch:
        raise UsageError(
            "llama.cpp runs a GGUF file as it is: no adapters, and no other dtype.",
            hint="Choose engine='transformers'.",
        )
    return "llama.cpp" if engine == "llama.cpp" else "transformers"


def gguf_files(place: Path) -> list[Path]:
    """The GGUF files that could be meant: the file itself, a folder's model.gguf, or all that lie there."""
    if place.suffix == ".gguf":
        return [place]
    usual = place / "model.gguf"
    return [usual] if usual.is_file() else sorted(place.glob("*.gguf"))


def open_llama_cpp(place: Path, *, device: str) -> "LlamaCppRowModel":
    """The GGUF file at a place, on llama.cpp. "auto" is the processor."""
    from mnemon.agent.decoding.llamacpp_rows import LlamaCppRowModel

    files = gguf_files(place)
    if len(files) != 1:
        found = f"holds {[file.name for file in files]}" if files else "has no .gguf file"
        raise ModelError(
            f"{str(place)!r} {found}; llama.cpp reads one.",
            hint="Name the file, or choose engine='transformers'.",
        )
    name = place.stem if place.suffix == ".gguf" else place.name
    return LlamaCppRowModel(files[0], name=name, gpu=device not in ("auto", "cpu"))


def open_rows(
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    adapters: Mapping[str, Path] | None = None,
) -> TrunkRowModel:
    """The network in a folder. Plain Llamas run on our own code, the rest and adapters on transformers."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(
            f"{str(folder)!r} has no config.json, so it is no model folder.",
            hint="Name a folder that save_pretrained wrote, or pull one: mnemon models pull",
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ModelError(f"{str(file)!r} is not JSON: {e}.", hint="Fetch the model again.") from e
    plain = is_plain_llama(config) and not adapters
    with memory_errors(f"loading {folder.name!r} on {str(device)!r}"):
        return TrunkRowModel(_open_trunk(folder, plain, dtype=dtype, device=device, adapters=adapters or {}))


def _open_trunk(
    folder: Path, plain: bool, *, dtype: torch.dtype, device: torch.device, adapters: Mapping[str, Path]
) -> Trunk:
    if plain and any(folder.glob("*.safetensors")):
        return LlamaTrunk.open(folder, dtype=dtype, device=device)
    from mnemon.agent.decoding.hf import TransformersTrunk

    trunk = TransformersTrunk.open(folder, dtype=dtype, device=device)
    for name, place in adapters.items():
        trunk.add_adapter(name, place)
    return trunk
