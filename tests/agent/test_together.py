"""Replies of several threads in one batch: what each says is what it would say alone."""

import threading
import time
from pathlib import Path

import pytest
import torch

from mnemon.agent import ReplyOptions
from mnemon.agent.decoding import presets
from mnemon.agent.decoding.rows import TrunkRowModel
from mnemon.agent.decoding.steering import Branch
from mnemon.agent.decoding.together import Together
from mnemon.agent.local import LocalChatModel
from mnemon.errors import ModelError
from tests.agent import tiny_llama

GREEDY = ReplyOptions(max_tokens=24)
TEXTS = ["Hello there", "My beagle is called Biscuit and he likes long walks by the sea.", "a", "Why? " * 9]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture
def plain(folder: Path) -> LocalChatModel:
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


@pytest.fixture
def model(plain: LocalChatModel) -> LocalChatModel:
    return plain.together()


def trunk_of(model: LocalChatModel) -> Together:
    assert isinstance(model.rows, TrunkRowModel)
    assert isinstance(model.rows.trunk, Together)
    return model.rows.trunk


def conversation(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def steered(model: LocalChatModel, text: str):
    without = Branch(name="without", messages=tuple(conversation(text[: len(text) // 2])))
    return model.steer(conversation(text), presets.grounding(without, lam=1.0), options=GREEDY).reply


def in_company(model: LocalChatModel, works):
    """All of them at once: the network is kept busy until each waits for its first step."""
    trunk, answers = trunk_of(model), [None] * len(works)
    streams = [work() for work in works]
    first = [next(stream) for stream in streams]  # read the prompts, and the first token, one by one

    def go_on(place):
        answers[place] = first[place] + "".join(streams[place])

    threads = [threading.Thread(target=go_on, args=(place,)) for place in range(len(works))]
    with trunk._alone():
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10
        while len(trunk._waiting) < len(works) and time.monotonic() < end:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    return answers


def test_alone_a_reply_is_the_same_bit_by_bit(plain, model):
    for text in TEXTS:
        alone = plain.stream(conversation(text), GREEDY).reply
        shared = model.stream(conversation(text), GREEDY).reply
        assert shared == alone
    assert trunk_of(model).rows == trunk_of(model).forwards


def test_in_company_every_reply_says_what_it_says_alone(plain, model):
    alone = [plain.reply(conversation(text), GREEDY).text for text in TEXTS]
    works = [lambda text=text: model.stream(conversation(text), GREEDY) for text in TEXTS]
    assert in_company(model, works) == alone
    trunk = trunk_of(model)
    assert trunk.rows > 1.5 * trunk.forwards, "they were not in one batch"


def test_steered_replies_of_two_rows_share_too(plain, model):
    alone = [steered(plain, text).text for text in TEXTS[1:2]] + [plain.reply(conversation("a"), GREEDY).text]
    without = Branch(name="without", messages=tuple(conversation(TEXTS[1][: len(TEXTS[1]) // 2])))
    steering = presets.grounding(without, lam=1.0)
    works = [
        lambda: model.steer(conversation(TEXTS[1]), steering, options=GREEDY),
        lambda: model.stream(conversation("a"), GREEDY),
    ]
    assert in_company(model, works) == alone


def test_logits_in_company_are_those_alone(plain, model):
    """Closer than any choice of a token: the numbers themselves."""
    prompts = [tuple(plain.codec.prompt_ids(conversation(text))) for text in TEXTS]
    from mnemon.agent.decoding.rows import RowPrompt

    alone = [plain.rows.prefill([RowPrompt(ids)], room=4) for ids in prompts]
    shared = [model.rows.prefill([RowPrompt(ids)], room=4) for ids in prompts]
    expected = [rows.step(7) for rows in alone]
    threads = [threading.Thread(target=rows.step, args=(7,)) for rows in shared]
    trunk = trunk_of(model)
    with trunk._alone():
        for thread in threads:
            thread.start()
        while len(trunk._waiting) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert (trunk.forwards, trunk.rows) == (1, len(TEXTS))
    for rows, wanted in zip(shared, expected, strict=True):
        torch.testing.assert_close(rows.logits, wanted, rtol=1e-4, atol=1e-4)


def test_what_fails_fails_for_all_and_the_next_ones_go_on(model, monkeypatch):
    trunk = trunk_of(model)
    forward = trunk._trunk.forward

    def fail(ids, positions, cache, mask):
        if ids.shape[1] == 1:
            raise RuntimeError("cannot allocate memory")
        return forward(ids, positions, cache, mask)

    monkeypatch.setattr(trunk._trunk, "forward", fail)
    with pytest.raises(ModelError, match="Out of memory"):
        model.reply(conversation("a"), GREEDY)
    monkeypatch.undo()
    assert model.reply(conversation("a"), GREEDY).text


def test_a_model_with_styles_takes_turns(folder):
    styled = LocalChatModel.open(folder, device="cpu", dtype="float32")
    styled.add_style("ana", real=["short"], generic=["a longer text"])
    assert styled.together() is styled


def test_many_threads_leave_nothing_behind(model):
    def talk(number):
        for turn in range(3):
            model.reply(conversation(f"{number} {turn} {'x' * number}"), ReplyOptions(max_tokens=6))

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trunk = trunk_of(model)
    assert not trunk._waiting
    assert not trunk._busy
