"""The sentence embedder's files, precision and batches; the caches."""

import json
import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mnemon.errors import ModelError, StoreError, UsageError
from mnemon.retrievers import CachedEmbedder, SentenceEmbedder
from mnemon.retrievers.embedder import LARGEST_BATCH, _batches, fingerprint
from mnemon.retrievers.embedding_cache import MemoryCache, SqliteCache, content_key


class CountingEmbedder:
    """Remembers what it was asked."""

    name, dimension = "counting", 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_texts(self, texts):
        self.asked.extend(texts)
        return np.array([[len(text), 1, 0] for text in texts], np.float32).reshape(-1, 3)

    def embed_queries(self, texts):
        return self.embed_texts(texts)


# -- caches


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    if request.param == "memory":
        yield MemoryCache()
    else:
        file = SqliteCache(tmp_path / "vectors.db")
        yield file
        file.close()


def test_only_the_unknown_is_embedded_and_once(cache):
    inner = CountingEmbedder()
    embedder = CachedEmbedder(inner, cache)
    first = embedder.embed_texts(["a", "bb", "a"])
    second = embedder.embed_texts(["bb", "ccc", "a"])
    assert inner.asked == ["a", "bb", "ccc"]
    np.testing.assert_array_equal(first[0], second[2])
    np.testing.assert_array_equal(second[:, 0], [2, 3, 1])


def test_queries_and_texts_are_kept_apart(cache):
    inner = CountingEmbedder()
    embedder = CachedEmbedder(inner, cache)
    embedder.embed_texts(["a"])
    embedder.embed_queries(["a"])
    assert inner.asked == ["a", "a"]


def test_one_string_is_refused_rather_than_read_as_letters(cache):
    with pytest.raises(UsageError, match="list of"):
        CachedEmbedder(CountingEmbedder(), cache).embed_texts("beagle")


def test_models_are_kept_apart(cache):
    key = content_key("a")
    cache.put("one", {key: np.ones(3, np.float32)})
    assert cache.get("two", [key]) == {}
    assert cache.get("one", [key, content_key("b")]).keys() == {key}


def test_a_cache_keeps_its_own_copy(cache):
    key, vector = content_key("a"), np.ones(3, np.float32)
    cache.put("m", {key: vector})
    vector[:] = 7
    np.testing.assert_array_equal(cache.get("m", [key])[key], np.ones(3))


def test_more_keys_than_a_statement_holds(cache):
    vectors = {content_key(str(number)): np.full(3, number, np.float32) for number in range(1300)}
    cache.put("m", vectors)
    assert cache.get("m", list(vectors)).keys() == vectors.keys()


def test_a_file_is_found_again(tmp_path):
    first = SqliteCache(tmp_path / "new" / "vectors.db")
    CachedEmbedder(CountingEmbedder(), first).embed_texts(["a"])
    first.close()
    inner, second = CountingEmbedder(), SqliteCache(tmp_path / "new" / "vectors.db")
    CachedEmbedder(inner, second).embed_texts(["a"])
    second.close()
    assert inner.asked == []


def test_a_foreign_file_is_an_error_and_stays_as_it_is(tmp_path):
    foreign = tmp_path / "letter.txt"
    foreign.write_text("Dear Ana, " * 1000)
    with pytest.raises(StoreError, match=r"letter\.txt"):
        SqliteCache(foreign)
    assert foreign.read_text() == "Dear Ana, " * 1000


def _fill(path: Path, start: int) -> None:
    cache = SqliteCache(path)
    for number in range(start, start + 50):
        cache.put("m", {content_key(str(number)): np.full(3, number, np.float32)})
    cache.close()


def test_two_processes_fill_one_file(tmp_path):
    path = tmp_path / "vectors.db"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_fill, args=(path, start)) for start in (0, 30)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    cache = SqliteCache(path)
    assert len(cache.get("m", [content_key(str(number)) for number in range(80)])) == 80
    cache.close()


# -- the model's files


def folder_of(path: Path, **changes: bytes) -> Path:
    files = {"config.json": b"{}", "model.safetensors": b"\x00" * (1 << 18), "tokenizer.json": b"{}"}
    path.mkdir()
    for name, content in {**files, **changes}.items():
        (path / name).write_bytes(content)
    return path


def test_the_fingerprint_follows_weights_and_vocabulary(tmp_path):
    names = {
        fingerprint(folder_of(tmp_path / "a")),
        fingerprint(folder_of(tmp_path / "b", **{"model.safetensors": b"\x00" * (1 << 18) + b"\x01"})),
        fingerprint(folder_of(tmp_path / "c", **{"tokenizer.json": b'{"x": 1}'})),
    }
    assert len(names) == 3
    assert fingerprint(folder_of(tmp_path / "d", **{"README.md": b"hello"})) in names


def test_the_fingerprint_of_a_large_file_sees_its_middle(tmp_path):
    large = bytearray(40 << 20)
    before = fingerprint(folder_of(tmp_path / "a", **{"model.safetensors": bytes(large)}))
    for place in range(0, len(large), 1 << 16):  # weights that differ, differ everywhere
        large[place] = 1
    assert fingerprint(folder_of(tmp_path / "b", **{"model.safetensors": bytes(large)})) != before


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"modules\.json"):
        SentenceEmbedder(tmp_path)


def test_damaged_json_is_named(tmp_path):
    folder = folder_of(tmp_path / "m", **{"modules.json": b"{"})
    with pytest.raises(ModelError, match=r"modules\.json"):
        SentenceEmbedder(folder, device="cpu")


def test_damaged_weights_are_a_model_error(tmp_path):
    modules = [{"name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    config = json.dumps({"model_type": "bert"}).encode()
    folder = folder_of(
        tmp_path / "m", **{"modules.json": json.dumps(modules).encode(), "config.json": config}
    )
    with pytest.raises(ModelError, match="does not load"):
        SentenceEmbedder(folder, device="cpu").embed_texts(["a"])


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match="int4"):
        SentenceEmbedder(".", precision="int4")


def test_batches_hold_everything_once_and_bounded_work():
    texts = ["x" * (number % 700) for number in range(1000)]
    order = sorted(range(1000), key=lambda at: -len(texts[at]))
    batches = _batches(order, texts, 256)
    assert [at for batch in batches for at in batch] == order
    assert max(map(len, batches)) <= LARGEST_BATCH
    assert min(len(batch) for batch in batches[:-1]) >= 16


# -- the real model


@pytest.mark.model
def test_opening_reads_no_library_and_the_name_tells_precisions_apart(embedder_weights):
    program = (
        "import sys; from mnemon.retrievers import SentenceEmbedder as S;"
        f"a, b = (S({str(embedder_weights)!r}, device='cpu', precision=p) for p in ('fp32', 'bf16'));"
        "assert a.dimension == b.dimension == 384;"
        "print(a.name); print(b.name); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    full, half, loaded = done.stdout.split()
    assert full.removesuffix("/fp32") == half.removesuffix("/bf16") != ""
    assert loaded == "False"


@pytest.mark.model
def test_bfloat16_is_near_float32_and_progress_is_told(embedder_weights):
    texts = [f"On day {number} I walked the dog {'and the cat ' * (number % 9)}" for number in range(60)]
    seen: list[tuple[int, int]] = []
    half = SentenceEmbedder(
        embedder_weights,
        device="cpu",
        precision="bf16",
        progress=lambda done, all_: seen.append((done, all_)),
    ).embed_texts(texts)
    full = SentenceEmbedder(embedder_weights, device="cpu", precision="fp32").embed_texts(texts)
    assert (half * full).sum(axis=1).min() > 0.996
    assert seen[-1] == (60, 60)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.model
@pytest.mark.parametrize(
    "text", ["what is my dog called?", "", "x", "word " * 400, "🍕 naïve \ud800", "名前は"]
)
def test_numpy_computes_what_sentence_transformers_computes(embedder_weights, text):
    from mnemon.retrievers.light_bert import LightBert, fits

    assert fits(embedder_weights)
    batch = SentenceEmbedder(embedder_weights, device="cpu", precision="fp32").embed_texts([text] * 5)[0]
    question = SentenceEmbedder(embedder_weights, device="cpu").embed_queries([text])[0]
    light = LightBert(embedder_weights)
    np.testing.assert_allclose(question, batch, atol=2e-6)
    np.testing.assert_array_equal(light.embed([text.replace("\ud800", "?")])[0], question)
    beside = light.embed(["why?", text.replace("\ud800", "?"), "where did we go last summer?"])
    np.testing.assert_allclose(beside[1], batch, atol=2e-6)


@pytest.mark.model
def test_one_question_imports_no_torch(embedder_weights):
    program = (
        "import sys; from mnemon.retrievers import SentenceEmbedder;"
        f"embedder = SentenceEmbedder({str(embedder_weights)!r}, device='cpu');"
        "embedder.embed_queries(['what is my dog called?']);"
        "print({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "mpnet"}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: "}}),
    ],
)
def test_what_is_not_a_plain_bert_is_left_to_the_library(tmp_path, file, change):
    from mnemon.retrievers.light_bert import fits

    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    folder = folder_of(tmp_path / "m", **{"modules.json": json.dumps(modules).encode()})
    (folder / "1_Pooling").mkdir()
    settings = {
        "config.json": {"model_type": "bert", "hidden_act": "gelu"},
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": {},
    }
    for name, content in settings.items():
        (folder / name).write_text(json.dumps(content))
    assert fits(folder)
    (folder / file).write_text(json.dumps(settings[file] | change))
    assert not fits(folder)


@pytest.mark.model
def test_one_string_is_refused_by_the_model_too(embedder_weights):
    with pytest.raises(UsageError, match="list of"):
        SentenceEmbedder(embedder_weights, device="cpu").embed_queries("beagle")


@pytest.mark.model
def test_threads_share_one_model(embedder_weights):
    embedder = SentenceEmbedder(embedder_weights, device="cpu")
    expected = embedder.embed_texts(["dog", "a much longer text about a cat " * 5])
    answers: list[np.ndarray] = []

    def ask() -> None:
        answers.append(embedder.embed_texts(["dog", "a much longer text about a cat " * 5]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)
