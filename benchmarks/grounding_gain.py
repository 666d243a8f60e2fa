"""Does contrasting with and without the memories make the model say what it was told?

    python benchmarks/grounding_gain.py [--memories 1,3,6] [--questions 200] [--lam 1] [--epsilon E] [--json]

Fifty facts of a made-up person, four ways to ask for each: 200 questions, right when the reply contains the
answer. They are written for this file and nothing is tuned on them: λ = 1 and plausibility 0.1 were fixed
before, on twelve other questions. Prints accuracy with and without grounding, the gain with a 95 % interval
(bootstrap over facts, because four ways to ask for one fact are not independent) and a paired sign test.
"""

import argparse
import json
import math
import random
import re
from typing import NamedTuple

import numpy as np
from many_replies import SteeringFor, Written, mean, write_all

from mnemon.agent import LocalChatModel, Message
from mnemon.agent.decoding import Branch, Steering, grounding

TOGETHER = 25  # replies in one batch
HELPER = "You are a helpful assistant."
ASKING = ("{q}", "Remind me: {q}", "I forgot something. {q}", "{q} Answer in one short sentence.")


class Fact(NamedTuple):
    memory: str
    question: str
    answers: tuple[str, ...]


def fact(memory: str, question: str, *answers: str) -> Fact:
    return Fact(memory, question, answers)


FACTS = (
    fact("My dog is called Biscuit.", "What is my dog called?", "biscuit"),
    fact("My sister Nadia lives in Lisbon.", "Where does my sister live?", "lisbon"),
    fact("I am allergic to walnuts.", "What am I allergic to?", "walnut"),
    fact("I work as a bridge engineer.", "What is my job?", "engineer"),
    fact("My favourite colour is teal.", "What is my favourite colour?", "teal"),
    fact("I was born in Tampere.", "In which city was I born?", "tampere"),
    fact("I drive an old green Volvo.", "Which car do I drive?", "volvo"),
    fact("My wedding anniversary is on 14 May.", "When is my wedding anniversary?", "14 may", "may 14"),
    fact("I play the cello.", "Which instrument do I play?", "cello"),
    fact("My son Oskar is seven years old.", "How old is my son?", "seven", "7"),
    fact("I take my coffee with oat milk.", "How do I take my coffee?", "oat"),
    fact("I studied chemistry in Ghent.", "What did I study?", "chemistry"),
    fact("My landlord is Mr Petrov.", "Who is my landlord?", "petrov"),
    fact("I go swimming on Thursdays.", "On which day do I go swimming?", "thursday"),
    fact("My cat is called Ravioli.", "What is the name of my cat?", "ravioli"),
    fact("I am reading a book about glaciers.", "What is the book I am reading about?", "glacier"),
    fact("My mother grew up in Oaxaca.", "Where did my mother grow up?", "oaxaca"),
    fact("My flight leaves at 6:40.", "When does my flight leave?", "6:40"),
    fact("I am learning Welsh.", "Which language am I learning?", "welsh"),
    fact("My locker number is 318.", "What is my locker number?", "318"),
    fact("My best friend is called Imani.", "What is my best friend's name?", "imani"),
    fact("I broke my left wrist last winter.", "Which bone did I break last winter?", "wrist"),
    fact("My favourite dish is mushroom risotto.", "What is my favourite dish?", "risotto"),
    fact("I live on the fourth floor.", "On which floor do I live?", "fourth", "4th"),
    fact("My dentist is Dr Lindqvist.", "Who is my dentist?", "lindqvist"),
    fact("I collect old maps.", "What do I collect?", "map"),
    fact("My brother is a baker.", "What does my brother do for a living?", "baker", "bake"),
    fact("I want to visit Patagonia next year.", "Where do I want to go next year?", "patagonia"),
    fact("My shoe size is 43.", "What is my shoe size?", "43"),
    fact("I am afraid of moths.", "What am I afraid of?", "moth"),
    fact("My team lead is called Farida.", "Who is my team lead?", "farida"),
    fact("I ride a red tandem with my wife.", "What do I ride with my wife?", "tandem"),
    fact("My grandmother taught me to knit.", "Who taught me to knit?", "grandmother"),
    fact("I support the club Real Betis.", "Which football club do I support?", "betis"),
    fact("My bus is line 52.", "Which bus line do I take?", "52"),
    fact("I grow tomatoes on my balcony.", "What do I grow on my balcony?", "tomato"),
    fact("My daughter Lucía plays chess.", "What does my daughter play?", "chess"),
    fact("I do not eat pork.", "Which meat do I not eat?", "pork"),
    fact("I was married in Kyoto.", "In which city was I married?", "kyoto"),
    fact("My passport expires in October.", "When does my passport expire?", "october"),
    fact("My neighbour has a parrot named Kiwi.", "What is my neighbour's parrot called?", "kiwi"),
    fact("I ran my first marathon in Valencia.", "Where did I run my first marathon?", "valencia"),
    fact("I work from home on Mondays.", "On which day do I work from home?", "monday"),
    fact("My favourite painter is Hilma af Klint.", "Who is my favourite painter?", "hilma", "klint"),
    fact("The name of my boat is Petrel.", "What is the name of my boat?", "petrel"),
    fact("I keep my spare key under the fern.", "Where do I keep my spare key?", "fern"),
    fact("My blood type is AB negative.", "What is my blood type?", "ab neg", "ab-neg"),
    fact("My guitar teacher is called Anselm.", "What is the name of my guitar teacher?", "anselm"),
    fact("I moved to Graz in 2019.", "When did I move to Graz?", "2019"),
    fact("I am saving for a piano.", "What am I saving for?", "piano"),
)  # fmt: skip


def conversation(system: str, question: str) -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def told(memories: list[str]) -> str:
    return HELPER + " The user told you:\n" + "\n".join(f"- {memory}" for memory in memories)


def cases(count: int, memories: int) -> list[tuple[Fact, str, list[str]]]:
    dice = random.Random(0)
    made = []
    for fact_ in FACTS:
        for asking in ASKING:
            others = dice.sample([f.memory for f in FACTS if f is not fact_], memories - 1)
            known = [fact_.memory, *others]
            dice.shuffle(known)
            made.append((fact_, asking.format(q=fact_.question), known))
    return dice.sample(made, min(count, len(made)))


def sign_test(better: int, worse: int) -> float:
    """Two-sided probability of a split at least this uneven by chance."""
    n, k = better + worse, max(better, worse)
    if n == 0:
        return 1.0
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n)


def answered(
    model: LocalChatModel, batch: list[tuple[Fact, str, list[str]]], steering: SteeringFor | None
) -> list[Written]:
    conversations = [conversation(told(memories), question) for _, question, memories in batch]
    return write_all(model, conversations, steering, max_tokens=20)


def contrast(batch: list[tuple[Fact, str, list[str]]], lam: float, epsilon: float | None) -> SteeringFor:
    def steering(place: int) -> Steering:
        bare = Branch(name="bare", messages=tuple(conversation(HELPER, batch[place][1])))
        return grounding(bare, lam=lam, epsilon=epsilon)

    return steering


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memories", default="1,3,6", help="how many are in context; several with commas")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--lam", type=float, default=1.0)
    parser.add_argument("--epsilon", type=float, default=None, help="a divergence budget instead of --lam")
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    model = LocalChatModel.open(given.model)
    for memories in map(int, given.memories.split(",")):
        asked = cases(given.questions, memories)
        right: dict[str, list[bool]] = {"plain": [], "grounded": []}
        kl: list[float] = []
        for start in range(0, len(asked), TOGETHER):
            batch = asked[start : start + TOGETHER]
            steered = answered(model, batch, contrast(batch, given.lam, given.epsilon))
            kl += [mean(reply.kl) for reply in steered]
            for name, replies in (("plain", answered(model, batch, None)), ("grounded", steered)):
                right[name] += [
                    any(re.search(rf"\b{answer}", reply.text.lower()) for answer in known.answers)
                    for (known, _, _), reply in zip(batch, replies, strict=True)
                ]
        report = summed(right, kl, memories, [known.memory for known, _, _ in asked])
        print(json.dumps(report) if given.json else shown(report), flush=True)


def summed(
    right: dict[str, list[bool]], kl: list[float], memories: int, facts: list[str]
) -> dict[str, float]:
    pairs = list(zip(right["plain"], right["grounded"], strict=True))
    better, worse = pairs.count((False, True)), pairs.count((True, False))
    low, high = gain_interval(pairs, facts)
    return {
        "memories": memories,
        "questions": len(pairs),
        "plain": sum(right["plain"]) / len(pairs),
        "grounded": sum(right["grounded"]) / len(pairs),
        "gain low": low,
        "gain high": high,
        "gained": better,
        "lost": worse,
        "p": sign_test(better, worse),
        "kl_per_token": sum(kl) / len(kl),
    }


def gain_interval(pairs: list[tuple[bool, bool]], facts: list[str]) -> tuple[float, float]:
    by_fact: dict[str, list[int]] = {}
    for (plain, grounded), name in zip(pairs, facts, strict=True):
        by_fact.setdefault(name, []).append(int(grounded) - int(plain))
    sums = np.array([sum(gains) for gains in by_fact.values()])
    sizes = np.array([len(gains) for gains in by_fact.values()])
    drawn = np.random.default_rng(0).integers(0, len(sums), (10_000, len(sums)))
    gains = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(gains, [2.5, 97.5])
    return float(low), float(high)


def shown(report: dict[str, float]) -> str:
    return (
        f"{report['questions']} questions, {report['memories']} memories in context: "
        f"plain {report['plain']:.3f}, grounded {report['grounded']:.3f} "
        f"(gain [{report['gain low']:+.3f}, {report['gain high']:+.3f}], "
        f"+{report['gained']} −{report['lost']}, sign test p = {report['p']:.2g}; "
        f"KL {report['kl_per_token']:.2f} nats per token)"
    )


if __name__ == "__main__":
    main()
