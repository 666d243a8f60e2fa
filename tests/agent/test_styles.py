"""Activation steering against a hook on transformers' own forward."""

from pathlib import Path

import pytest
import torch

from mnemon.agent import ReplyOptions
from mnemon.agent.decoding import presets
from mnemon.agent.decoding.hf import TransformersTrunk
from mnemon.agent.decoding.llama import LlamaTrunk
from mnemon.agent.decoding.rows import RowPrompt, TrunkRowModel
from mnemon.agent.decoding.styles import StyleVector, style_from_texts
from mnemon.agent.decoding.traits import trait
from mnemon.agent.local import LocalChatModel
from mnemon.errors import UsageError
from tests.agent import tiny_llama

IDS = (5, 9, 17, 33, 4, 8, 90, 11)
CPU = torch.device("cpu")
VECTOR = torch.linspace(-1, 1, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write_folder(tmp_path_factory.mktemp("styles") / "tiny")


@pytest.fixture(params=[LlamaTrunk, TransformersTrunk])
def trunk(request: pytest.FixtureRequest, folder: Path) -> LlamaTrunk | TransformersTrunk:
    opened: LlamaTrunk | TransformersTrunk = request.param.open(folder, dtype=torch.float32, device=CPU)
    return opened


def hooked(folder: Path, ids: tuple[int, ...], *, layer: int, added: torch.Tensor) -> torch.Tensor:
    model = TransformersTrunk.open(folder, dtype=torch.float32, device=CPU).model
    model.model.layers[layer].register_forward_hook(lambda module, inputs, output: output + added)
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([ids])).logits[0, -1]
    return logits


@pytest.mark.parametrize("layer", [0, 1])
def test_a_styled_row_beside_a_plain_one(
    trunk: LlamaTrunk | TransformersTrunk, folder: Path, layer: int
) -> None:
    trunk.add_style("ana", StyleVector(layer, VECTOR))
    rows = TrunkRowModel(trunk).prefill([RowPrompt(IDS, "ana"), RowPrompt(IDS[1:])], room=4)
    rows.step(40)
    styled = hooked(folder, (*IDS, 40), layer=layer, added=VECTOR)
    plain = hooked(folder, (*IDS[1:], 40), layer=layer, added=torch.zeros(32))
    torch.testing.assert_close(rows.logits[0], styled, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(rows.logits[1], plain, atol=2e-4, rtol=1e-4)


def test_a_style_is_the_mean_difference_of_last_states(folder: Path) -> None:
    real, generic = [[5, 6, 7], [8, 9]], [[5, 6], [10, 11, 12]]
    for layer in (0, 1):
        ours, theirs = (
            style_from_texts(kind.open(folder, dtype=torch.float32, device=CPU), real, generic, layer=layer)
            for kind in (LlamaTrunk, TransformersTrunk)
        )
        torch.testing.assert_close(ours.vector, theirs.vector, atol=1e-4, rtol=1e-4)
    trunk = LlamaTrunk.open(folder, dtype=torch.float32, device=CPU)
    expected = sum(
        trunk.layer_output(a, 1)[-1] - trunk.layer_output(b, 1)[-1]
        for a, b in zip(real, generic, strict=True)
    )
    torch.testing.assert_close(ours.vector, expected / 2)


def test_a_style_costs_one_row(folder: Path) -> None:
    model = LocalChatModel.open(folder, device="cpu", dtype="float32")
    hello, options = [{"role": "user", "content": "Hello"}], ReplyOptions(max_tokens=10)
    plain = model.reply(hello, options).text
    model.add_style("ana", real=["HELLO YOU!!", "YES!!"], generic=["hello you.", "yes."], strength=4.0)
    reply = model.steer(hello, presets.styled("ana"), options=options).reply
    assert reply.text != plain
    assert reply.trace.rows == reply.trace.forwards == len(reply.trace.tokens) - 1  # type: ignore[attr-defined]
    assert model.reply(hello, options).text == plain  # and nobody else is styled


def test_a_style_is_one_reward_among_others_under_their_budget(folder: Path) -> None:
    model = LocalChatModel.open(folder, device="cpu", dtype="float32")
    model.add_style("ana", real=["HELLO YOU!!", "YES!!"], generic=["hello you.", "yes."], strength=4.0)
    steering = presets.budgeted(
        [*trait("excited", end_ids=model.codec.end_ids), presets.own_style("ana")], epsilon=0.3
    )
    hello = [{"role": "user", "content": "Hello"}]
    trace = model.steer(hello, steering, options=ReplyOptions(max_tokens=10)).reply.trace  # type: ignore[attr-defined]
    assert sorted(steering.used_branches()) == ["base", "styled"]
    assert trace.rows == 2 * trace.forwards
    assert 0 < trace.kl <= 0.3 * len(trace.tokens)
    assert any(token.contributions["own style"] for token in trace.tokens)


def test_styles_that_do_not_fit(folder: Path) -> None:
    model = LocalChatModel.open(folder, device="cpu", dtype="float32")
    with pytest.raises(UsageError, match="no pairs"):
        model.add_style("ana", real=["a"], generic=[])
    with pytest.raises(UsageError, match="layer=7"):
        model.rows.trunk.add_style("ana", StyleVector(7, VECTOR))  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="does not fit"):
        model.rows.trunk.add_style("ana", StyleVector(0, torch.ones(5)))  # type: ignore[attr-defined]
    model.rows.trunk.add_style("ana", StyleVector(0, VECTOR))  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="already"):
        model.rows.trunk.add_style("ana", StyleVector(0, VECTOR))  # type: ignore[attr-defined]
