"""The routes as any OpenAI client uses them, and the field of ours beside them."""

import httpx
import openai
import pytest

from mnemon.agent import LocalChatModel, ReplyOptions
from mnemon.agent.decoding import Branch, grounding
from mnemon.agent.model_server import create_model_app, read_key
from mnemon.agent.server import serving
from mnemon.errors import UsageError

KEY = "0123456789abcdef"
TALK = [{"role": "user", "content": "Who is Biscuit?"}]


@pytest.fixture
def url(local):
    with serving(create_model_app(local)) as address:
        yield address


def ask(url, **more):
    return httpx.post(f"{url}/v1/chat/completions", json={"messages": TALK, "max_tokens": 8, **more})


def test_the_official_client_is_answered(url, folder):
    here = LocalChatModel.open(folder, device="cpu", dtype="float32").reply(TALK, ReplyOptions(max_tokens=8))
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        assert [one.owned_by for one in client.models.list()] == ["mnemon"]
        assert client.models.retrieve("tiny@fp32").id == client.models.retrieve("default").id == "tiny@fp32"
        whole = client.chat.completions.create(model="default", messages=TALK, max_tokens=8)
        stream = client.chat.completions.create(
            model="tiny@fp32",
            messages=TALK,
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert whole.choices[0].message.content == here.text
    assert whole.choices[0].finish_reason == here.finish == "length"
    assert whole.usage.completion_tokens == 8
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == here.text
    assert chunks[-1].usage.total_tokens == here.usage.prompt_tokens + 8
    assert "mnemon" not in chunks[1].model_extra


def test_a_persona_in_short(url):
    led = {"persona": {"concise": 1.0}, "epsilon": 0.5, "trace": True}
    trace = ask(url, mnemon=led).json()["mnemon"]["trace"]
    assert trace["steering"] == "persona"
    assert 0 < trace["kl"] <= 0.5 * 8 + 1e-6
    assert any(name.startswith("concise") for name in trace["shares"])


def test_memories_in_short(url, folder):
    bare = [{"role": "user", "content": "Who?"}]
    told = ask(url, mnemon={"without_memories": bare, "grounding": 2.0, "trace": True}).json()
    here = LocalChatModel.open(folder, device="cpu", dtype="float32").steer(
        TALK,
        grounding(Branch(name="bare", messages=tuple(bare)), lam=2.0),
        options=ReplyOptions(max_tokens=8),
    )
    assert told["choices"][0]["message"]["content"] == here.reply.text
    assert told["mnemon"]["trace"]["tokens"] == list(here.reply.trace.to_dict()["tokens"])


def test_a_policy_in_short(url):
    led = {"persona": {"concise": 1.0}, "policy": {"kind": "Fixed", "lam": 0.25}, "trace": True}
    tokens = ask(url, mnemon=led).json()["mnemon"]["trace"]["tokens"]
    assert {token["lam"] for token in tokens} <= {0.0, 0.25}


@pytest.mark.parametrize(
    ("led", "says"),
    [
        ({"persona": {"kind-hearted": 1}}, "no trait 'kind-hearted'"),
        ({"persona": {"concise": 2}}, "less than or equal to 1"),
        ({"voice": "loud"}, "mnemon.voice"),
        ({"steering": {}}, "no policy"),
        ({"steering": {"policy": {"kind": "Fixed", "lam": 1}}, "epsilon": 1}, "give it alone"),
        ({"persona": {"concise": 1}, "policy": {"kind": "Fixed", "lam": 1}, "epsilon": 1}, "give one"),
        ({"without_memories": []}, "at least 1"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(url, led, says):
    answer = ask(url, mnemon=led)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_another_model_tools_and_choices_are_refused(url):
    assert ask(url, model="gpt-4").json()["error"]["code"] == "model_not_found"
    assert ask(url, n=2).status_code == ask(url, tools=[{}]).status_code == 400


def test_health_needs_no_key_and_everything_else_does(local):
    with serving(create_model_app(local, key=KEY)) as url:
        assert httpx.get(f"{url}/health").json()["kind"] == "mnemon model-server"
        for path in ("/v1/models", "/v1/mnemon/codec", "/metrics"):
            refused = httpx.get(url + path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert httpx.get(url + path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert ask(url).status_code == 401


def test_without_a_key_a_foreign_page_and_a_foreign_name_are_kept_out(url):
    assert httpx.get(f"{url}/health", headers={"Origin": "https://evil.example"}).status_code == 403
    assert httpx.get(f"{url}/health", headers={"Host": "evil.example"}).status_code == 403


def test_metrics_say_how_many_rows_the_forwards_had(url):
    ask(url)
    page = httpx.get(f"{url}/metrics").text
    assert 'mnemon_replies_total{ended="whole"} 1.0' in page
    assert "mnemon_forwards_total 7.0" in page
    assert "mnemon_rows_total 7.0" in page


def test_keys_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    assert read_key() is None
    file = tmp_path / "model.key"
    file.write_text(f"{KEY}\n")
    assert read_key(file) == KEY
    monkeypatch.setenv("MNEMON_MODEL_KEY_FILE", str(file))
    assert read_key() == KEY
    monkeypatch.setenv("MNEMON_MODEL_KEY", KEY[::-1])
    assert read_key() == KEY[::-1]
    file.write_text("short\n")
    for bad in (file, tmp_path / "missing"):
        with pytest.raises(UsageError, match=r"16 or more|cannot be read"):
            read_key(bad)
