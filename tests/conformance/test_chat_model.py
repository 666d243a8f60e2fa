"""What every ChatModel promises: the scripted double, the local model on both engines, an endpoint, a
model server."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from mnemon.agent import ChatModel, ReplyOptions
from mnemon.agent.endpoint import EndpointChatModel
from mnemon.agent.local import LocalChatModel
from mnemon.agent.model_server import ServedChatModel, create_model_app
from mnemon.agent.seams import Ability
from mnemon.agent.server import serving as serving_app
from mnemon.errors import UsageError
from mnemon.testing import ScriptedChatModel
from tests.agent import tiny_gguf
from tests.agent.endpoint_server import serving

HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello, who are you?"}]
SCHEMA = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"],
          "additionalProperties": False}  # fmt: skip


def scripted() -> ScriptedChatModel:
    def answer(messages: object, options: ReplyOptions) -> str:
        return '{"yes": true}' if options.json_schema else "I am a double, made of words and nothing else."

    return ScriptedChatModel(answer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> LocalChatModel:
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


BACKENDS = (
    "scripted",
    "local",
    pytest.param(
        "llama.cpp",
        marks=pytest.mark.skipif(
            find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed (mnemon[llamacpp])"
        ),
    ),
    "endpoint",
    "served",
)


@pytest.fixture(params=BACKENDS)
def model(request: pytest.FixtureRequest, folder: Path, tiny: LocalChatModel) -> Iterator[ChatModel]:
    if request.param == "scripted":
        yield scripted()
    elif request.param == "local":
        yield tiny
    elif request.param == "served":
        with serving_app(create_model_app(tiny)) as url:
            yield ServedChatModel(url)
    elif request.param == "llama.cpp":
        yield LocalChatModel.open(folder, engine="llama.cpp")
    else:
        with serving(scripted()) as server:
            yield EndpointChatModel(server.url, "double")


SHORT = ReplyOptions(max_tokens=20)


def test_it_is_one(model: ChatModel) -> None:
    assert isinstance(model, ChatModel)
    assert model.name


def test_the_pieces_make_the_reply(model: ChatModel) -> None:
    stream = model.stream(HELLO, SHORT)
    pieces = list(stream)
    assert all(pieces)  # no empty ones
    assert "".join(pieces) == stream.reply.text == model.reply(HELLO, SHORT).text


def test_the_reply_reads_what_is_left(model: ChatModel) -> None:
    stream = model.stream(HELLO, SHORT)
    first = next(stream)
    assert stream.reply.text.startswith(first)


def test_greedy_replies_are_the_same_every_time(model: ChatModel) -> None:
    assert model.reply(HELLO, SHORT).text == model.reply(HELLO, SHORT).text


def test_a_limit_is_kept_and_told(model: ChatModel) -> None:
    whole = model.reply(HELLO, ReplyOptions(max_tokens=6)).text
    short = model.reply(HELLO, ReplyOptions(max_tokens=3))
    assert short.finish == "length"
    assert whole.startswith(short.text)


def test_usage_is_counted(model: ChatModel) -> None:
    if "usage" not in model.abilities:
        pytest.skip("declares no usage")
    usage = model.reply(HELLO, ReplyOptions(max_tokens=4)).usage
    assert usage.completion_tokens == 4
    assert usage.prompt_tokens > 0


def test_a_stop_string_is_not_part_of_the_reply(model: ChatModel) -> None:
    whole = model.reply(HELLO, SHORT).text
    stop = whole[3:5]
    reply = model.reply(HELLO, ReplyOptions(max_tokens=20, stop=(stop, "never written")))
    assert reply.text == whole[: whole.index(stop)]
    assert reply.finish == "stop"


def test_json_is_what_the_schema_admits(model: ChatModel) -> None:
    if "json_schema" not in model.abilities:
        pytest.skip("declares no schemas")
    assert set(json.loads(model.complete(HELLO, json_schema=SCHEMA, max_tokens=40))) == {"yes"}


def test_seeds_are_kept(model: ChatModel) -> None:
    if "seed" not in model.abilities:
        pytest.skip("declares no seeds")
    options = ReplyOptions(max_tokens=12, temperature=1.0, seed=5)
    assert model.reply(HELLO, options).text == model.reply(HELLO, options).text


def test_closing_early_is_allowed_and_leaves_the_model_usable(model: ChatModel) -> None:
    stream = model.stream(HELLO, SHORT)
    next(stream)
    stream.close()
    with pytest.raises(UsageError, match="closed before it ended"):
        _ = stream.reply
    assert model.reply(HELLO, SHORT).text


def test_messages_are_not_changed(model: ChatModel) -> None:
    given = [dict(message) for message in HELLO]
    model.reply(given, SHORT)
    assert given == HELLO


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": "   "}],
        [{"role": "poet", "content": "x"}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        "Hello",
    ],
)
def test_messages_that_cannot_be_used_are_refused_before_anything_is_written(
    model: ChatModel, messages: list[dict[str, str]]
) -> None:
    with pytest.raises(UsageError):
        model.stream(messages, SHORT)


def test_abilities_are_those_that_exist(model: ChatModel) -> None:
    assert model.abilities <= set(get_args(Ability))
    assert ("log_likelihood" in model.abilities) == hasattr(model, "log_likelihood")
    assert ("steering" in model.abilities) == hasattr(model, "steer")


def test_the_local_folder_is_only_read(tiny: LocalChatModel, tmp_path: Path) -> None:
    folder = tiny_gguf.write_folder(tmp_path / "tiny")
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    LocalChatModel.open(folder, device="cpu").reply(HELLO, SHORT)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
