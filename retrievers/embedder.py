"""Texts → unit vectors, by any sentence-transformers model.

Nothing heavy is imported before it is needed: name and dimension are read from the model's files, and on a
processor a question to a plain BERT goes through numpy (`light_bert`), which takes less time than importing
torch, and than torch. On a processor with bfloat16 instructions, and on a GPU, the transformer runs in
bfloat16 (three times as fast on the former); pooling and normalising stay in float32. Knows no index.
"""

import hashlib
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mnemon.errors import ModelError, UsageError
from mnemon.retrievers.light_bert import LightBert, fits, read_json
from mnemon.retrievers.seams import Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Precision = Literal["auto", "fp32", "bf16"]
Progress = Callable[[int, int], None]  # texts done, texts in all

BATCH_TOKENS = 4096  # what one forward pass holds, padding counted; enough to keep two cores or a GPU busy
LARGEST_BATCH = 256  # texts
CHARACTERS_PER_TOKEN = 32  # no text keeps more than this × the model's window: tokenising megabytes is wasted
FEW = 4  # texts that are not worth a batch
SAMPLES, SAMPLE_BYTES = 16, 1 << 20  # of a weights file, for its fingerprint


class SentenceEmbedder:
    """An `Embedder`. Thread-safe; the model loads on first use.

    `model` is a name that `mnemon models` knows, a Hugging Face name, or a folder. `precision="auto"` is
    bfloat16 where the hardware has it. `name` tells weights and precision apart: their vectors never mix.
    """

    def __init__(
        self,
        model: str | Path = "all-minilm-l6-v2",
        *,
        device: str = "auto",
        precision: Precision = "auto",
        progress: Progress | None = None,
    ) -> None:
        if precision not in ("auto", "fp32", "bf16"):
            raise UsageError(f"Unknown precision {precision!r}; expected 'auto', 'fp32' or 'bf16'.")
        self._path = _folder(model)
        self._device = choose_device(device)
        self._precision = precision if precision != "auto" else _best_precision(self._device)
        self._progress = progress
        self._lock = threading.RLock()
        self._model: SentenceTransformer | None = None
        self._light: LightBert | None = None
        self._light_fits = self._device == "cpu" and fits(self._path)
        self._name = f"{self._path.name}@{fingerprint(self._path)}/{self._precision}"
        self._dimension = _declared_dimension(self._path)

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        if self._dimension is None:
            self._dimension = int(self._loaded().get_embedding_dimension() or 0)
        return self._dimension

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, query=False)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As texts, under the model's own query prompt if it has one."""
        return self._embed(texts, query=True)

    def _embed(self, texts: Sequence[str], *, query: bool) -> Vectors:
        if isinstance(texts, str):
            raise UsageError(f"embed was given one string, {texts[:40]!r}; expected a list of strings.")
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if not len(texts):
            return out
        # Questions always, so that one question has one vector; texts while the libraries are not loaded.
        if self._light_fits and len(texts) <= FEW and (query or self._model is None):
            return self._embed_few(texts)
        with self._lock:
            model = self._loaded()
            encode = model.encode_query if query else model.encode_document
            longest = int(model.get_max_seq_length() or 512)
            plain = [readable(text, longest * CHARACTERS_PER_TOKEN) for text in texts]
            # By length, so that a batch is hardly padded; a stable sort, so that a run repeats itself.
            order = sorted(range(len(texts)), key=lambda at: len(plain[at]), reverse=True)
            done = 0
            for batch in _batches(order, plain, longest):
                vectors = encode(
                    [plain[at] for at in batch],
                    batch_size=len(batch),
                    show_progress_bar=False,
                    convert_to_numpy=True,
                )
                out[batch] = vectors
                done += len(batch)
                if self._progress is not None:
                    self._progress(done, len(texts))
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise self._not_numbers()
        out /= np.where(norms > 0, norms, np.float32(1))
        return out

    def _embed_few(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            if self._light is None:
                self._light = LightBert(self._path)
            light = self._light
        limit = light.longest * CHARACTERS_PER_TOKEN
        vectors = light.embed([readable(text, limit) for text in texts])
        if not np.isfinite(vectors).all():
            raise self._not_numbers()
        if self._progress is not None:
            self._progress(len(texts), len(texts))
        return vectors

    def _not_numbers(self) -> ModelError:
        return ModelError(
            f"The embedder {self._name!r} returned values that are not numbers.",
            hint="Its weights may be damaged, or unfit for bfloat16: try precision='fp32'.",
        )

    def _loaded(self) -> "SentenceTransformer":
        with self._lock:
            if self._model is None:
                self._model = _load(self._path, self._device, self._precision)
            return self._model


def fingerprint(folder: Path) -> str:
    """Twelve hexadecimal digits that change with the weights, the vocabulary and the pooling.

    Large files count by size and by evenly spread samples: two sets of weights that differ at all differ
    nearly everywhere, and reading gigabytes to open a store would be felt.
    """
    digest = hashlib.sha256()
    weights = [*folder.rglob("*.safetensors"), *folder.rglob("pytorch_model*.bin")]
    for file in sorted([*weights, *folder.glob("tokenizer.json"), *folder.rglob("config.json")]):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()}:{size}\n".encode())
        with file.open("rb") as stream:
            if size <= SAMPLES * SAMPLE_BYTES:
                digest.update(stream.read())
            else:
                for sample in range(SAMPLES):
                    stream.seek(sample * (size - SAMPLE_BYTES) // (SAMPLES - 1))
                    digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()[:12]


def _folder(model: str | Path) -> Path:
    path = Path(model).expanduser()
    if not path.is_dir():
        from mnemon.models import model_path

        path = model_path(str(model))
    if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
        raise ModelError(
            f"{str(path)!r} is no sentence-transformers model: it has neither modules.json nor config.json.",
            hint="Give the folder that holds the weights, or a name that `mnemon models` lists.",
        )
    return path


def choose_device(device: str) -> str:
    if device != "auto":
        return device
    # Asking torch costs more than a second; a machine without either has nothing to ask about.
    if not Path("/proc/driver/nvidia").exists() and platform.system() == "Linux":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _best_precision(device: str) -> Literal["fp32", "bf16"]:
    if device.startswith("cuda"):
        return "bf16"
    if device != "cpu":
        return "fp32"
    try:
        processor = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "fp32"  # not Linux: cannot be told without asking torch, and most such processors emulate it
    return "bf16" if "avx512_bf16" in processor or "amx_bf16" in processor else "fp32"


def _declared_dimension(folder: Path) -> int | None:
    """The width of the vectors, if the files say it without loading; unusual modules do not."""
    width: int | None = None
    for module in read_json(folder / "modules.json") or []:
        kind = str(module["type"]).rpartition(".")[2]
        settings = read_json(folder / module["path"] / "config.json") or {}
        if kind == "Pooling":
            width = settings.get("word_embedding_dimension", settings.get("embedding_dimension"))
            modes = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on is True]
            if len(modes) > 1:  # concatenated
                return None
        elif kind not in ("Transformer", "Normalize"):
            return None
    return width


def readable(text: str, limit: int) -> str:
    """What a tokenizer accepts: no lone surrogates, and no more than can matter."""
    text = text[:limit]
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def _batches(order: list[int], texts: list[str], longest: int) -> list[list[int]]:
    """Cut the order (longest first) into batches of about equal work."""
    batches: list[list[int]] = []
    at = 0
    while at < len(order):
        tokens = min(longest, len(texts[order[at]]) // 4 + 8)  # of the first, which is the longest
        size = max(1, min(LARGEST_BATCH, BATCH_TOKENS // tokens))
        batches.append(order[at : at + size])
        at += size
    return batches


def _load(folder: Path, device: str, precision: str) -> "SentenceTransformer":
    with quiet_loading(folder, device):
        import torch
        from sentence_transformers import SentenceTransformer

        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"dtype": dtype}
        )
    model.eval()
    if precision == "bf16":
        # Pool and normalise in float32: half of what rounding costs is lost there.
        model[0].register_forward_hook(_widen)
    return model


@contextmanager
def quiet_loading(folder: Path, device: str) -> Iterator[None]:
    """Load weights without progress bars on standard error; what goes wrong is a ModelError."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    reports: Any = logging  # its functions carry no types
    shown = reports.is_progress_bar_enabled()
    reports.disable_progress_bar()
    try:
        yield
    # torch asserts that a named device was compiled in.
    except (OSError, ValueError, KeyError, RuntimeError, AssertionError, SafetensorError) as error:
        raise ModelError(
            f"The model in {str(folder)!r} does not load on {device!r}: {error}",
            hint="Check the folder and the device, or pull the model again.",
        ) from error
    finally:
        if shown:
            reports.enable_progress_bar()


def _widen(_module: object, _inputs: object, features: dict[str, Any]) -> dict[str, Any]:
    features["token_embeddings"] = features["token_embeddings"].float()
    return features
