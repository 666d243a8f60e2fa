"""What grounding is measured by: choices that can be told apart, read through the product's own step."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mnemon.agent import LocalChatModel, ReplyOptions
from mnemon.agent.decoding import Branch, grounding
from tests.agent import tiny_llama

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from answer_choices import Answered, chosen_right, read_choices, wrong_answers
from grounding_gain import Asked, compared, drawn

KNOWN = [
    *(Answered(f"q{i}", "where", f"Town {i}") for i in range(5)),
    *(Answered(f"r{i}", "when", f"{i} May") for i in range(5)),
]


def test_wrong_answers_are_of_the_same_kind_first_and_none_says_what_the_right_one_does():
    asked = Answered("q", "where", "Town 0, by the sea")
    wrong = wrong_answers([*KNOWN, Answered("again", "where", "town 3!")], asked, count=6)
    assert {answer.lower().strip("!") for answer in wrong[:4]} == {f"town {i}" for i in range(1, 5)}
    assert len(wrong) == 6
    assert all(answer.endswith("May") for answer in wrong[4:])
    assert wrong == wrong_answers([*KNOWN, Answered("again", "where", "town 3!")], asked, count=6)
    assert wrong_answers(KNOWN, asked, count=0) == []


def test_the_choice_is_by_token_and_by_sum():
    short_wrong = chosen_right([[-1.0, -1.0, -1.0], [-2.0], [-9.0]])
    assert short_wrong == {
        "chosen": 1.0,
        "chosen by sum": 0.0,
        "log p per token": -1.0,
        "ahead of the others": 4.5,
    }
    assert chosen_right([[-2.0], [-2.0]])["chosen"] == 0.0  # no better than the other


def test_what_another_seed_draws_is_left_out():
    by = {"a": list(range(30)), "b": list(range(30, 50))}
    first, second = drawn(by, 10, 0, None), drawn(by, 10, 1, 0)
    assert all(len(cases) == 10 for cases in first.values())
    for name, cases in drawn(by, 10, 1, None).items():
        assert second[name] == [case for case in cases if case not in first[name]]


def asked_of(cluster: str, *, evidence: bool) -> Asked:
    return Asked(id=cluster, cluster=cluster, told=[], against=[], scores=lambda _: {}, evidence=evidence)


def test_questions_with_and_without_their_evidence_are_compared_apart():
    asked = [asked_of(name, evidence=name < "c") for name in "abcd"]
    plain, grounded = ([{"F1": value} for value in values] for values in ([0, 0, 1, 0], [1, 1, 0, 0]))
    lines = {line["questions"]: line for line in compared(asked, plain, grounded)}
    assert {name: line["n"] for name, line in lines.items()} == {
        "all": 4,
        "evidence in context": 2,
        "evidence not in context": 2,
    }
    assert lines["evidence in context"]["difference"].value == 1.0
    assert lines["evidence not in context"]["difference"].value == -0.5
    assert [line["questions"] for line in compared(asked[:2], plain[:2], grounded[:2])] == ["all"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalChatModel:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("choices") / "tiny")
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


def test_a_choice_is_read_with_the_probabilities_of_the_step_that_writes(model):
    told = [{"role": "user", "content": "My dog is Biscuit. What is it called?"}]
    without = Branch(name="against", messages=({"role": "user", "content": "Tell me something."},))
    steering = grounding(without, lam=3.0)
    ids = model.codec.encode("It is Biscuit.")

    def say_it(written, logits):
        return np.where(np.arange(len(logits)) == ids[len(written)], logits, -np.inf)

    stream = model.steer(told, steering, options=ReplyOptions(max_tokens=len(ids)), processors=[say_it])
    assert "".join(stream) == "It is Biscuit."
    trace = stream.reply.trace.tokens
    read, other = read_choices(model, [told], lambda _: steering, [["It is Biscuit.", "Hello"]])[0]
    for log_p, wanted in (
        (read.log_p, [token.steered_probability for token in trace]),
        (read.base_log_p, [token.base_probability for token in trace]),
    ):
        np.testing.assert_allclose(np.exp(log_p), wanted, rtol=1e-3)
    assert read.log_p != read.base_log_p
    assert len(other.log_p) == len(model.codec.encode("Hello"))
