"""How a person likes to be answered: learnt or set by hand, in the decoder or else in the prompt."""

import pytest

from mnemon.agent import Assistant, ReplyOptions
from mnemon.agent.compose import Layout
from mnemon.agent.local import LocalChatModel
from mnemon.agent.manner import Manner
from mnemon.errors import UsageError
from mnemon.memory import Memory
from mnemon.profiles import PatternProfiler, Persona, TraitBank
from mnemon.testing import HashEmbedder, ScriptedChatModel
from tests.agent import tiny_llama

CONCISE = TraitBank.load()["concise"].instruction


@pytest.fixture
def ana():
    with Memory.open(":memory:", embedder=HashEmbedder(), profiler=PatternProfiler()) as memory:
        yield memory.for_user("ana")


def test_what_is_asked_for_holds_from_the_next_turn_on(ana):
    model = ScriptedChatModel(["Sure.", "Fine."])
    assistant = Assistant(ana, model)
    assistant.reply("Please keep your answers short.")
    assert CONCISE not in model.calls[0].messages[0]["content"]
    reply = assistant.reply("How do I cook rice?")
    assert CONCISE in model.calls[-1].messages[0]["content"]
    assert "concise" in [leaning.trait for leaning in reply.traits]
    assert any("cannot be steered" in note for note in reply.notes)
    assert assistant.persona.get("concise") is not None
    assert reply.sizes["profile"] > 0


def test_traits_by_hand_stand_over_what_was_learnt(ana):
    ana.remember("Please keep your answers short.")
    manner = Manner(ana, traits={"concise": -1.0})
    assert manner.persona().get("concise").weight == -1.0
    with pytest.raises(UsageError, match="shrt"):
        Manner(ana, traits={"shrt": 1.0})


def test_a_given_persona_takes_the_place_of_the_learnt_one(ana):
    ana.remember("Please keep your answers short.")
    given = Persona(name="host").leaning("formal", 0.8)
    assert [leaning.trait for leaning in Manner(ana, persona=given).persona().leanings] == ["formal"]


@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_strength_zero_leaves_it_out_and_less_is_refused(ana, strength):
    if strength < 0:
        with pytest.raises(UsageError, match="negative"):
            Manner(ana, strength=strength)
        return
    assert Manner(ana, traits={"concise": 1.0}, strength=strength).plan("Why?") is None


def test_a_memory_without_a_profiler_learns_none():
    with Memory.open(":memory:", embedder=None) as memory:
        ana = memory.for_user("ana")
        assert not Manner(ana).persona()
        assert Manner(ana, traits={"concise": 1.0}).plan("How are things?") is not None


def test_a_steered_model_is_led_by_memories_and_manner_at_once(ana, tmp_path):
    folder = tiny_llama.write_folder(tmp_path / "tiny")
    model = LocalChatModel.open(folder, device="cpu", dtype="float32")
    ana.remember("My beagle is called Biscuit.")
    layout = Layout(memories=2, fenced=False, thread_tokens=50)
    options = ReplyOptions(max_tokens=6)
    led = {}
    for grounding, traits in ((1.0, {"formal": 1.0}), (0.0, {"formal": 1.0}), (1.0, None), (0.0, None)):
        assistant = Assistant(ana, model, options=options, grounding=grounding, traits=traits, layout=layout)
        reply = assistant.reply("What could I do with my beagle?", thread=f"{grounding} {traits}")
        assert reply.memories
        assert [leaning.trait for leaning in reply.traits] == (["formal"] if traits else [])
        assert not any("cannot be steered" in note for note in reply.notes)
        led[grounding, bool(traits)] = reply.trace
    assert led[0.0, False] is None
    assert set(led[1.0, False].shares()) == {"memories"}
    assert {"formal", "memories"} <= set(led[1.0, True].shares())
    assert "memories" not in led[0.0, True].shares()
    facts = Assistant(ana, model, options=options, traits={"formal": 1.0}, layout=layout)
    reply = facts.reply("What is my beagle called?", thread="facts")
    assert set(reply.trace.shares()) == {"memories"}
    assert reply.traits == ()
    plain = Assistant(ana, model, options=options, traits={"formal": 1.0}, layout=layout, steer=False)
    reply = plain.reply("What is my beagle called?", thread="plain")
    assert (reply.trace, reply.notes) == (None, ())
    assert reply.sizes["profile"] > 0
