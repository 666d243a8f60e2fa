"""The numpy encoder against sentence-transformers, and which of the two answers, with tiny random models."""

import numpy as np
import pytest

from mnemon.errors import ModelError
from mnemon.retrievers import SentenceEmbedder
from mnemon.retrievers.light_bert import LightBert, fits
from tests.retrievers.tiny_models import sentence_model

TEXTS = ["the dog sleeps", "a cat ?", "", "unknown words", "the beagle runs " * 30, "The DOG Sleeps"]


@pytest.mark.parametrize("lower", [False, True], ids=["as it is", "lower case"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_numpy_computes_what_sentence_transformers_computes(tmp_path, pooling, lower):
    folder = sentence_model(tmp_path / "m", pooling=pooling, lower=lower)
    assert fits(folder)
    light = LightBert(folder)
    batch = SentenceEmbedder(folder, device="cpu", precision="fp32").embed_texts(TEXTS)
    np.testing.assert_allclose(light.embed(TEXTS), batch, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([light.embed([text]) for text in TEXTS]), batch, atol=1e-5)
    assert (batch[0] @ batch[5] > 0.9999) == lower


def test_one_question_has_one_vector_before_and_after_loading(tmp_path):
    embedder = SentenceEmbedder(sentence_model(tmp_path / "m"), device="cpu")
    before = embedder.embed_queries(TEXTS[:1])
    embedder.embed_texts(TEXTS)
    np.testing.assert_array_equal(embedder.embed_queries(TEXTS[:1]), before)


def test_a_model_with_a_prompt_for_questions_gets_it_from_the_library(tmp_path):
    prompts = {"query": "the dog ", "document": ""}
    folder = sentence_model(tmp_path / "m", prompts=prompts)
    assert not fits(folder)
    embedder = SentenceEmbedder(folder, device="cpu", precision="fp32")
    asked = embedder.embed_queries(["sleeps"])
    np.testing.assert_allclose(asked, embedder.embed_texts(["the dog sleeps"]), atol=1e-5)
    assert (asked @ embedder.embed_texts(["sleeps"]).T).item() < 0.999


def test_another_activation_is_left_to_the_library(tmp_path):
    assert not fits(sentence_model(tmp_path / "m", activation="relu"))


def test_damaged_weights_are_a_model_error(tmp_path):
    folder = sentence_model(tmp_path / "m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelError, match="does not load"):
        SentenceEmbedder(folder, device="cpu").embed_queries(["dog"])


def test_weights_that_are_not_numbers_are_found_out(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = sentence_model(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"][:] = np.nan
    save_file(weights, folder / "model.safetensors")
    embedder = SentenceEmbedder(folder, device="cpu")
    for ask in (lambda: embedder.embed_queries(["dog"]), lambda: embedder.embed_texts(TEXTS)):
        with pytest.raises(ModelError, match="not numbers"):
            ask()


def test_a_device_that_is_not_there_is_a_model_error(tmp_path):
    embedder = SentenceEmbedder(sentence_model(tmp_path / "m"), device="cuda:97", precision="fp32")
    with pytest.raises(ModelError, match="cuda:97"):
        embedder.embed_texts(["dog"])
