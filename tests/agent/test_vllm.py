"""The plug-in for vLLM in an engine that follows vLLM's rules: each row is steered as it would be here."""

import json
import random
import sys
from importlib.metadata import entry_points

import pytest
import torch

from mnemon.agent import EndpointChatModel, LocalChatModel, ReplyOptions
from mnemon.agent.compose import Prompt
from mnemon.agent.decoding import Fixed, KLBudget, Term, attribute, budgeted
from mnemon.agent.decoding.engine import Decoding, Plan
from mnemon.agent.decoding.linear import THEIR_ENDS, linear_part
from mnemon.agent.decoding.policies import LeakyBucket
from mnemon.agent.decoding.presets import on_topic, styled
from mnemon.agent.decoding.rewards import Lexicon
from mnemon.agent.decoding.rows import RowPrompt
from mnemon.agent.decoding.steering import BASE
from mnemon.agent.decoding.traits import trait
from mnemon.agent.persona import steering_for
from mnemon.agent.speaker import speaker_for
from mnemon.agent.vllm_argument import ARGUMENT, as_argument, asked_of
from mnemon.errors import ModelError, UsageError
from mnemon.profiles import Persona
from mnemon.testing import ScriptedChatModel
from tests.agent import tiny_llama, vllm_double
from tests.agent.endpoint_server import serving
from tests.agent.vllm_double import Engine, Request, SamplingParams

TEXTS = ["Who is Biscuit?", "Why?", "Tell me of Porto, please.", "a", "Is it far?", "What now?"]
TOKENS = (14, 9, 21, 6, 17, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture
def model(folder):
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


@pytest.fixture
def processor(folder, monkeypatch):
    vllm_double.install(monkeypatch)
    from mnemon.agent.vllm_plugin import RulesProcessor

    return RulesProcessor(vllm_double.config(str(folder)), torch.device("cpu"), is_pin_memory=False)


def steerings(ends):
    """Rules under every kind of budget; one that keeps state over the reply, one that does not, none."""
    letters = Lexicon(
        "aeioustrnmlk+#3579", rest=2
    )  # words of one letter: the tiny model writes letter by letter
    rules = [*trait("brief", end_ids=ends), *trait("plain", end_ids=ends)]
    rules.append(Term(name="letters", reward=letters, weight=10.0, normalise="center"))
    return [
        budgeted(rules, epsilon=0.4, prose_only=False),
        None,
        budgeted(rules, policy=KLBudget(0.3), prose_only=False),
        budgeted(rules, policy=LeakyBucket(1.0, 0.1), prose_only=False),
        budgeted(rules, policy=Fixed(0.7)),
        budgeted([*trait("asks", end_ids=ends, weight=-1.0), *rules], epsilon=0.5),
    ]


def conversation(text):
    return [{"role": "user", "content": text}]


def request(model, text, steering, wanted, **more):
    """A request whose logits are those that this model gives when it is alone."""
    ids = model.codec.prompt_ids(conversation(text))
    rows = model.rows.prefill([RowPrompt(tuple(ids))], room=64)
    args = None if steering is None else {ARGUMENT: as_argument(steering)}

    def next_logits(token):
        return (rows.logits if token is None else rows.step(token))[0]

    return Request(text, ids, next_logits, wanted, SamplingParams(args), **more)


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_come_go_and_change_places_are_steered_as_here(model, folder, processor, seed):
    dice = random.Random(seed)
    swaps = lambda n: tuple(dice.sample(range(n), 2)) if n > 1 and dice.random() < 0.5 else None  # noqa: E731
    engine = Engine(processor, swaps=swaps)
    wanted = steerings(model.codec.end_ids)
    requests = [request(model, *one) for one in zip(TEXTS, wanted, TOKENS, strict=True)]
    for number, one in enumerate(requests):
        one.chunks = dice.randint(1, 3)
        engine.add(one, at_step=dice.randint(0, 3 * number))
    engine.run()
    assert engine.moves > 0
    changed = 0
    for one, steering in zip(requests, wanted, strict=True):
        trace = _decoded_here(LocalChatModel.open(folder, device="cpu", dtype="float32"), one, steering)
        assert one.written == [token.token for token in trace]
        for row, token in zip(one.rows, trace, strict=True):
            assert float(row.softmax(-1)[token.token]) == pytest.approx(token.steered_probability, abs=1e-6)
        changed += sum(token.changed for token in trace)
    assert changed > 0, "nothing was steered, so nothing was shown"


def _decoded_here(model, one, steering):
    """The trace of the same reply by our own decoder."""
    plan = Plan(
        prompts={BASE: (BASE, RowPrompt(tuple(one.prompt)))},
        steering=steering or budgeted([]),
        max_tokens=one.wanted,
        end_ids=model.codec.end_ids,
    )
    return [step.trace for step in Decoding({BASE: model.rows}, plan, model._shown)]


def test_rows_without_the_argument_are_left_bit_for_bit(model, processor):
    engine = Engine(processor, swaps=lambda _: None)
    plain = request(model, "a", None, 5)
    engine.add(plain)
    engine.add(request(model, "Why?", steerings(model.codec.end_ids)[0], 9))
    engine.run()
    again = request(model, "a", None, 5)
    for row, token in zip(plain.rows, plain.written, strict=True):
        assert torch.equal(row, again.logits())
        again.take(token)


def test_what_a_grammar_forbids_stays_forbidden_and_the_rest_is_steered(model, processor):
    engine = Engine(processor, swaps=lambda _: None)
    allowed = {20, 33, 46, 63, 81}
    forbidden = [token for token in range(model.rows.vocabulary) if token not in allowed]
    one = request(model, "Why?", steerings(model.codec.end_ids)[4], 12, forbidden=forbidden)
    engine.add(one)
    engine.run()
    assert set(one.written) <= allowed
    assert all(torch.isfinite(row[list(allowed)]).all() for row in one.rows)


def test_a_reply_that_was_put_aside_goes_on_with_what_it_had_written(model, processor):
    steering = steerings(model.codec.end_ids)[2]  # no state but the text
    whole = request(model, "Why?", steering, 12)
    engine = Engine(processor, swaps=lambda _: None)
    engine.add(whole)
    engine.run()
    back = request(model, "Why?", steering, 12)
    for token in whole.written[:5]:
        back.take(token)
    again = Engine(processor, swaps=lambda _: None)
    again.add(back)
    again.run()
    assert back.written == whole.written


def test_vllm_is_told_what_it_asks_for(processor):
    assert isinstance(processor, vllm_double.LogitsProcessor)  # what is not one, vLLM refuses
    assert processor.is_argmax_invariant() is False
    assert processor.needs_output_token_ids() is True
    processor.update_state(None)
    logits = torch.randn(3, 50)
    assert processor.apply(logits) is logits
    (entry,) = entry_points(group="vllm.logits_processors", name="mnemon") or (None,)
    if entry is not None:  # an environment that was made before the plug-in does not list it
        assert entry.value == "mnemon.agent.vllm_plugin:RulesProcessor"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "no steering written as JSON"),
        ("{", "no steering written as JSON"),
        ("{}", "no policy"),
        (json.dumps({"policy": {"kind": "Fixed", "lam": 1}, "mix": {"x": 1.0}}), "nothing declares"),
    ],
)
def test_a_bad_argument_is_a_value_error_when_the_request_comes_in(processor, given, says):
    with pytest.raises(ValueError, match=says):
        type(processor).validate_params(SamplingParams({ARGUMENT: given}))


def test_what_needs_rows_is_refused_and_its_rules_can_be_sent_alone(model):
    rules = trait("brief", end_ids=model.codec.end_ids)
    mixed = budgeted([*rules, on_topic(), Term(name="kind", reward=attribute("kind", "Be kind."))])
    with pytest.raises(UsageError, match="rows of their own"):
        as_argument(mixed)
    with pytest.raises(UsageError, match="rows of their own"):
        as_argument(styled("ana"))
    alone = linear_part(mixed)
    assert [term.name for term in alone.terms] == ["brief"]
    assert asked_of({ARGUMENT: as_argument(alone)}) == alone
    assert linear_part(budgeted([on_topic()])) is None
    assert asked_of(None) is None


def test_ends_that_the_asking_side_does_not_know_are_the_serving_sides(model, processor):
    persona = Persona().leaning("concise", 1.0)
    theirs = linear_part(steering_for(persona.plan("Why?"), end_ids=THEIR_ENDS))
    ours = linear_part(steering_for(persona.plan("Why?"), end_ids=model.codec.end_ids))
    told = []
    for steering in (theirs, ours):
        engine = Engine(processor, swaps=lambda _: None)
        one = request(model, "Why?", steering, 10)
        engine.add(one)
        engine.run()
        told.append(torch.stack(one.rows))
    assert torch.equal(*told)


def test_a_tokenizer_that_is_not_there_is_said(monkeypatch, processor):
    plugin = sys.modules[type(processor).__module__]
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(ModelError, match="no tokenizer"):
        plugin.tokenizer_folder("nobody/nothing", None)


@pytest.mark.parametrize("takes_rules", [True, False])
def test_an_endpoint_gets_rules_only_where_it_is_said_to_take_them(takes_rules):
    plan = Persona().leaning("concise", 1.0).leaning("formal", 1.0).plan("Why is the sky blue?")
    prompt = _prompt()
    with serving(ScriptedChatModel(["Because."])) as server:
        model = EndpointChatModel(server.url, "m", takes_rules=takes_rules)
        speaker = speaker_for(model, grounding=1.0)
        assert not speaker.steers  # so its persona stands in the prompt, rules or not
        assert speaker.answer(prompt, ReplyOptions(), plan=plan).reply.text == "Because."
    sent = server.requests[0].get("vllm_xargs")
    assert (sent is not None) == takes_rules
    if sent:
        names = [term.name for term in asked_of(sent).terms]
        assert any(name.startswith("concise") for name in names)


def _prompt():
    said = ({"role": "user", "content": "Why is the sky blue?"},)
    return Prompt(messages=said, ungrounded=said, memories=(), left_out=0)
