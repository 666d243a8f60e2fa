"""Grounding in the assistant: on where something was recalled, off to the last bit where nothing was."""

import pytest

from mnemon.agent import Assistant, LocalChatModel, ReplyOptions
from mnemon.agent.compose import Layout
from mnemon.front import Memory
from tests.agent import tiny_llama

LAYOUT = Layout(memories=2, fenced=False, thread_tokens=50)
OPTIONS = ReplyOptions(max_tokens=12)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalChatModel:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("grounding") / "tiny")
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


@pytest.fixture
def ana():
    with Memory.open(":memory:", embedder=None) as memory:
        person = memory.for_user("ana")
        for day, text in enumerate(("My beagle is called Biscuit.", "My beagle sleeps on the sofa.")):
            person.remember(text, session=f"day {day}")
        yield person


def replies(ana, model, message, **more):
    """The reply with grounding and the one without."""
    made = [Assistant(ana, model, options=OPTIONS, layout=LAYOUT, grounding=g, **more) for g in (1.0, 0.0)]
    return [one.reply(message, thread=f"{message} {place}") for place, one in enumerate(made)]


@pytest.mark.parametrize(
    "message",
    ["Hello!", "Thank you.", "Why is the sky blue?", "What is my shoe size?", "Write a short poem."],
)
@pytest.mark.parametrize("traits", [None, {"formal": 1.0}])
def test_it_is_off_where_nothing_relevant_was_recalled(ana, model, message, traits):
    grounded, plain = replies(ana, model, message, traits=traits)
    assert grounded.memories == ()
    assert grounded.text == plain.text
    steered = [one.trace.tokens if one.trace is not None else () for one in (grounded, plain)]
    assert [token.token for token in steered[0]] == [token.token for token in steered[1]]
    assert not any("memories" in token.contributions for token in steered[0])
    assert traits or not steered[0]


def test_where_something_was_its_share_is_in_the_trace_and_costs_one_row(ana, model):
    grounded, plain = replies(ana, model, "What is my beagle called?")
    assert [one.text for one in grounded.memories] == ["My beagle is called Biscuit."]
    assert grounded.trace.shares() == {"memories": 1.0}
    assert grounded.trace.rows == 2 * grounded.trace.forwards
    assert grounded.trace.kl > 0
    assert plain.trace is None
