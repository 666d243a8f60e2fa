"""The llama.cpp engine: its own greedy loop, rows as separate sequences, silence, memory, refusals."""

import gc
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mnemon.agent import ReplyOptions
from mnemon.agent.decoding import llamacpp, loading, presets
from mnemon.agent.decoding.llamacpp import BATCH, Apart, Context, Weights
from mnemon.agent.decoding.llamacpp_rows import LlamaCppRowModel
from mnemon.agent.decoding.picking import Sampling
from mnemon.agent.decoding.rewards import Contrast, attribute
from mnemon.agent.decoding.rows import RowCounts, RowModel, RowPrompt, Rows
from mnemon.agent.decoding.steering import BASE, Branch, Floats, Steering, StepView, Term
from mnemon.agent.local import LocalChatModel
from mnemon.agent.reward_training import hidden_at_cuts
from mnemon.errors import MissingExtra, ModelError, UsageError
from tests.agent import tiny_gguf, tiny_llama
from tests.agent.steered import PROMPT, Run

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (mnemon[llamacpp])")

HELLO = [{"role": "user", "content": "Hello there"}]
OTHER = (90, 3, 77, 12, 6, 33, 4, 8, 9, 17)
THIRD = (5, 9, 17, 33, 4, 8, 90, 70, 71)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(params=[1, BATCH], ids=["one by one", "all at once"])
def rows(folder: Path, request: pytest.FixtureRequest) -> Iterator[LlamaCppRowModel]:
    model = LlamaCppRowModel(folder / "model.gguf", threads=1)
    model.weights.at_once = request.param  # as a build for AMX wants it, and as others do
    yield model
    model.close()


@pytest.fixture
def model(folder: Path) -> LocalChatModel:
    return LocalChatModel.open(folder, engine="llama.cpp")


def own_greedy_loop(file: Path, prompt: Sequence[int], count: int) -> list[int]:
    """What llama.cpp writes by itself: its batch of one sequence, its sampler."""
    c = llamacpp.library().c
    weights = Weights(file)
    settings = c.llama_context_default_params()
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = len(prompt) + count + 8, 1, 1
    settings.flash_attn_type, settings.n_ubatch = 0, weights.at_once
    context = c.llama_init_from_model(weights.pointer, settings)
    sampler = c.llama_sampler_init_greedy()
    written: list[int] = []
    ids = list(prompt)
    for _ in range(count):
        tokens = (c.llama_token * len(ids))(*ids)
        assert c.llama_decode(context, c.llama_batch_get_one(tokens, len(ids))) == 0
        ids = [c.llama_sampler_sample(sampler, context, -1)]
        written += ids
    c.llama_sampler_free(sampler)
    c.llama_free(context)
    weights.close()
    return written


class SlowRowModel:
    """Every row a sequence in a context of its own, read anew for each token."""

    def __init__(self, fast: LlamaCppRowModel) -> None:
        self._weights = fast.weights
        self.name, self.vocabulary = fast.name, fast.vocabulary
        self.hidden_size, self.context_length = fast.hidden_size, fast.context_length
        self.adapters: frozenset[str] = frozenset()

    def prefill(self, prompts: Sequence[RowPrompt], *, room: int) -> Rows:
        return SlowRows(self._weights, [prompt.ids for prompt in prompts])


class SlowRows:
    def __init__(self, weights: Weights, texts: list[tuple[int, ...]]) -> None:
        self._weights, self._texts = weights, texts
        self.counts = RowCounts()
        self.logits = self._read([])[0]

    def _read(self, more: list[int]) -> tuple[Tensor, Tensor]:
        logits, hidden = [], []
        for ids in self._texts:
            text = [*ids, *more]
            context = Context(self._weights, cells=len(text), sequences=1, outputs=1, threads=1)
            n = len(text)
            for place in range(n):
                found = context.decode([text[place]], [place], [0], hidden=True)
            logits.append(torch.from_numpy(found[0][0]))
            hidden.append(torch.from_numpy(found[1][0]))
            context.close()
        return torch.stack(logits), torch.stack(hidden)

    def step(self, token: int) -> Tensor:
        self._texts = [(*ids, token) for ids in self._texts]
        self.logits = self._read([])[0]
        return self.logits

    def look(self, candidates: Tensor) -> Tensor:
        self._candidates = candidates
        return torch.stack([self._read([int(token)])[1] for token in candidates], dim=1)

    def take(self, index: int) -> Tensor:
        return self.step(int(self._candidates[index]))

    def close(self) -> None: ...


class SumHead:
    """A reward that reads hidden states."""

    hidden_size = 32

    def score_hidden(self, view: StepView, hidden: Floats) -> Floats:
        total: Floats = hidden.sum(-1)
        return total


class NoNumber:
    """A reward that fails at every step."""

    branches: tuple[Branch, ...] = ()

    def score(self, view: StepView) -> Floats:
        return np.full(len(view.candidates), np.nan)


def steerings() -> dict[str, Steering]:
    terms = [Term(name=name, reward=Contrast(Branch(name=name, ids=ids)))
             for name, ids in (("other", OTHER), ("third", THIRD))]  # fmt: skip
    return {
        "two rows": presets.budgeted(terms[:1], epsilon=0.3),
        "three rows": presets.budgeted(terms, epsilon=0.3),
        "context steering": presets.context_steering(Branch(name="c", ids=OTHER), 1.5),
        "candidates": presets.args(SumHead(), weight=0.3, top=5),
    }


@pytest.mark.parametrize("length", [3, 40, 300])
def test_unsteered_tokens_are_those_of_llama_cpps_own_loop(
    rows: LlamaCppRowModel, folder: Path, length: int
) -> None:
    prompt = tuple(3 + (7 * n) % 100 for n in range(length))
    assert Run({BASE: rows}, None, prompt=prompt, tokens=40).tokens == own_greedy_loop(
        folder / "model.gguf", prompt, 40
    )


def test_without_strength_the_tokens_are_the_base_models(rows: LlamaCppRowModel) -> None:
    base = Run({BASE: rows}, None, tokens=30).tokens
    term = Term(name="other", reward=Contrast(Branch(name="other", ids=OTHER)))
    idle = Run({BASE: rows}, presets.budgeted([term], epsilon=0.0), tokens=30)
    assert (idle.tokens, idle.counts.rows) == (base, 29)
    # A second row that is computed and then not used must not change the first either.
    unused = presets.budgeted([term, Term(name="broken", reward=NoNumber())])
    beside = Run({BASE: rows}, unused, tokens=30)
    assert (beside.tokens, beside.counts.rows) == (base, 2 * 29)


@pytest.mark.parametrize("name", steerings())
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_steered_tokens_are_those_of_separate_sequences(
    rows: LlamaCppRowModel, name: str, temperature: float
) -> None:
    sampling = Sampling(temperature, 1.0, 5)
    fast = Run({BASE: rows}, steerings()[name], tokens=24, sampling=sampling)
    slow: RowModel = SlowRowModel(rows)
    assert fast.tokens == Run({BASE: slow}, steerings()[name], tokens=24, sampling=sampling).tokens
    assert fast.tokens != Run({BASE: rows}, None, tokens=24, sampling=sampling).tokens
    assert fast.counts.forwards == (24 if name == "candidates" else 23)  # a look is a step's forward


def test_a_reply_beyond_one_batch_is_read_in_parts(tmp_path: Path) -> None:
    file = tiny_gguf.write_file(tmp_path / "long.gguf", context=2048)
    prompt = tuple(3 + (11 * n) % 120 for n in range(1300))
    model = LlamaCppRowModel(file, threads=1)
    assert Run({BASE: model}, None, prompt=prompt, tokens=8).tokens == own_greedy_loop_in_parts(model, prompt)


def own_greedy_loop_in_parts(model: LlamaCppRowModel, prompt: tuple[int, ...]) -> list[int]:
    slow = SlowRows(model.weights, [prompt])
    written = []
    for _ in range(8):
        written.append(int(slow.logits[0].argmax()))
        slow.step(written[-1])
    return written


def test_nothing_is_printed(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    LocalChatModel.open(folder, engine="llama.cpp").reply(HELLO, ReplyOptions(max_tokens=4))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and then nothing of the kind")
    with pytest.raises(ModelError, match=r"cannot load .*broken\.gguf"):
        Weights(tmp_path / "broken.gguf")
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_cut_off_is_told(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "model.gguf").read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"half\.gguf"):
        Weights(tmp_path / "half.gguf")
    with pytest.raises(ModelError, match="is not a file"):
        Weights(tmp_path / "none.gguf")


def test_a_reply_frees_its_memory_when_it_ends(rows: LlamaCppRowModel) -> None:
    reply = rows.prefill([RowPrompt(PROMPT)], room=4)
    reply.step(5)
    reply.close()
    assert reply._context.closed
    reply.close()  # twice does no harm
    with pytest.raises(UsageError, match="closed"):
        reply.step(6)


def test_an_abandoned_reply_frees_its_memory(model: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[weakref.ref[Context | Apart]] = []
    original = LlamaCppRowModel.open_rows

    def noted(*given: Any, **named: Any) -> Context | Apart:
        context = original(*given, **named)
        opened.append(weakref.ref(context))
        return context

    monkeypatch.setattr(LlamaCppRowModel, "open_rows", noted)
    for begun in (True, False):  # one in the middle, one that nobody began to read
        stream = model.stream(HELLO, ReplyOptions(max_tokens=50))
        if begun:
            next(stream)
        del stream
        gc.collect()
    rows = model.rows.prefill([RowPrompt(PROMPT)], room=4)
    assert opened[-1]() is not None
    del rows  # never closed
    assert len(opened) == 2
    assert all(context() is None for context in opened)


def test_closed_weights_are_freed(folder: Path) -> None:
    model = LlamaCppRowModel(folder / "model.gguf")
    model.close()
    assert not model.weights._free.alive


def test_replies_may_be_written_at_the_same_time(model: LocalChatModel) -> None:
    options = ReplyOptions(max_tokens=12)
    other = [{"role": "user", "content": "Something else"}]
    alone = [model.reply(messages, options).text for messages in (HELLO, other)]
    first = model.stream(HELLO, options)
    begun = next(first)
    assert model.reply(other, options).text == alone[1]  # in the middle of the first
    assert begun + "".join(first) == alone[0]


def test_threads_do_not_disturb_each_other(model: LocalChatModel) -> None:
    options = ReplyOptions(max_tokens=10)
    questions = [[{"role": "user", "content": f"Question {n}"}] for n in range(4)]
    alone = [model.reply(messages, options).text for messages in questions]
    found: dict[int, str] = {}

    def ask(n: int) -> None:
        found[n] = model.reply(questions[n], options).text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(4)] == alone


def test_the_next_turn_of_a_thread_is_read_only_where_it_is_new(model: LocalChatModel, folder: Path) -> None:
    options = ReplyOptions(max_tokens=24)
    first = model.reply(HELLO, options)
    thread = [*HELLO, {"role": "assistant", "content": first.text}, {"role": "user", "content": "Go on"}]
    second = model.reply(thread, options)
    assert second.usage.reused_tokens >= first.usage.prompt_tokens
    cold = LocalChatModel.open(folder, engine="llama.cpp").reply(thread, options)
    assert cold.usage.reused_tokens == 0
    assert cold.text == second.text


def test_likelihoods_are_those_of_reading_each_alone(model: LocalChatModel, folder: Path) -> None:
    continuations = ["yes", "no, never", "é", "y", "a much longer continuation than the others " * 3]
    exact = LocalChatModel.open(folder, device="cpu", dtype="float32").log_likelihood(HELLO, continuations)
    assert model.log_likelihood(HELLO, continuations) == pytest.approx(exact, rel=5e-3, abs=0.02)
    with pytest.raises(UsageError, match="empty"):
        model.log_likelihood(HELLO, ["fine", ""])


def test_json_stays_json_under_steering(model: LocalChatModel) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99, "minimum": 0}},
              "required": ["n"], "additionalProperties": False}  # fmt: skip
    steering = presets.budgeted([Term(name="odd", reward=attribute("odd", "Write poems"))])
    options = ReplyOptions(max_tokens=30, json_schema=schema)
    assert model.steer(HELLO, steering, options=options).reply.text.startswith('{"n"')


def test_too_many_candidates_are_refused(rows: LlamaCppRowModel) -> None:
    reply = rows.prefill([RowPrompt(PROMPT), RowPrompt(OTHER)], room=4)
    with pytest.raises(UsageError, match="402 rows and candidates at once"):
        reply.look(torch.arange(200) % 100)
    assert reply.step(5).shape[0] == 2


def test_what_only_torch_can_do_is_refused(model: LocalChatModel, folder: Path) -> None:
    with pytest.raises(UsageError, match="no adapters, and no other dtype"):
        LocalChatModel.open(folder, engine="llama.cpp", dtype="float32")
    with pytest.raises(UsageError, match="cannot take a style") as caught:
        model.add_style("ana", real=["a"], generic=["b"])
    assert "engine='transformers'" in str(caught.value)
    with pytest.raises(UsageError, match="no head can be fitted"):
        hidden_at_cuts(model, "Hello", "there")
    with pytest.raises(UsageError, match="knows no GPU"):
        LocalChatModel.open(folder, engine="llama.cpp", device="cuda")


@pytest.mark.parametrize(
    ("engine", "only_torch", "installed", "products", "takes"),
    [
        ("auto", False, True, False, "llama.cpp"),
        ("auto", False, True, True, "transformers"),
        ("auto", True, True, False, "transformers"),
        ("auto", False, False, False, "transformers"),
        ("transformers", False, True, False, "transformers"),
        ("llama.cpp", False, True, True, "llama.cpp"),
    ],
)
def test_which_engine_is_taken(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    only_torch: bool,
    installed: bool,
    products: bool,
    takes: str,
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: products)
    assert loading.pick_engine(engine, folder, device="cpu", only_torch=only_torch) == takes


def test_a_folder_without_a_gguf_file_is_torchs(tmp_path: Path) -> None:
    plain = tiny_llama.write_folder(tmp_path / "plain")
    assert LocalChatModel.engine_for(plain) == "transformers"
    with pytest.raises(ModelError, match=r"has no \.gguf file"):
        LocalChatModel.open(plain, engine="llama.cpp")
    for name in ("a.gguf", "b.gguf"):
        tiny_gguf.write_file(plain / name, vocabulary=259)
    assert LocalChatModel.engine_for(plain) == "transformers"  # which of them is not for us to guess
    with pytest.raises(ModelError, match=r"\['a\.gguf', 'b\.gguf'\]"):
        LocalChatModel.open(plain, engine="llama.cpp")
    named = LocalChatModel.open(plain / "b.gguf")
    assert (named.name, named.engine) == ("b@f32 (llama.cpp)", "llama.cpp")
    with pytest.raises(UsageError, match="engine='vllm'"):
        LocalChatModel.open(plain, engine="vllm")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    kept = llamacpp.library()  # its callback must outlive the test
    llamacpp.library.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "llama_cpp", None)
    try:
        with pytest.raises(MissingExtra, match="llama_cpp") as caught:
            LocalChatModel.open(folder, engine="llama.cpp")
        assert "mnemon[llamacpp]" in str(caught.value)
    finally:
        monkeypatch.undo()
        llamacpp.library.cache_clear()
        llamacpp.library()
        del kept


@pytest.mark.model
def test_the_default_model_writes_what_llama_cpp_writes(chat_weights: Path) -> None:
    model = LocalChatModel.open(chat_weights, engine="llama.cpp")
    assert model.engine == "llama.cpp"
    assert model.name == "smollm2-135m-instruct@q4_1 (llama.cpp)"
    prompt = tuple(model.codec.prompt_ids([{"role": "user", "content": "Tell me about tea."}]))
    own = own_greedy_loop(chat_weights / "model.gguf", prompt, 24)
    assert Run({BASE: model.rows}, None, prompt=prompt, tokens=24).tokens == own
    formal = Term(name="formal", reward=attribute("formal", "Write formally."))
    idle = presets.budgeted([formal], epsilon=0.0)
    assert Run({BASE: model.rows}, idle, prompt=prompt, tokens=24).tokens == own
