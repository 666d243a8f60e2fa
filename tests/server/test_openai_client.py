"""The official client, unchanged, against a real server on loopback."""

import json

import openai
import pytest

from mnemon.agent.server import Door, TokenFile, create_app, serving
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel


@pytest.fixture(scope="module")
def model():
    return ScriptedChatModel(lambda messages, _: f"You said: {messages[-1]['content'].splitlines()[-1]}")


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    with Memory.open(tmp_path_factory.mktemp("db") / "people.db", embedder=HashEmbedder()) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(memory, model, tmp_path_factory):
    """One server for all: starting and stopping one takes longer than a test."""
    tokens = TokenFile(tmp_path_factory.mktemp("tokens") / "tokens.json")
    app = create_app(memory, model, embedder=HashEmbedder(), door=Door(tokens=tokens))
    with serving(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def ana(request):
    """A person of whom nothing is known before the test."""
    return f"ana in {request.node.name}"


def ask(api, *said, **more):
    messages = [{"role": role, "content": text} for role, text in said]
    return api.chat.completions.create(model="default", messages=messages, **more)


def test_models_are_listed(api):
    names = [one.id for one in api.models.list()]
    assert names == ["scripted", "hash-64-0"]
    assert api.models.retrieve("scripted").owned_by == "mnemon"
    with pytest.raises(openai.NotFoundError, match="gpt-4o"):
        api.models.retrieve("gpt-4o")


def test_a_whole_reply_and_what_it_cost(api, memory, ana):
    reply = ask(api, ("user", "I play the cello."), user=ana)
    assert reply.choices[0].message.content == "You said: I play the cello."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens == 6
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 6
    told = [(turn.role, turn.text) for turn in memory.for_user(ana).timeline()]
    assert told == [("user", "I play the cello."), ("assistant", "You said: I play the cello.")]


def test_a_streamed_reply_is_the_same_piece_by_piece(api, ana):
    options = {"stream": True, "stream_options": {"include_usage": True}, "user": ana}
    chunks = list(ask(api, ("user", "I play the cello."), **options))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == "You said: I play the cello."
    assert len([piece for piece in pieces if piece]) == 6
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 6
    assert len({chunk.id for chunk in chunks}) == 1


def test_options_reach_the_model(api, model):
    ask(api, ("user", "Hi"), max_tokens=2, temperature=0.5, top_p=0.9, seed=7, stop=["x", "y"])
    options = model.calls[-1].options
    assert (options.max_tokens, options.temperature, options.top_p) == (2, 0.5, 0.9)
    assert (options.seed, options.stop) == (7, ("x", "y"))
    cut = ask(api, ("user", "One two three four"), max_tokens=2, stop="zzz")
    assert cut.choices[0].finish_reason == "length"


def test_more_tokens_than_the_server_writes_are_not_asked_for(api, model):
    ask(api, ("user", "Hi"), max_completion_tokens=10**9)
    assert model.calls[-1].options.max_tokens == 4_096


def test_json_under_a_schema(make_app):
    schema = {"type": "object", "properties": {"pet": {"type": "string"}}, "required": ["pet"]}
    model = ScriptedChatModel(['{"pet": "beagle"}', "{}"])
    with serving(make_app(model)) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as api:
        form = {"type": "json_schema", "json_schema": {"name": "pet", "schema": schema}}
        reply = ask(api, ("user", "Which pet?"), response_format=form)
        assert json.loads(reply.choices[0].message.content) == {"pet": "beagle"}
        assert model.calls[-1].options.json_schema == schema
        ask(api, ("user", "Which pet?"), response_format={"type": "json_object"})
        assert model.calls[-1].options.json_schema == {"type": "object"}


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"logprobs": True},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"temperature": 3},
        {"response_format": {"type": "json_schema"}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_cannot_be_done_is_refused_by_name(api, more):
    with pytest.raises(openai.BadRequestError) as told:
        ask(api, ("user", "Hi"), extra_body=more)
    assert told.value.body["param"].startswith(next(iter(more)))


@pytest.mark.parametrize(
    "said", [[("assistant", "Hi")], [("user", "  ")], [("user", "a"), ("assistant", "b")]]
)
def test_the_last_message_must_be_what_the_person_says(api, said):
    with pytest.raises(openai.BadRequestError, match="last message"):
        ask(api, *said)


def test_a_model_that_is_not_here_is_not_found(api):
    with pytest.raises(openai.NotFoundError, match="scripted"):
        api.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])


def test_content_in_parts(api):
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    reply = api.chat.completions.create(model="mnemon", messages=[{"role": "user", "content": parts}])
    assert reply.choices[0].message.content == "You said: Two"


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings(api, form):
    texts = ["My beagle is called Biscuit.", "I work as a nurse."]
    answer = api.embeddings.create(model="default", input=texts, encoding_format=form)
    expected = HashEmbedder().embed_texts(texts)
    if form == "base64":
        import base64

        import numpy as np

        rows = [np.frombuffer(base64.b64decode(one.embedding), dtype="<f4") for one in answer.data]
    else:
        rows = [one.embedding for one in answer.data]
    assert [list(row) for row in rows] == [[pytest.approx(x) for x in row] for row in expected.tolist()]


def test_the_client_s_own_default_encoding(api):
    answer = api.embeddings.create(model="hash-64-0", input="beagle")
    assert len(answer.data[0].embedding) == 64
    with pytest.raises(openai.BadRequestError, match="dimensions=8"):
        api.embeddings.create(model="default", input="beagle", dimensions=8)


# --- whose conversation it is


def test_a_named_thread_is_held_by_memory(api, model, ana):
    ask(api, ("user", "Call me Captain."), user=ana, extra_body={"thread": "sea"})
    ask(api, ("user", "What am I?"), user=ana, extra_body={"thread": "sea"})
    read = [message["content"] for message in model.calls[-1].messages]
    assert "Call me Captain." in read
    assert "You said: Call me Captain." in read


def test_history_in_a_request_is_context_and_is_never_stored_twice(api, model, memory, ana):
    first = ask(api, ("user", "Call me Captain."), user=ana)
    said = [("user", "Call me Captain."), ("assistant", first.choices[0].message.content)]
    second = ask(api, *said, ("user", "What am I?"), user=ana)
    assert "Call me Captain." in [message["content"] for message in model.calls[-1].messages]
    turns = memory.for_user(ana).timeline()
    assert [turn.text for turn in turns if turn.role == "user"] == ["Call me Captain.", "What am I?"]
    assert len({turn.session for turn in turns}) == 1, "it is one conversation"
    assert second.mnemon["thread"] == first.mnemon["thread"]


def test_a_conversation_without_a_past_is_a_new_one(api, memory, ana):
    for _ in range(2):
        ask(api, ("user", "Hello again."), user=ana)
    assert len(memory.for_user(ana).sessions()) == 2


def test_history_that_memory_does_not_know_is_read_and_not_kept(api, model, memory, ana):
    foreign = [("system", "Be brief."), ("user", "My cat is Tom."), ("assistant", "Noted."), ("tool", "42")]
    ask(api, *foreign[:3], ("user", "What is my cat called?"), user=ana)
    assert "My cat is Tom." in [message["content"] for message in model.calls[-1].messages]
    assert all("Tom" not in turn.text for turn in memory.for_user(ana).timeline())


def test_what_was_said_in_one_conversation_is_known_in_another(api, model, ana):
    ask(api, ("user", "My beagle is called Biscuit."), user=ana)
    reply = ask(api, ("user", "What is my beagle called?"), user=ana, extra_body={"explain": True})
    assert [one["text"] for one in reply.mnemon["memories"]] == ["My beagle is called Biscuit."]
    assert "Biscuit" in str(model.calls[-1].messages)
    other = ask(api, ("user", "What is my beagle called?"), user="ben", extra_body={"explain": True})
    assert other.mnemon["memories"] == []


def test_without_memory_nothing_is_recalled(api, model, ana):
    ask(api, ("user", "My beagle is called Biscuit."), user=ana)
    ask(api, ("user", "What is my beagle called?"), user=ana, extra_body={"memory": False})
    assert "Biscuit" not in str(model.calls[-1].messages)


def test_a_stream_says_what_it_rests_on_before_it_speaks(api, ana):
    ask(api, ("user", "My beagle is called Biscuit."), user=ana)
    more = {"explain": True, "thread": "new"}
    chunks = list(ask(api, ("user", "What is my beagle called?"), user=ana, stream=True, extra_body=more))
    told = [getattr(chunk, "mnemon", None) for chunk in chunks]
    first = next(place for place, one in enumerate(told) if one and one.get("kind") == "recalled")
    assert told[first]["memories"][0]["text"] == "My beagle is called Biscuit."
    assert all(not chunk.choices[0].delta.content for chunk in chunks[: first + 1])
    assert told[-1]["thread"] == "new"


# --- how it is answered


def test_a_persona_for_one_turn_reaches_the_model_and_is_told(api, model, ana):
    more = {"persona": {"concise": 1.0}, "explain": True}
    reply = ask(api, ("user", "How do I keep tomatoes healthy?"), user=ana, extra_body=more)
    assert [one["trait"] for one in reply.mnemon["traits"]] == ["concise"]
    led = str(model.calls[-1].messages)
    ask(api, ("user", "How do I keep tomatoes healthy?"), user=ana, extra_body=more | {"lambda": 0})
    assert str(model.calls[-1].messages) != led, "lambda 0 is the model as it is"


def test_a_trait_that_there_is_not_is_refused_and_nothing_is_kept(api, memory, ana):
    with pytest.raises(openai.BadRequestError, match="grumpyish"):
        ask(api, ("user", "Hi"), user=ana, stream=True, extra_body={"persona": {"grumpyish": 1}})
    assert memory.for_user(ana).timeline() == []


def test_a_temporary_turn_recalls_nothing_and_leaves_nothing(api, model, memory, ana):
    ask(api, ("user", "My beagle is called Biscuit."), user=ana)
    before = memory.for_user(ana).stats()
    said = [("user", "My cat is Tom."), ("assistant", "Noted.")]
    reply = ask(api, *said, ("user", "What are my pets called?"), user=ana, extra_body={"temporary": True})
    assert reply.choices[0].message.content == "You said: What are my pets called?"
    assert "My cat is Tom." in str(model.calls[-1].messages)
    assert "Biscuit" not in str(model.calls[-1].messages)
    assert memory.for_user(ana).stats() == before


def test_a_message_that_is_too_long_is_refused_before_the_stream_begins(api, ana):
    with pytest.raises(openai.BadRequestError, match="tokens"):
        ask(api, ("user", "word " * 20_000), user=ana, stream=True)


def test_a_reply_can_be_rated_by_its_id(api, memory, ana):
    reply = ask(api, ("user", "Tell me a joke."), user=ana)
    turn = memory.for_user(ana).timeline()[-1]
    assert (turn.role, turn.id) == ("assistant", reply.mnemon["reply_id"])
