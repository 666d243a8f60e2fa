"""Reward heads: fitted right, kept safe, refused by the wrong model, and felt by the decoder."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnemon.agent import ReplyOptions
from mnemon.agent.decoding import presets
from mnemon.agent.decoding.heads import (
    HeadCard,
    RewardHead,
    fit_bradley_terry,
    ordered_rightly,
    share_right,
)
from mnemon.agent.local import LocalChatModel
from mnemon.agent.reward_training import (
    CUTS,
    HiddenPairs,
    Pair,
    attribute_features,
    fit_attribute_weights,
    fit_head,
    hidden_at_cuts,
    hidden_pairs,
    read_pairs,
    split_by_prompt,
    train_head,
    turns_of,
)
from mnemon.cli.app import run
from mnemon.errors import DataError, UsageError
from tests.agent import tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalChatModel:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("heads") / "tiny")
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


def taste(number: int) -> Pair:
    """Prefers replies that shout."""
    dice = np.random.default_rng(number)
    words = " ".join(dice.choice(["tea", "rain", "a cat", "green", "hill"], size=4))
    return Pair(f"Tell me about {number}", words.upper() + "!", words + ".")


PAIRS = [taste(number) for number in range(40)]


def card(**given: object) -> HeadCard:
    values = {"model": "tiny@fp32", "pairs": 1, "held_out_pairs": 1, "accuracy": 1.0, "accuracy_stderr": 0.0}
    return HeadCard(**(values | given))  # type: ignore[arg-type]


def test_the_fit_is_where_the_gradient_of_the_penalised_likelihood_vanishes() -> None:
    dice = np.random.default_rng(0)
    truth = dice.normal(size=6)
    chosen, rejected = dice.normal(size=(400, 6)), dice.normal(size=(400, 6))
    swap = dice.uniform(size=400) > 1 / (1 + np.exp(-(chosen - rejected) @ truth))
    chosen[swap], rejected[swap] = rejected[swap].copy(), chosen[swap].copy()
    weight = fit_bradley_terry(chosen, rejected, ridge=2.0)
    scale = np.concatenate([chosen, rejected]).std(axis=0)
    x = (chosen - rejected) / scale
    gradient = x.T @ (1 / (1 + np.exp(x @ (weight * scale)))) - 2.0 * weight * scale
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert np.corrcoef(weight, truth)[0, 1] > 0.95
    best = ordered_rightly(truth, chosen, rejected).mean()
    assert ordered_rightly(weight, chosen, rejected).mean() > best - 0.03


def test_a_unit_that_never_varies_gets_no_weight() -> None:
    dice = np.random.default_rng(1)
    chosen, rejected = dice.normal(size=(50, 3)) + np.eye(3)[0], dice.normal(size=(50, 3))
    chosen[:, 2] = rejected[:, 2] = 5.0
    weight = fit_bradley_terry(chosen, rejected)
    assert weight[2] == 0
    assert weight[0] > 0.3


def test_ties_are_half_right() -> None:
    same = np.ones((4, 2))
    assert ordered_rightly(np.ones(2), same, same).tolist() == [0.5] * 4


def test_few_pairs_all_right_prove_little() -> None:
    few, many = share_right(np.ones(4)), share_right(np.ones(400))
    assert few == (1.0, pytest.approx(np.sqrt(0.75 * 0.25 / 8)))
    assert many[1] < 0.01


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_a_fit_needs_a_penalty(ridge: float) -> None:
    with pytest.raises(UsageError, match="ridge"):
        fit_bradley_terry(np.ones((2, 2)), np.zeros((2, 2)), ridge=ridge)


def test_hidden_states_at_cuts_are_those_of_the_cut_replies(model: LocalChatModel) -> None:
    found = hidden_at_cuts(model, "Hello", "a reply of 20 bytes.")
    prompt = model.codec.prompt_ids([{"role": "user", "content": "Hello"}])
    reply = model.codec.encode("a reply of 20 bytes.")
    for row, cut in zip(found, CUTS, strict=True):
        ids = prompt + reply[: round(cut * len(reply))]
        expected = tiny_llama.slow_hidden(model.rows.trunk, ids)  # type: ignore[attr-defined]
        np.testing.assert_allclose(row, expected.numpy(), atol=1e-4)


def test_pairs_of_one_prompt_stay_on_one_side() -> None:
    pairs = [Pair(f"p{n % 7}", "a", "b") for n in range(70)]
    folds = split_by_prompt(pairs, held_out=0.3, seed=3)
    assert sorted(place for fold in folds for place in fold) == list(range(70))
    prompts = [{pairs[i].prompt for i in fold} for fold in folds]
    assert sorted(map(len, prompts)) == [2, 2, 3]
    assert len(set().union(*prompts)) == 7


def test_the_card_is_of_heads_that_had_not_seen_the_pairs() -> None:
    """Choices by a coin cannot be foreseen, however well a head fits what it saw."""
    dice = np.random.default_rng(5)
    hidden = HiddenPairs(*dice.normal(size=(2, 80, len(CUTS), 400)))
    folds = split_by_prompt([Pair(f"p{n}", "a", "b") for n in range(80)], held_out=0.2, seed=0)
    head = fit_head(hidden, folds, model="tiny", ridge=1.0)
    assert ordered_rightly(head.weight, hidden.chosen[:, -1], hidden.rejected[:, -1]).mean() > 0.95
    assert head.card.accuracy == pytest.approx(0.5, abs=3 * head.card.accuracy_stderr)
    assert head.card.pairs == head.card.held_out_pairs == 80


def test_a_head_is_fitted_on_replies_that_are_cut_short() -> None:
    """Whole replies are noise here, their beginnings are not: from whole ones alone nothing is learnt."""
    dice = np.random.default_rng(6)
    truth, noise = dice.normal(size=20), dice.normal(size=(2, 60, len(CUTS), 20))
    noise[0, :, :-1] += truth
    hidden = HiddenPairs(*noise)
    folds = split_by_prompt([Pair(f"p{n}", "a", "b") for n in range(60)], held_out=0.2, seed=0)
    head = fit_head(hidden, folds, model="tiny")
    assert min(head.card.accuracy_by_prefix[cut] for cut in ("25%", "50%", "75%")) > 0.9
    assert np.corrcoef(head.weight, truth)[0, 1] > 0.8


@pytest.mark.parametrize("ridge", [1.0, 1000.0])
def test_a_heads_strength_is_in_units_of_its_spread(ridge: float) -> None:
    hidden = HiddenPairs(*np.random.default_rng(7).normal(size=(2, 30, len(CUTS), 5)))
    folds = split_by_prompt([Pair(f"p{n}", "a", "b") for n in range(30)], held_out=0.2, seed=0)
    head = fit_head(hidden, folds, model="tiny", ridge=ridge)
    rewards = np.concatenate([hidden.chosen[:, -1], hidden.rejected[:, -1]]) @ head.weight
    assert rewards.std() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("prompt", "roles"),
    [
        ("Human: Hi\n\nAssistant: Yes?\n\nHuman: Why?", ["user", "assistant", "user"]),
        ("Human: Why?", ["user"]),
        ("Why?\n\nHuman: so it is", ["user"]),  # somebody's text, and no dialogue
        ("Human: Hi\n\nAssistant: Yes?", ["user"]),
        ("Human:\n\nAssistant: Yes?\n\nHuman: Why?", ["user"]),
    ],
)
def test_a_dialogue_is_read_as_one(model: LocalChatModel, prompt: str, roles: list[str]) -> None:
    turns = turns_of(prompt)
    assert [turn["role"] for turn in turns] == roles
    assert len(turns) > 1 or turns[0]["content"] in (prompt, "Why?")
    ids = model.codec.prompt_ids(turns) + model.codec.encode("yes")
    expected = tiny_llama.slow_hidden(model.rows.trunk, ids)  # type: ignore[attr-defined]
    np.testing.assert_allclose(hidden_at_cuts(model, prompt, "yes")[-1], expected.numpy(), atol=1e-4)


def test_a_head_learns_a_taste_and_the_decoder_follows_it(model: LocalChatModel, tmp_path: Path) -> None:
    head = train_head(model, PAIRS)
    assert head.card.accuracy >= 0.9
    assert set(head.card.accuracy_by_prefix) == {"25%", "50%", "75%", "100%"}
    head.save(tmp_path / "head.safetensors")
    again = RewardHead.load(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(again.weight, head.weight)
    assert again.card == head.card
    ask = [{"role": "user", "content": "Tell me about tea"}]
    options = ReplyOptions(max_tokens=30)

    def worth(weight: float) -> float:
        """Mean reward after each token that was written."""
        stream = model.steer(ask, presets.args(again, weight=weight, top=20), options=options)
        trace = stream.reply.trace  # type: ignore[attr-defined]
        ids = model.codec.prompt_ids(ask)
        rewards = []
        for token in trace.tokens:
            ids.append(token.token)
            rewards.append(tiny_llama.slow_hidden(model.rows.trunk, ids).numpy() @ head.weight)  # type: ignore[attr-defined]
        return float(np.mean(rewards))

    assert worth(5.0) > worth(1.0) > worth(0.0)


def test_a_head_of_another_model_is_refused(model: LocalChatModel) -> None:
    ask = [{"role": "user", "content": "Hello"}]
    for head in (
        RewardHead(np.ones(32), card(model="other@fp32")),
        RewardHead(np.ones(64), card(model=model.name)),
    ):
        with pytest.raises(UsageError, match="reward head belongs to"):
            model.steer(ask, presets.args(head)).reply  # noqa: B018
    other_precision = RewardHead(np.ones(32), card(model="tiny@bf16"))
    assert model.steer(ask, presets.args(other_precision), options=ReplyOptions(max_tokens=2)).reply.text


def test_traits_are_weighed_from_pairs(model: LocalChatModel) -> None:
    """Pairs are made by what one instruction makes likelier, so that trait must get the weight."""
    traits = {"loud": "SHOUT!!", "soft": "whisper ...", "odd": "q9z"}
    dice = np.random.default_rng(0)
    pairs = []
    for number in range(30):
        a, b = ("".join(dice.choice(list("abcdefgh !.QZ"), size=12)) for _ in range(2))
        prompt = f"Say {number}"
        loud = [attribute_features(model, prompt, text, traits)[0] for text in (a, b)]
        pairs.append(Pair(prompt, a, b) if loud[0] > loud[1] else Pair(prompt, b, a))
    weights = fit_attribute_weights(model, pairs, traits)
    assert sum(map(abs, weights.values())) == pytest.approx(1)
    assert weights["loud"] > 0.5
    with pytest.raises(UsageError, match="no attributes"):
        fit_attribute_weights(model, pairs, {})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "Line 2"),
        ('{"prompt": "p", "chosen": "c"}', "rejected"),
        ('{"prompt": "p", "chosen": "c", "rejected": ""}', "empty"),
        ('{"prompt": "p", "chosen": 3, "rejected": "r"}', "Line 2"),
        ("[1, 2]", "Line 2"),
        ('{"prompt": "p", "chosen": "same", "rejected": "same"}', "same reply twice"),
        ('{"chosen": "\\n\\nHuman: a\\n\\nAssistant: b", "rejected": "Human: c"}', "share no turn"),
        ("\udcff", "Line 2.*Unicode"),
    ],
)
def test_bad_pairs_are_named_by_line(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "pairs.jsonl"
    good = '{"prompt": "p", "chosen": "c", "rejected": "r"}\n'
    file.write_text(good + line + "\n", encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DataError, match=says):
        read_pairs(file)
    told: list[DataError] = []
    assert read_pairs(file, on_bad=told.append) == [Pair("p", "c", "r")]
    assert len(told) == 1


def test_whole_dialogues_are_parted_where_they_part(tmp_path: Path) -> None:
    asked = "\n\nHuman: Hello?\n\nAssistant: Yes?\n\nHuman: Why is it so?"
    chosen, rejected = asked + "\n\nAssistant: I am not sure.", asked + "\n\nAssistant: I am the law."
    file = tmp_path / "hh.jsonl"
    file.write_text(json.dumps({"chosen": chosen, "rejected": rejected}) + "\n")
    (pair,) = read_pairs(file)
    assert pair == Pair(asked.strip(), "I am not sure.", "I am the law.")
    file.write_text(
        json.dumps({"chosen": chosen + "\n\nHuman: So?\n\nAssistant: Yes.", "rejected": rejected})
    )
    (longer,) = read_pairs(file)
    assert longer.prompt == asked.strip()
    assert longer.chosen.endswith("So?\n\nAssistant: Yes.")


def test_too_few_pairs_and_one_prompt_are_refused(model: LocalChatModel) -> None:
    with pytest.raises(UsageError, match="too few"):
        train_head(model, PAIRS[:3])
    with pytest.raises(UsageError, match="same prompt"):
        train_head(model, [Pair("p", f"c{n}", "r") for n in range(12)])


def test_a_prompt_that_is_too_long_is_told_before_anything_is_read(model: LocalChatModel) -> None:
    read: list[int] = []
    with pytest.raises(UsageError, match=r"reads \d+: 'long long"):
        hidden_pairs(
            model, [*PAIRS[:2], Pair("long " * 5000, "a", "b")], on_progress=lambda n, _: read.append(n)
        )
    assert read == []


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_damaged_head_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "head.safetensors"
    file.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        RewardHead.load(file)
    with pytest.raises(DataError, match="does not exist"):
        RewardHead.load(tmp_path / "none")


def test_the_command_trains_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_llama.write_folder(tmp_path / "tiny")
    file, out = tmp_path / "pairs.jsonl", tmp_path / "head.safetensors"
    file.write_text("".join(json.dumps(pair._asdict()) + "\n" for pair in PAIRS))
    assert run(["reward", "train", str(file), "--out", str(out), "--model", str(folder), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["accuracy"] >= 0.9
    assert trained["source"] == "pairs.jsonl"
    assert run(["reward", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == trained
    assert run(["reward", "show", str(tmp_path / "none")]) == 5
    asked = ["steer", "Hello", "--model", str(folder), "--max-tokens", "4", "--json", "--head", str(out)]
    assert run(asked) == 0
    contributions = json.loads(capsys.readouterr().out)["tokens"][0]["contributions"]
    assert set(contributions) == {"head", "on topic"}


def test_the_command_says_what_is_wrong_before_it_reads_with_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, empty = tmp_path / "pairs.jsonl", tmp_path / "empty.jsonl"
    file.write_text("".join(json.dumps(pair._asdict()) + "\n" for pair in PAIRS) + "nonsense\n")
    empty.write_text("")
    for code, *wrong in (
        (2, file, "--out", tmp_path),
        (5, file),
        (5, tmp_path / "none.jsonl"),
        (5, tmp_path),
        (5, empty),
    ):
        assert run(["reward", "train", *map(str, wrong), "--model", "nowhere"]) == code
        assert "Traceback" not in capsys.readouterr().err
    folder = tiny_llama.write_folder(tmp_path / "tiny")
    asked = ["reward", "train", str(file), "--out", str(tmp_path / "h"), "--model", str(folder)]
    assert run([*asked, "--ridge", "0", "--skip-bad"]) == 2
    capsys.readouterr()
    assert run([*asked, "--skip-bad"]) == 0
    assert "1 of 41 lines left out" in capsys.readouterr().err
