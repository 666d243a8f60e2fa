"""The reader on the real default model: it reads what it is given, prefers by likelihood, repeats itself."""

import pytest

from mnemon.cli.eval_runs import _grounded as grounded_by
from mnemon.evals.reader import ModelReader
from mnemon.evals.seams import Context, Question, Turn

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model(chat_weights):
    from mnemon.agent import LocalChatModel

    return LocalChatModel.open(chat_weights)


def said(text):
    turn = Turn(id="t1", session="s1", position=0, role="user", speaker="user", text=text, document=text)
    return Context((turn,))


def reader(model, **options):
    return ModelReader(
        model=model, context_tokens=400, likelihoods=model, count=model.count_tokens, max_tokens=16, **options
    )


def test_an_answer_rests_on_the_history(model):
    question = Question(text="What is my cat called?", instructions="Answer with a short phrase.")
    answer = reader(model).answer(question, said("My cat is called Pebble."))
    assert "Pebble" in answer.text
    assert answer.prompt_tokens > 20
    assert 0 < answer.completion_tokens <= 16
    assert "Pebble" not in reader(model).answer(question, Context(())).text


def test_grounding_reads_too_and_changes_nothing_without_history(model):
    question = Question(text="What is my boat called?", instructions="Answer with a short phrase.")
    grounded = reader(model, grounded=grounded_by(model, 1.0), grounding=1.0)
    assert "Marigold" in grounded.answer(question, said("My boat is called Marigold.")).text
    alone = Context(())
    assert grounded.answer(question, alone) == reader(model).answer(question, alone)


def test_options_are_preferred_by_what_was_said(model):
    question = Question(
        text="What is my cat called?", options=("Your cat is called Pebble.", "Your cat is called Max.")
    )
    for name in ("Pebble", "Max"):
        likelihoods = reader(model).preferences(question, said(f"My cat is called {name}."))
        assert name in question.options[likelihoods.index(max(likelihoods))]
        assert all(value < 0 for value in likelihoods)
