"""A profile told as text, contrasted as text, as rules, and as a reward learnt from what was preferred.

    python benchmarks/text_or_reward.py --data PROMPTS.json [--traits personal,excited] [--pairs 40]

For each trait a made-up person prefers, of two replies to AMULET's prompts at even places, the one with more
of it. From those pairs a head is learnt; all four then answer prompts at odd places. Prints the trait's own
measure, the divergence per token and coherence beside the unsteered model's.
"""

import argparse
from pathlib import Path

from many_replies import write_all
from steering_curves import Bench, prompts_of
from steering_methods import MEASURE_OF

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import Branch, Steering, Term, attribute, budgeted, presets
from mnemon.agent.decoding.traits import TRAITS, trait
from mnemon.agent.reward_training import Pair, train_head


def preferred(model: LocalChatModel, name: str, prompts: list[str], tokens: int) -> list[Pair]:
    """Pairs of an unsteered reply and one with the trait, which the person prefers."""
    asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
    like = budgeted(trait(name, end_ids=model.codec.end_ids), epsilon=0.2)
    plain, liked = (write_all(model, asked, one, max_tokens=tokens) for one in (None, like))
    return [
        Pair(prompt, better.text, worse.text)
        for prompt, better, worse in zip(prompts, liked, plain, strict=True)
        if better.text.strip() and worse.text.strip() and better.text != worse.text
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--traits", default="short sentences,personal,excited")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=72)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    model = LocalChatModel.open(given.model)
    bench = Bench(model, prompts_of(given.data, "report", given.prompts), given.tokens)
    base = bench.row(None)
    for name in given.traits.split(","):
        pairs = preferred(model, name, prompts_of(given.data, "tune", given.pairs), given.tokens)
        head = train_head(model, pairs)
        print(f"{name}: {len(pairs)} pairs, held-out accuracy {head.card.accuracy:.2f}", flush=True)
        told, topic = TRAITS[name].about, presets.on_topic()
        forms: dict[str, Steering] = {
            "text in the prompt": presets.classifier_free_guidance(Branch(name=name, instruction=told), 1.0),
            "text, contrasted": budgeted(
                [Term(name=name, reward=attribute(name, told)), topic], epsilon=given.epsilon
            ),
            "learnt head": budgeted([Term(name=name, reward=head), topic], epsilon=given.epsilon, top=10),
            "rules": budgeted([*trait(name, end_ids=model.codec.end_ids), topic], epsilon=given.epsilon),
        }
        for form, steering in forms.items():
            row, key = bench.row(steering), MEASURE_OF[name][0]
            print(
                f"  {form:18} {key} {base[key]:.2f} → {row[key]:.2f}  KL {row['kl']:.3f}"
                f"  coherence {row['coherence'] - base['coherence']:+.3f}  rep-3 {row['rep-3']:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
