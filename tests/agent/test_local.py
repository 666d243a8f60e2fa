"""The local chat model: text in and out, reuse across turns, scoring, limits; and the real default model."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mnemon.agent import ReplyOptions
from mnemon.agent.codec import Codec, StopStrings
from mnemon.agent.decoding import presets
from mnemon.agent.decoding.policies import KLBudget
from mnemon.agent.decoding.rewards import attribute
from mnemon.agent.decoding.steering import Branch, Term
from mnemon.agent.decoding.trace import SteeredReply
from mnemon.agent.local import LocalChatModel
from mnemon.errors import ModelError, UsageError
from tests.agent import tiny_llama

HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture
def model(folder: Path) -> LocalChatModel:
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def real(chat_weights: Path) -> LocalChatModel:
    return LocalChatModel.open(chat_weights, device="cpu")


@pytest.mark.parametrize(
    "text", ["plain", "naïve café", "日本語です", "🙂👩‍👩‍👧 emoji", "\n\tспасибо  ", "a\u0301"]
)
def test_pieces_join_to_the_whole_however_many_tokens_a_character_takes(folder: Path, text: str) -> None:
    codec = Codec(folder)
    ids = codec.encode(text)
    decoder = codec.pieces()
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces) + decoder.flush() == codec.decode(ids) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_that_is_never_finished_is_shown_broken(folder: Path) -> None:
    codec = Codec(folder)
    ids = codec.encode("é")[:1]
    decoder = codec.pieces()
    assert decoder.push(ids[0]) == ""
    assert decoder.flush() == "\ufffd"


def test_a_tokens_text_keeps_its_space_whatever_the_decoder_does_at_the_start(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = {"<unk>": 0, "▁a": 1, "▁perhaps": 2, "ly": 3, "a": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    codec = Codec(tmp_path)
    assert codec.decode([2]) == "perhaps"  # the space is lost here
    assert [codec.token_text(token) for token in (2, 3)] == [" perhaps", "ly"]


def test_a_stop_string_is_found_across_pieces() -> None:
    stops = StopStrings(["END", "###"])
    assert [stops.push(piece) for piece in ["ab", "cE", "N", "d", "x##", "#tail"]] == [
        "ab", "c", "", "ENd", "x", "",
    ]  # fmt: skip
    assert stops.hit


def test_what_was_held_back_in_vain_comes_out() -> None:
    stops = StopStrings(["END"])
    assert stops.push("so E") == "so "
    assert stops.flush() == "E"
    assert not stops.hit


def test_the_template_of_the_model_is_used(model: LocalChatModel) -> None:
    ids = model.codec.prompt_ids([{"role": "system", "content": "Be kind."}, *HELLO])
    shown = model.codec.tokenizer.decode(ids, skip_special_tokens=False)
    assert shown == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello there<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert model.count_tokens(HELLO) == len(model.codec.prompt_ids(HELLO))


def test_an_answer_needs_a_question(model: LocalChatModel) -> None:
    with pytest.raises(UsageError, match="nothing to answer"):
        model.reply([*HELLO, {"role": "assistant", "content": "Hi."}])


def test_a_conversation_that_is_too_long_is_told_what_to_shorten(model: LocalChatModel) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "word " * 150}, {"role": "user", "content": "And?"}]
    with pytest.raises(UsageError, match=r"reads 512 in all") as caught:
        model.stream(messages)
    assert "Shorten message 1 (assistant, 750 tokens), or drop the oldest turns." in str(caught.value)


def test_a_reply_ends_where_the_context_does(model: LocalChatModel) -> None:
    messages = [{"role": "user", "content": "x" * 440}]
    room = model.context_length - model.count_tokens(messages)
    reply = model.reply(messages, ReplyOptions(max_tokens=400))
    assert reply.usage.completion_tokens <= room
    assert reply.finish == "length" or reply.usage.completion_tokens < room


def test_the_next_turn_of_a_thread_is_read_only_where_it_is_new(model: LocalChatModel, folder: Path) -> None:
    options = ReplyOptions(max_tokens=24)
    first = model.reply(HELLO, options)
    thread = [*HELLO, {"role": "assistant", "content": first.text}, {"role": "user", "content": "Go on"}]
    second = model.reply(thread, options)
    assert second.usage.reused_tokens >= first.usage.prompt_tokens
    cold = LocalChatModel.open(folder, device="cpu", dtype="float32").reply(thread, options)
    assert cold.usage.reused_tokens == 0
    assert cold.text == second.text


def test_replies_may_be_written_at_the_same_time(model: LocalChatModel) -> None:
    options = ReplyOptions(max_tokens=12)
    other = [{"role": "user", "content": "Something else"}]
    alone = [model.reply(messages, options).text for messages in (HELLO, other)]
    first = model.stream(HELLO, options)
    begun = next(first)
    assert model.reply(other, options).text == alone[1]  # in the middle of the first
    assert begun + "".join(first) == alone[0]


def test_likelihoods_are_those_of_reading_each_alone(model: LocalChatModel) -> None:
    continuations = ["yes", "no, never", "é", "y", "a much longer continuation than the others"]
    found = model.log_likelihood(HELLO, continuations)
    prompt = model.codec.prompt_ids(HELLO)
    trunk = model.rows.trunk  # type: ignore[attr-defined]
    for text, score in zip(continuations, found, strict=True):
        expected, ids = 0.0, list(prompt)
        for token in model.codec.encode(text):
            logits = torch.from_numpy(tiny_llama.slow_logits(trunk, ids))
            expected += float(logits.log_softmax(-1)[token])
            ids.append(token)
        assert score == pytest.approx(expected, abs=1e-3)


def test_an_empty_continuation_has_no_likelihood(model: LocalChatModel) -> None:
    with pytest.raises(UsageError, match="empty"):
        model.log_likelihood(HELLO, ["fine", ""])


def test_json_that_does_not_fit_is_an_error_and_not_half_a_document(model: LocalChatModel) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 50}
    with pytest.raises(ModelError, match="max_tokens=10"):
        model.complete(HELLO, json_schema=schema, max_tokens=10)


def test_a_schema_that_is_none_is_refused(model: LocalChatModel) -> None:
    with pytest.raises(UsageError, match="JSON schema cannot be used"):
        model.complete(HELLO, json_schema={"type": "shape"})


def test_steered_json_is_valid_json(model: LocalChatModel) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99, "minimum": 0}},
              "required": ["n"], "additionalProperties": False}  # fmt: skip
    steering = presets.context_steering(Branch(name="odd", instruction="Write poems"), 3.0)
    stream = model.steer(HELLO, steering, options=ReplyOptions(max_tokens=30, json_schema=schema))
    assert 0 <= json.loads(stream.reply.text)["n"] <= 99


def test_json_is_not_steered_by_our_own_method(model: LocalChatModel) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "string", "maxLength": 6}}, "required": ["n"],
              "additionalProperties": False}  # fmt: skip
    options = ReplyOptions(max_tokens=40, json_schema=schema)
    steering = presets.budgeted([Term(name="odd", reward=attribute("odd", "Write poems"))], epsilon=5.0)
    reply = model.steer(HELLO, steering, options=options).reply
    assert reply.text == model.reply(HELLO, options).text
    tokens = reply.trace.tokens  # type: ignore[attr-defined]
    inside = tokens[next(i for i, token in enumerate(tokens) if "{" in token.text) + 1 :]
    assert {token.note for token in inside} == {"gate closed"}


def test_a_steered_reply_carries_its_trace(model: LocalChatModel) -> None:
    steering = presets.budgeted([Term(name="formal", reward=attribute("formal", "Be formal."))], epsilon=0.3)
    reply = model.steer(HELLO, steering, options=ReplyOptions(max_tokens=16)).reply
    assert isinstance(reply, SteeredReply)
    assert reply.trace is not None
    assert len(reply.trace.tokens) in (reply.usage.completion_tokens, reply.usage.completion_tokens + 1)
    assert reply.trace.shares() == {"formal": pytest.approx(1.0)}
    assert 0 < reply.trace.kl <= 0.3 * len(reply.trace.tokens) + 1e-6
    assert json.loads(reply.trace.to_json())["steering"] == "mnemon"


def test_a_reply_that_is_cut_still_says_what_it_cost(model: LocalChatModel) -> None:
    stream = model.stream(HELLO, ReplyOptions(max_tokens=12))
    said = [next(stream), next(stream)]
    cut = stream.cut()
    assert cut is not None
    assert cut.text == "".join(said)
    assert 0 < cut.usage.completion_tokens < 12
    assert cut.usage.prompt_tokens > 0
    assert stream.cut() == stream.reply == cut
    assert model.stream(HELLO, ReplyOptions(max_tokens=2)).cut() is None  # it had not begun


def test_a_persona_is_read_once(model: LocalChatModel) -> None:
    steering = presets.budgeted([Term(name="formal", reward=attribute("formal", "Be formal."))])
    options = ReplyOptions(max_tokens=4)
    cold = model.steer(HELLO, steering, options=options).reply
    warm = model.steer([{"role": "user", "content": "Hello then"}], steering, options=options).reply
    assert cold.usage.reused_tokens < warm.usage.reused_tokens
    assert warm.usage.reused_tokens >= model.count_tokens("Be formal.")


def test_models_that_are_not_there_are_named(model: LocalChatModel, folder: Path) -> None:
    steering = presets.proxy_tuning(Branch(name="e", model="expert"), Branch(name="a", model="anti"))
    with pytest.raises(UsageError, match=r"\['anti', 'expert'\]"):
        model.steer(HELLO, steering)
    both = model.with_model("expert", model).with_model("anti", model)
    # Expert and anti-expert are the same network here, so nothing may change.
    assert both.steer(HELLO, steering, options=ReplyOptions(max_tokens=8)).reply.text == (
        model.reply(HELLO, ReplyOptions(max_tokens=8)).text
    )


def test_an_expert_with_other_tokens_of_the_same_number_is_refused(
    model: LocalChatModel, folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    one, two = list(words)[10:12]
    words[one], words[two] = words[two], words[one]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    expert = LocalChatModel.open(other, device="cpu", dtype="float32")
    with pytest.raises(UsageError, match="vocabularies of 'tiny@fp32' and 'other@fp32' differ"):
        model.with_model("expert", expert)


@pytest.mark.parametrize(("option", "value"), [("device", "tpu9"), ("dtype", "int3")])
def test_devices_and_precisions_that_do_not_exist(folder: Path, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=value):
        LocalChatModel.open(folder, **{option: value})  # type: ignore[arg-type]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        LocalChatModel.open(tmp_path)


def test_the_face_of_the_agent_loads_no_torch() -> None:
    code = "import sys, mnemon.agent.decoding, mnemon.agent.endpoint; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.model
def test_the_default_model_answers(real: LocalChatModel) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    assert "Paris" in real.reply(question, ReplyOptions(max_tokens=20)).text
    right, wrong = real.log_likelihood(question, ["The capital of France is Paris.", "It is Rome."])
    assert right > wrong


@pytest.mark.model
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_the_default_model_without_steering_is_the_base_model(
    real: LocalChatModel, temperature: float
) -> None:
    question = [{"role": "user", "content": "Tell me about tea."}]
    options = ReplyOptions(max_tokens=24, temperature=temperature, seed=3)
    base = real.reply(question, options).text
    formal = Term(name="formal", reward=attribute("formal", "Write formally."))
    for steering in (presets.budgeted([]), presets.budgeted([formal], policy=KLBudget(0.0))):
        assert real.steer(question, steering, options=options).reply.text == base


@pytest.mark.model
def test_the_default_model_agrees_with_transformers(real: LocalChatModel, chat_weights: Path) -> None:
    """In float32 the same logits; in the default precision the same likeliest token wherever it is clear."""
    from mnemon.agent.decoding.hf import TransformersTrunk

    theirs = TransformersTrunk.open(chat_weights, dtype=torch.float32, device=torch.device("cpu"))
    exact = LocalChatModel.open(chat_weights, device="cpu", dtype="float32")
    ids = real.codec.encode("The history of tea began in China, where legend says that an emperor found it.")
    with torch.no_grad():
        expected = theirs.model(torch.tensor([ids])).logits[0].float().numpy()

    def every_position(model: LocalChatModel) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        trunk = model.rows.trunk  # type: ignore[attr-defined]
        return np.stack([tiny_llama.slow_logits(trunk, ids[: n + 1]) for n in range(len(ids))])

    np.testing.assert_allclose(every_position(exact), expected, atol=5e-3)
    top = np.sort(expected, axis=-1)
    clear = top[:, -1] - top[:, -2] > 0.5
    assert clear.sum() >= 8
    assert (every_position(real).argmax(-1) == expected.argmax(-1))[clear].all()
