"""llama.cpp through its C interface: weights from a GGUF file, and contexts that decode several sequences.

Knows files, tokens, positions and sequences. Knows no prompts and no branches; `llamacpp_rows` does. What
llama.cpp prints is caught: its last error goes into ours.

The interface: https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h
"""

import ctypes
import os
import weakref
from collections import deque
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import MissingExtra, ModelError, UsageError

Logits = NDArray[np.float32]

BATCH = 512  # tokens of one decode
MOST_SEQUENCES = 256  # that a build of llama.cpp admits in one context
_CELLS_AT_ONCE = 256  # llama.cpp rounds the cells of a cache up to this
_ERROR = 3  # a level of llama.cpp's log
_NO_ROOM = 1  # an answer of llama_decode


class _Library(NamedTuple):
    """The loaded library, and its last complaint."""

    c: Any  # llama_cpp.llama_cpp
    complaints: deque[str]
    callback: object  # must live as long as the library may call it

    def complaint(self) -> str:
        """What was said last, once."""
        said = self.complaints[-1].strip().splitlines()[0] if self.complaints else "it gave no reason"
        self.complaints.clear()
        return said


@cache
def library() -> _Library:
    """Loads llama.cpp when it is first needed, and makes it quiet."""
    try:
        from llama_cpp import llama_cpp as c
    except ImportError as e:
        raise MissingExtra("llama_cpp", "llamacpp", "The llama.cpp engine") from e
    except (OSError, RuntimeError) as e:  # compiled for another processor, or a library of it is gone
        raise ModelError(
            f"llama.cpp is installed and cannot be loaded: {e}.",
            hint="Install it again, pip install --force-reinstall --no-cache-dir llama-cpp-python, "
            "or choose engine='transformers'.",
        ) from e
    complaints: deque[str] = deque(maxlen=10)

    def listen(level: int, text: bytes, _: object) -> None:
        if level == _ERROR:
            complaints.append(text.decode(errors="replace"))

    callback = c.llama_log_callback(listen)
    c.llama_log_set(callback, None)
    c.llama_backend_init()
    return _Library(c, complaints, callback)


def tokens_at_once() -> int:
    """How many tokens may go through the network together: all of a decode, or one after the other.

    A build for AMX lays weights out in an order of its own. Products of one token then take half the time and
    use no tiles. Those of several tokens do, and GCC 12 leaves most of the tiles' configuration out as dead
    stores (its `_tile_loadconfig` names the first eight bytes as read), which ends the process at the first
    prompt. Read one by one, a prompt takes about as long as it does on weights in the file's order.
    """
    return 1 if b"AMX_INT8 = 1" in library().c.llama_print_system_info() else BATCH


class Weights:
    """The weights of one GGUF file, shared by all contexts on them."""

    def __init__(self, file: Path, *, gpu: bool = False) -> None:
        lib = library()
        if not file.is_file():
            raise ModelError(f"{str(file)!r} is not a file; a .gguf file was expected.")
        if gpu and not lib.c.llama_supports_gpu_offload():
            raise UsageError(
                "This build of llama.cpp knows no GPU.",
                hint="Use device='cpu', engine='transformers', or build llama-cpp-python for your GPU.",
            )
        settings = lib.c.llama_model_default_params()
        settings.n_gpu_layers = -1 if gpu else 0
        pointer = lib.c.llama_model_load_from_file(os.fsencode(file), settings)
        if not pointer:
            raise ModelError(
                f"llama.cpp cannot load {str(file)!r}: {lib.complaint()}.",
                hint="Fetch the file again (mnemon models pull), or update llama-cpp-python.",
            )
        self.pointer = pointer
        self._free = weakref.finalize(self, lib.c.llama_model_free, pointer)
        self.at_once = tokens_at_once()
        unfit = ("llama_model_has_encoder", "llama_model_is_recurrent", "llama_model_is_hybrid")
        if any(getattr(lib.c, has)(pointer) for has in unfit):
            self.close()
            raise ModelError(
                f"{file.name!r} is no causal model with attention in every layer; rows cannot branch there.",
                hint="Use a model such as Llama, Qwen2.5 or Gemma.",
            )
        self.vocabulary = int(lib.c.llama_vocab_n_tokens(lib.c.llama_model_get_vocab(pointer)))
        self.context_length = int(lib.c.llama_model_n_ctx_train(pointer))
        self.hidden_size = int(lib.c.llama_model_n_embd(pointer))
        self.parameters = int(lib.c.llama_model_n_params(pointer))
        heads = int(lib.c.llama_model_n_head(pointer))
        kv_width = self.hidden_size // heads * int(lib.c.llama_model_n_head_kv(pointer))
        layers = int(lib.c.llama_model_n_layer(pointer))
        self._cell_bytes = 2 * 2 * layers * kv_width  # keys and values in float16
        kind = lib.c.llama_ftype_name(lib.c.llama_model_ftype(pointer)) or b"gguf"
        self.kind = kind.decode().lower().removeprefix("all ").split(" ")[0]  # "q4_1"

    def bytes_of(self, cells: int) -> int:
        """About what a cache of that many tokens takes."""
        return cells * self._cell_bytes

    def close(self) -> None:
        """Frees the memory now; contexts on these weights must be closed before."""
        self._free()


class Context:
    """Sequences of tokens over one cache of `cells` tokens in all. Copies of a sequence share its cells."""

    apart = False

    def __init__(self, weights: Weights, *, cells: int, sequences: int, outputs: int, threads: int) -> None:
        lib = library()
        self._c, self._lib, self._weights = lib.c, lib, weights
        cells = -(-cells // _CELLS_AT_ONCE) * _CELLS_AT_ONCE
        if weights.bytes_of(cells) > _memory() or cells >= 2**31:  # it would be killed, not told
            raise out_of_memory(cells)
        settings = lib.c.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = cells, sequences
        settings.n_batch, settings.n_ubatch = BATCH, weights.at_once
        settings.n_outputs_max = settings.n_outputs_max_per_seq = outputs
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True  # one cache for all sequences: a copied prefix costs neither time nor room
        settings.flash_attn_type = 0  # measured: few rows are up to a third slower with it on processors
        settings.pooling_type = 0  # hidden states of tokens, not of texts
        settings.no_perf = True
        pointer = lib.c.llama_init_from_model(weights.pointer, settings)
        if not pointer:
            raise out_of_memory(cells, lib.complaint())
        self.cells, self.sequences = cells, sequences
        self._pointer = pointer
        self._free = weakref.finalize(self, lib.c.llama_free, pointer)
        self._memory = lib.c.llama_get_memory(pointer)
        self._batch = _Batch(lib.c)

    def decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        *,
        wanted: Sequence[bool] | None = None,
        hidden: bool = False,
    ) -> tuple[Logits, Logits]:
        """One forward: logits (n, vocabulary) and, if asked for, hidden states of the wanted tokens."""
        n = len(tokens)
        flags = [True] * n if wanted is None else list(wanted)
        self._c.llama_set_embeddings(self._pointer, hidden)
        answer = self._c.llama_decode(self._pointer, self._batch.filled(tokens, positions, sequences, flags))
        if answer == _NO_ROOM:
            raise out_of_memory(self.cells)
        if answer != 0:
            raise ModelError(f"llama.cpp failed ({answer}) to read {n} tokens: {self._lib.complaint()}.")
        outputs = sum(flags)
        if not outputs:
            return np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)
        # Copied: the next decode writes to the same place.
        logits = self._array(self._c.llama_get_logits(self._pointer), outputs, self._weights.vocabulary)
        states = np.empty((0, 0), np.float32)
        if hidden:
            found = self._c.llama_get_embeddings(self._pointer)
            states = self._array(found, outputs, self._weights.hidden_size)
        return logits, states

    @staticmethod
    def _array(pointer: Any, rows: int, columns: int) -> Logits:
        if not pointer:
            raise ModelError("llama.cpp gives no logits of this file: it holds no causal language model.")
        return np.ctypeslib.as_array(pointer, shape=(rows, columns)).copy()

    def copy(self, source: int, target: int, *, start: int = 0, end: int = -1) -> None:
        """Makes positions [start, end) of `source` part of `target` too; -1 is the end."""
        self._c.llama_memory_seq_cp(self._memory, source, target, start, end)

    def cut(self, sequence: int, start: int = 0) -> None:
        """Forgets a sequence from a position on."""
        self._c.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def state(self, sequence: int) -> NDArray[np.uint8]:
        """A sequence's keys and values, as bytes that any context on the same weights can take."""
        size = self._c.llama_state_seq_get_size(self._pointer, sequence)
        state = np.empty(size, np.uint8)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = self._c.llama_state_seq_get_data(self._pointer, pointer, size, sequence)
        if written != size:
            raise ModelError(f"llama.cpp could not copy a sequence: {self._lib.complaint()}.")
        return state

    def restore(self, sequence: int, state: NDArray[np.uint8]) -> None:
        """Puts such bytes into an empty sequence."""
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        if not self._c.llama_state_seq_set_data(self._pointer, pointer, state.size, sequence):
            raise out_of_memory(self.cells, self._lib.complaint())

    def close(self) -> None:
        self._free()

    @property
    def closed(self) -> bool:
        return not self._free.alive


class Apart:
    """Sequences that each have a context, of `cells` tokens: where tokens go through the network one by one,
    a shared cache would only make each pass over the other sequences' cells. A copy copies, from the start.
    """

    apart = True

    def __init__(self, weights: Weights, *, cells: int, sequences: int, threads: int) -> None:
        if weights.bytes_of(cells * sequences) > _memory():
            raise out_of_memory(cells * sequences)
        self._contexts = [
            Context(weights, cells=cells, sequences=1, outputs=1, threads=threads) for _ in range(sequences)
        ]
        self.cells, self.sequences = self._contexts[0].cells, sequences

    def decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        *,
        wanted: Sequence[bool] | None = None,
        hidden: bool = False,
    ) -> tuple[Logits, Logits]:
        if len(set(sequences)) == 1:
            context = self._contexts[sequences[0]]
            return context.decode(tokens, positions, [0] * len(tokens), wanted=wanted, hidden=hidden)
        assert wanted is None, "prompts are read one after the other"
        found = [
            self._contexts[sequence].decode([token], [position], [0], hidden=hidden)
            for token, position, sequence in zip(tokens, positions, sequences, strict=True)
        ]
        return np.concatenate([logits for logits, _ in found]), np.concatenate([h for _, h in found])

    def copy(self, source: int, target: int, *, start: int = 0, end: int = -1) -> None:
        assert start == 0, "only candidates are copied from further on, and they lie with their rows"
        self.restore(target, self.state(source))
        if end >= 0:
            self.cut(target, end)

    def cut(self, sequence: int, start: int = 0) -> None:
        self._contexts[sequence].cut(0, start)

    def state(self, sequence: int) -> NDArray[np.uint8]:
        return self._contexts[sequence].state(0)

    def restore(self, sequence: int, state: NDArray[np.uint8]) -> None:
        self._contexts[sequence].restore(0, state)

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    @property
    def closed(self) -> bool:
        return self._contexts[0].closed


class _Batch:
    """Arrays that llama.cpp reads a decode's tokens from."""

    def __init__(self, c: Any) -> None:
        self._tokens, self._positions = np.zeros(BATCH, np.int32), np.zeros(BATCH, np.int32)
        self._sequences, self._counts = np.zeros(BATCH, np.int32), np.ones(BATCH, np.int32)
        self._flags = np.zeros(BATCH, np.int8)
        # Per token a pointer to its sequences; here each has one.
        self._places = (self._sequences.ctypes.data + 4 * np.arange(BATCH)).astype(np.uintp)
        self._batch = c.llama_batch()
        arrays: dict[str, NDArray[Any]] = {
            "token": self._tokens,
            "pos": self._positions,
            "n_seq_id": self._counts,
            "seq_id": self._places,
            "logits": self._flags,
        }
        types = dict(c.llama_batch._fields_)
        for name, array in arrays.items():
            setattr(self._batch, name, ctypes.cast(array.ctypes.data, types[name]))

    def filled(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        flags: Sequence[bool],
    ) -> Any:
        n = len(tokens)
        assert n <= BATCH, "callers cut what is longer"
        self._tokens[:n], self._positions[:n] = tokens, positions
        self._sequences[:n], self._flags[:n] = sequences, flags
        self._batch.n_tokens = n
        return self._batch


def out_of_memory(cells: int, reason: str = "") -> ModelError:
    return ModelError(
        f"Out of memory for the keys and values of {cells} tokens{': ' + reason if reason else ''}.",
        hint="Use a smaller model, fewer traits, or a shorter conversation.",
    )


def _memory() -> float:
    """Bytes of this machine, whoever uses them; without limit where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return float("inf")
