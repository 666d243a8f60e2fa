"""A served model says what the same model says here: token for token, trace for trace, error for error."""

import subprocess
import sys
import threading
import time

import httpx
import pytest

from mnemon.agent import Assistant, LocalChatModel, ReplyOptions
from mnemon.agent.decoding import Branch, Fixed, Steering, Term, attribute, budgeted, grounding
from mnemon.agent.decoding.policies import Scheduled
from mnemon.agent.decoding.presets import context_steering, grounding_term, on_topic
from mnemon.agent.decoding.rewards import Rule, SentenceLength
from mnemon.agent.decoding.traits import trait
from mnemon.agent.model_server import ServedChatModel, create_model_app
from mnemon.agent.server import Limits, serving
from mnemon.errors import EndpointError, UsageError
from mnemon.memory import Memory
from mnemon.profiles import Persona
from tests.agent import tiny_llama

TALK = [
    {"role": "system", "content": "My beagle is called Biscuit."},
    {"role": "user", "content": "Who is Biscuit? Please say it in two sentences."},
]
BARE = ({"role": "user", "content": "Who is Biscuit?"},)
SHORT = ReplyOptions(max_tokens=24)
SAMPLED = ReplyOptions(max_tokens=24, temperature=1.0, top_p=0.9, seed=11)


def persona(model: LocalChatModel | ServedChatModel) -> Steering:
    chosen = Persona().leaning("concise", 0.9).leaning("formal", -0.7)
    return model.steering_for(chosen.plan("Who is Biscuit?", about=["A vet, with two dogs."]))


def persona_and_memories(model: LocalChatModel | ServedChatModel) -> Steering:
    ends = model.codec.end_ids
    term = grounding_term(Branch(name="without", messages=BARE))
    return budgeted(
        [*trait("brief", end_ids=ends), *trait("asks", end_ids=ends), on_topic(), term], epsilon=0.4
    )


STEERINGS = {
    "none": lambda _: None,
    "persona": persona,
    "grounding": lambda _: grounding(Branch(name="without", messages=BARE), lam=1.5),
    "both": persona_and_memories,
    "whole vocabulary": lambda _: context_steering(Branch(name="kind", instruction="Be kind."), 2.0),
    "idle": lambda _: Steering(name="nothing", policy=Fixed(0.0)),
}


@pytest.mark.parametrize("options", [SHORT, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("make", STEERINGS.values(), ids=STEERINGS)
def test_a_steered_reply_is_the_same_to_the_last_digit(local, served, make, options):
    here = local.steer(TALK, make(local), options=options)
    there = served.steer(TALK, make(served), options=options)
    assert list(there) == list(here)
    assert there.reply == here.reply  # text, end, usage, and the whole trace
    assert make(local) is None or here.reply.trace is not None


def test_a_reply_that_is_cut_keeps_the_trace_and_the_counts_it_had(local, served):
    streams = [model.steer(TALK, persona(model), options=SHORT) for model in (local, served)]
    for stream in streams:
        for _ in range(5):
            next(stream)
    here, there = [stream.cut() for stream in streams]
    assert there == here
    assert 5 <= len(here.trace.tokens) == here.usage.completion_tokens < 24


def test_stop_strings_and_schemas_go_along(local, served):
    whole = local.reply(TALK, SHORT).text
    stop = ReplyOptions(max_tokens=24, stop=(whole[6:8],))
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"],
              "additionalProperties": False}  # fmt: skip
    assert served.reply(TALK, stop).text == local.reply(TALK, stop).text == whole[: whole.index(whole[6:8])]
    assert served.complete(TALK, json_schema=schema) == local.complete(TALK, json_schema=schema)


def test_likelihoods_and_counts_are_the_same(local, served):
    assert served.log_likelihood(TALK, ["Yes.", "No."]) == local.log_likelihood(TALK, ["Yes.", "No."])
    assert served.count_tokens("Grüße 🐕") == local.count_tokens("Grüße 🐕")
    assert served.count_tokens(TALK) == local.count_tokens(TALK)
    assert served.codec.end_ids == local.codec.end_ids
    for fact in ("name", "abilities", "context_length", "parameters", "engine"):
        assert getattr(served, fact) == getattr(local, fact)


def test_an_assistant_does_not_notice(tmp_path):
    folder = tiny_llama.write_folder(tmp_path / "tiny", context=4_096)

    def answers(model):
        with Memory.open(":memory:", embedder=None) as memory:
            ana = Assistant(memory.for_user("ana"), model, options=SHORT, traits={"concise": 0.8})
            ana.reply("My beagle is called Biscuit.")
            told = ana.reply("What is my beagle called?")
            return told.text, told.trace, told.usage, told.notes, told.sizes

    here = answers(LocalChatModel.open(folder, device="cpu", dtype="float32"))
    with serving(create_model_app(LocalChatModel.open(folder, device="cpu", dtype="float32"))) as url:
        there = answers(ServedChatModel(url))
    assert there == here
    assert any("memories" in token.contributions for token in here[1].tokens)


@pytest.mark.parametrize(
    ("steer", "says"),
    [
        (lambda _: grounding(Branch(name="x", adapter="ana", messages=BARE)), "no adapter 'ana'"),
        (lambda _: grounding(Branch(name="x", messages=BARE, model="other")), "name the models"),
        (lambda _: grounding(Branch(name="x", messages=({"role": "user", "content": "x" * 600},))), "tokens"),
        (lambda _: Steering(name="x", policy=Scheduled.first(1.0, 3)), "Scheduled"),
        (
            lambda _: Steering(
                name="x", policy=Fixed(1.0), terms=(Term(name="own", reward=Rule(lambda a, b: 0.0)),)
            ),
            "Rule, the term 'own'",
        ),
        (
            lambda _: Steering(
                name="x", policy=Fixed(1.0), terms=tuple(
                    Term(name=str(n), reward=attribute(str(n), f"Like {n}.")) for n in range(40))
            ),
            "41 branches",
        ),
        (
            lambda _: Steering(
                name="x", policy=Fixed(1.0), terms=(Term(name="own", reward=SentenceLength(float("nan"))),)
            ),
            "NaN",
        ),
    ],
    ids=["adapter", "model", "long", "policy", "function", "branches", "nan"],
)  # fmt: skip
def test_what_cannot_be_steered_is_the_usage_error_that_it_is_here(served, steer, says):
    with pytest.raises(UsageError, match=says):
        served.steer(TALK, steer(served), options=SHORT).reply  # noqa: B018  reading it is the test


def test_functions_of_this_process_are_refused(served):
    with pytest.raises(UsageError, match="Processors are functions"):
        served.steer(TALK, None, processors=[lambda written, values: values])


def test_a_message_that_is_too_long_says_the_same(local, served):
    long = [{"role": "user", "content": "x" * 600}]
    told = []
    for model in (local, served):
        with pytest.raises(UsageError) as caught:
            model.reply(long, SHORT)
        told.append((caught.value.message, caught.value.hint))
    assert told[0] == told[1]


def test_a_wrong_key_and_none(folder):
    key = "0123456789abcdef"
    app = create_model_app(LocalChatModel.open(folder, device="cpu"), key=key)
    with serving(app) as url:
        with pytest.raises(EndpointError, match="wants its key"):
            ServedChatModel(url)
        with pytest.raises(EndpointError, match="not the key"):
            ServedChatModel(url, key=key + "0")
        assert ServedChatModel(url, key=key).reply(TALK, SHORT).text


def test_a_server_that_has_gone(folder):
    with serving(create_model_app(LocalChatModel.open(folder, device="cpu"))) as url:
        model = ServedChatModel(url)
    with pytest.raises(EndpointError, match="cannot be reached"):
        model.reply(TALK, SHORT)
    with pytest.raises(EndpointError, match="cannot be reached"):
        ServedChatModel(url)


def test_what_is_no_model_server():
    from tests.agent.endpoint_server import serving as pretending

    with pretending(raw=b"[]") as server, pytest.raises(EndpointError):
        ServedChatModel(server.url)
    with pytest.raises(UsageError, match="no address"):
        ServedChatModel("127.0.0.1:6637")


def test_a_full_queue_is_an_endpoint_error(local, gate):
    app = create_model_app(local, limits=Limits(at_once=1, waiting=1))
    with serving(app) as url:
        served = ServedChatModel(url)
        threads = [threading.Thread(target=served.reply, args=(TALK, SHORT)) for _ in range(2)]
        threads[0].start()
        assert gate.waiting.acquire(timeout=10)
        threads[1].start()
        until(lambda: app.state.desk.waiting == 1)
        with pytest.raises(EndpointError, match="answered 503: The server is busy") as full:
            served.reply(TALK, SHORT)
        assert "Try again in 2 seconds" in str(full.value.hint)
        refused = httpx.post(f"{url}/v1/chat/completions", json={"messages": TALK})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        gate.go.set()
        for thread in threads:
            thread.join()


def test_who_goes_away_frees_the_rows(local, gate):
    app = create_model_app(local)
    with serving(app) as url:
        stream = ServedChatModel(url).stream(TALK, ReplyOptions(max_tokens=400))
        gate.go.set()
        next(stream)
        assert app.state.desk.running == 1
        stream.close()
        until(lambda: app.state.desk.running == 0)
    page = app.state.meters.page().decode()
    assert 'mnemon_replies_total{ended="stopped"} 1.0' in page


def test_replies_that_are_written_at_once_share_forwards(local, folder):
    app = create_model_app(local)
    options = ReplyOptions(max_tokens=60)
    told: dict[int, str] = {}
    with serving(app) as url:
        served = ServedChatModel(url)

        def ask(number):
            told[number] = served.reply([{"role": "user", "content": "x" * (number + 1)}], options).text

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trunk = app.state.served.model.rows.trunk
        assert trunk.rows > 1.5 * trunk.forwards, "they were not in one batch"
    alone = LocalChatModel.open(folder, device="cpu", dtype="float32")
    assert told == {n: alone.reply([{"role": "user", "content": "x" * (n + 1)}], options).text for n in told}


def until(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.005)


def test_who_only_asks_loads_no_torch():
    code = (
        "from mnemon.agent.model_server import ServedChatModel, as_data; import mnemon.agent.persona, sys;"
        "print('torch' in sys.modules, 'fastapi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
