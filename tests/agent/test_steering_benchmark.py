"""The steering curves: replies written together are those written alone, and a curve is read right."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mnemon.agent import LocalChatModel, ReplyOptions
from mnemon.agent.decoding import Branch, Steering, budgeted, presets
from mnemon.agent.decoding.traits import TRAITS, trait
from tests.agent import tiny_llama

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from many_replies import write_all
from measures import measured
from steering_curves import apart, best_within, cut, nearest, summed
from steering_methods import MEASURE_OF, OURS, methods
from style_texts import HISTORIES, PLAINLY

ASKED = [[{"role": "user", "content": text}] for text in ("Hello", "How long is a river?", "Why?")]
PERSONA, OPPOSITE = Branch(name="a", instruction="Be kind."), Branch(name="b", instruction="Be rude.")
STEERINGS = {
    "ours": lambda model: budgeted(
        [*trait("plain", end_ids=model.codec.end_ids), presets.on_topic()], epsilon=0.5
    ),
    "guidance": lambda _: presets.classifier_free_guidance(PERSONA, 2.0),
    "experts": lambda _: presets.proxy_tuning(PERSONA, OPPOSITE, 2.0),
    "AMULET": lambda _: presets.amulet(PERSONA),
    "PAD": lambda _: presets.pad(PERSONA, weight=1.5),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalChatModel:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("curves") / "tiny")
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


@pytest.mark.parametrize("make", STEERINGS.values(), ids=STEERINGS)
def test_replies_written_together_are_those_written_alone(model, make) -> None:
    steering: Steering = make(model)
    together = write_all(model, ASKED, steering, max_tokens=12)
    one_by_one = write_all(model, ASKED, lambda _: steering, max_tokens=12)  # never by sums of whole rows
    for messages, reply, slow in zip(ASKED, together, one_by_one, strict=True):
        stream = model.steer(messages, steering, options=ReplyOptions(max_tokens=12))
        assert "".join(stream) == reply.text == slow.text
        np.testing.assert_allclose(reply.kl, slow.kl, atol=1e-4)
        np.testing.assert_allclose(reply.log_p, slow.log_p, atol=1e-3)


def test_every_trait_has_every_method_and_a_history(model) -> None:
    for name in MEASURE_OF:
        points = [(method, strength) for method, strength, _ in methods(name, model, ["Hello"])]
        assert len(points) == len(set(points)) == 27
        assert len({method for method, _ in points}) == 12
    assert set(HISTORIES) == set(MEASURE_OF) == set(TRAITS)
    assert {len(texts) for texts in HISTORIES.values()} == {len(PLAINLY)}


@pytest.mark.parametrize("name", MEASURE_OF)
def test_a_made_up_person_has_the_trait(name: str) -> None:
    key = MEASURE_OF[name][0]
    own, plain = (np.mean([measured(text)[key] for text in texts]) for texts in (HISTORIES[name], PLAINLY))
    assert own < plain if name in ("short sentences", "plain", "brief") else own > plain


def row(text: str, *, count: int = 3, kl: float = 0.1, coherence: float = 0.5, **key: object) -> dict:
    each = {"coherence": [coherence] * count, "kl": [kl * 10] * count, "tokens": [10] * count}
    return {**key, **summed([text] * count, each)}


def test_a_row_is_cut_to_its_first_prompts() -> None:
    whole = summed(["Yes.", "No!"], {"coherence": [0.2, 0.4], "kl": [1.0, 3.0], "tokens": [10, 10]})
    assert whole["kl"] == pytest.approx(0.2)
    first = cut(json.loads(json.dumps(whole)), 1)
    assert (first["kl"], first["exclamations"], first["texts"]) == (pytest.approx(0.1), 0.0, ["Yes."])


def test_coherence_is_compared_prompt_by_prompt() -> None:
    base = {"each": {"coherence": [0.3, 0.4, 9.0]}}  # the last was not given to the other
    steered = {"texts": ["", ""], "each": {"coherence": [0.2, 0.5]}}
    assert apart(steered, base) == (pytest.approx(0.0), pytest.approx(0.1))


def test_others_are_compared_on_the_prompts_that_they_were_given() -> None:
    base, ours = row("It is so.", count=4, kl=0.0), row("So! It is.", count=4, trait="excited", method=OURS)
    few = row("So! It is. It is.", count=2, trait="excited", method="few")
    all_of_them = row("So! It is. It is. It is.", count=4, trait="excited", method="all")
    reached, best, winner = nearest(ours, [few, all_of_them], base)
    assert (reached, best, winner) == (0.5, pytest.approx(1 / 3), "few")
    assert nearest(ours, [], base) == (0.5, 0.0, "base")


def test_the_best_other_is_read_between_its_points_and_never_beyond_its_divergence() -> None:
    base = row("It is so.", kl=0.0)
    far = row("It is so! It is so!", kl=0.4, method="far")
    assert best_within([far], base, "excited", 0.4) == (1.0, "far")
    assert best_within([far], base, "excited", 0.1) == (pytest.approx(0.25), "far")
    near = row("So! It is. It is.", kl=0.05, method="near")
    assert best_within([far, near], base, "excited", 0.1)[1] == "near"  # what it has, it keeps
    assert best_within([row("No.", method="none")], base, "excited", 1.0) == (0.0, "base")
    assert OURS not in {"far", "near"}
