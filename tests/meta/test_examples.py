"""The files of examples/ do what they say, on doubles or on the default model."""

import io
from pathlib import Path

import pytest

from examples import chatbot, custom_reward, langgraph_memory, tools
from mnemon.agent import Assistant, LocalChatModel, ReplyOptions
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel


@pytest.fixture
def ana():
    with Memory.open(":memory:", embedder=HashEmbedder()) as memory:
        yield memory.for_user("ana")


def test_the_chatbot_streams_a_reply_to_each_line(ana, capsys):
    model = ScriptedChatModel(["Hello Ana.", "Biscuit."])
    chatbot.chat(Assistant(ana, model), io.StringIO("My beagle is called Biscuit.\nWhat is it called?\n"))
    assert capsys.readouterr().out == "Hello Ana.\nBiscuit.\n"
    assert "Biscuit" in str(model.calls[1].messages)


def test_the_chatbot_is_as_short_as_it_claims():
    body = Path(chatbot.__file__).read_text(encoding="utf-8").split('"""')[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("agreed", [True, False])
def test_a_tool_that_acts_waits_for_a_yes(ana, capsys, tmp_path, monkeypatch, agreed):
    monkeypatch.chdir(tmp_path)
    script = [
        *('{"tool": "time_in", "arguments": {"zone": "UTC"}}', '{"tool": "none"}', "It is late."),
        *('{"tool": "note_down", "arguments": {"text": "Call Ines"}}', '{"tool": "none"}', "As you wish."),
    ]
    asked = []
    assistant = Assistant(ana, ScriptedChatModel(script), tools=tools.TOOLS)
    messages = ["How late is it, in UTC?", "Note that I have to call Ines."]
    tools.chat(assistant, messages, lambda wishes: asked.append(wishes) or agreed)
    assert capsys.readouterr().out == "It is late.\nAs you wish.\n"
    assert asked == ["note_down {'text': 'Call Ines'}"]
    assert Path("notes.txt").exists() is agreed


def test_a_graph_of_ones_own_recalls_what_it_was_told(ana):
    agent = langgraph_memory.agent_with_memory(ana)
    first = agent.invoke({"messages": [("user", "My beagle is called Biscuit.")]})
    second = agent.invoke({"messages": [("user", "What is my beagle called?")]})
    assert first["messages"][-1].text == "Tell me more."
    assert "My beagle is called Biscuit." in second["messages"][-1].text


@pytest.mark.model
def test_a_custom_reward_shortens_words(chat_weights, monkeypatch):
    model = LocalChatModel.open(str(chat_weights))
    short = ReplyOptions(max_tokens=40)
    question = [{"role": "user", "content": "How do I keep my tomatoes healthy?"}]
    plain = model.reply(question, short).text
    steered = model.steer(question, custom_reward.steering(0.5), options=short).reply.text

    def mean_length(text):
        return sum(map(len, text.split())) / len(text.split())

    assert mean_length(steered) < mean_length(plain)
