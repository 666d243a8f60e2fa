"""Does steering under the default budget cost the model what it knew?

    python benchmarks/nothing_forgotten.py [--epsilon E] [--traits formal,brief] [--no-questions] [--json]

Perplexity of six neutral texts, read under each trait and without, and accuracy on a hundred plain questions.
Texts and questions are written for this file. Promised: perplexity within 3 %, accuracy within 2 points.
"""

import argparse
import json
import math
import re

from many_replies import mean, write_all

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import Steering, Term, attribute, budgeted
from mnemon.agent.decoding.policies import DEFAULT_EPSILON
from mnemon.agent.decoding.presets import on_topic
from mnemon.agent.decoding.traits import TRAITS, trait

TOGETHER = 25  # replies in one batch
INSTRUCTIONS = {  # traits in words, contrasted with their opposites; beside those that are rules
    "formal": ("Write formally and politely.", "Write casually, like a friend."),
    "told to be excited": ("Be excited! Use exclamation marks!", "Be calm and matter-of-fact."),
}

NEUTRAL = (
    "The lighthouse stands at the end of a narrow strip of land. It was built in stone more than a "
    "hundred years ago, when fishing boats still left the harbour before dawn. Its lamp was first lit "
    "with oil, later with gas, and today it runs on electricity. Visitors can climb the stairs to the "
    "gallery and look out over the bay.",
    "Bread is made from flour, water, salt and yeast. The dough is kneaded until it is smooth, and then "
    "it rests in a warm place until it has doubled in size. It is shaped, left to rise once more, and "
    "baked in a hot oven. The crust becomes brown because sugars and proteins react with each other at "
    "high temperature.",
    "A river begins as a small stream in the hills. Rain and melting snow feed it, and other streams "
    "join it on its way to the sea. Where the land is steep the water runs fast and cuts deep valleys. "
    "On flat land it slows down and leaves behind the sand and mud that it has carried.",
    "The first bridge across the bay was opened in spring. Before that, people had to take a ferry, which "
    "did not run in storms. The bridge is two kilometres long and rests on eleven pillars. Engineers "
    "inspect its cables every year and repaint the steel where the salt of the sea has begun to attack "
    "it.",
    "Bees live together in colonies of many thousands. Most of them are workers, who collect nectar and "
    "pollen, clean the cells and feed the young. A colony has one queen, who lays the eggs. In winter the "
    "bees stay close to each other and keep warm by moving the muscles of their wings.",
    "Paper was once made from rags. They were sorted, cut into pieces and beaten in water until only "
    "fibres were left. A workman dipped a sieve into the vat, lifted it and let the water run off. The "
    "sheet was pressed between layers of felt, hung up to dry, and smoothed with a stone. Today most "
    "paper comes from wood.",
)

CAPITALS = {
    "France": "paris",
    "Italy": "rome",
    "Japan": "tokyo",
    "Spain": "madrid",
    "Germany": "berlin",
    "Egypt": "cairo",
    "Russia": "moscow",
    "China": "beijing",
    "England": "london",
    "Greece": "athens",
    "Portugal": "lisbon",
    "Ireland": "dublin",
    "Austria": "vienna",
    "Poland": "warsaw",
    "Sweden": "stockholm",
    "Norway": "oslo",
    "Denmark": "copenhagen",
    "Finland": "helsinki",
    "Hungary": "budapest",
    "Canada": "ottawa",
    "Cuba": "havana",
    "Mexico": "mexico city",
    "Peru": "lima",
    "India": "new delhi",
    "Turkey": "ankara",
    "Kenya": "nairobi",
    "Thailand": "bangkok",
    "Belgium": "brussels",
    "Australia": "canberra",
    "Argentina": "buenos aires",
}
OPPOSITES = {
    "hot": "cold",
    "up": "down",
    "big": "small|little",
    "day": "night",
    "fast": "slow",
    "happy": "sad|unhappy",
    "old": "young|new",
    "light": "dark|heavy",
    "rich": "poor",
    "wet": "dry",
    "full": "empty",
    "early": "late",
    "open": "closed?|shut",
    "hard": "soft|easy",
    "black": "white",
    "left": "right",
    "strong": "weak",
    "loud": "quiet|soft",
    "win": "lose",
    "love": "hate",
}
PLAIN = {
    "How many days are in a week?": "seven|7",
    "How many legs does a spider have?": "eight|8",
    "How many months are in a year?": "twelve|12",
    "How many minutes are in an hour?": "sixty|60",
    "What colour is the sky on a clear day?": "blue",
    "What colour is grass?": "green",
    "What colour is snow?": "white",
    "What colour are ripe bananas?": "yellow",
    "What do bees make?": "honey",
    "What do cows give us to drink?": "milk",
    "Which planet do we live on?": "earth",
    "Which star is closest to the Earth?": "sun",
    "What is frozen water called?": "ice",
    "What is the largest ocean?": "pacific",
    "What is the largest planet of the solar system?": "jupiter",
    "What is the tallest mountain on Earth?": "everest",
    "What is the chemical symbol for water?": "h2o|h₂o",
    "What is the chemical symbol for gold?": "au",
    "Who wrote Romeo and Juliet?": "shakespeare",
    "Who painted the Mona Lisa?": "leonardo|vinci",
    "Who was the first president of the United States?": "washington",
    "Who developed the theory of relativity?": "einstein",
    "Which animal barks?": "dog",
    "Which animal says meow?": "cat",
    "What is the largest animal on Earth?": "whale",
    "What is the fastest land animal?": "cheetah",
    "What is a baby dog called?": "pupp",
    "What is a baby cat called?": "kitten",
    "What gas do we breathe in to live?": "oxygen|air",
    "What gas do plants take in?": "carbon dioxide|co2",
    "What pumps blood through the body?": "heart",
    "What do we use to see?": "eyes?",
    "What do we use to hear?": "ears?",
    "In which season does it snow?": "winter",
    "Which season comes after winter?": "spring",
    "Which month comes after June?": "july",
    "Which day comes after Monday?": "tuesday",
    "Which month is the first of the year?": "january",
    "What is 2 + 2?": "4|four",
    "What is 3 + 5?": "8|eight",
    "What is 10 - 4?": "6|six",
    "What is 2 times 5?": "10|ten",
    "What language is spoken in Brazil?": "portuguese",
    "What language is spoken in Germany?": "german",
    "What currency is used in Japan?": "yen",
    "What currency is used in the United States?": "dollars?",
    "On which continent is Egypt?": "africa",
    "On which continent is China?": "asia",
    "What is the opposite of north?": "south",
    "How many wheels does a bicycle have?": "two|2",
}


def questions() -> list[tuple[str, str]]:
    made = [(f"What is the capital of {country}?", city) for country, city in CAPITALS.items()]
    made += [(f"What is the opposite of {word}?", answer) for word, answer in OPPOSITES.items()]
    return [*made, *PLAIN.items()]


def perplexities(model: LocalChatModel, steering: Steering) -> tuple[float, float]:
    """Of the neutral texts, read as the reply to a plain request: without and with steering."""
    texts = [model.codec.encode(text) for text in NEUTRAL]
    asked = [[{"role": "user", "content": "Write a short text."}]] * len(texts)
    read = write_all(model, asked, steering, max_tokens=max(map(len, texts)), forced=texts)
    plain = [p for text in read for p in text.base_log_p]
    steered = [p for text in read for p in text.log_p]
    return math.exp(-mean(plain)), math.exp(-mean(steered))


def accuracy(model: LocalChatModel, steering: Steering | None) -> list[bool]:
    asked = questions()
    right = []
    for start in range(0, len(asked), TOGETHER):
        batch = asked[start : start + TOGETHER]
        conversations = [[{"role": "user", "content": question}] for question, _ in batch]
        replies = write_all(model, conversations, steering, max_tokens=16)
        right += [
            bool(re.search(rf"\b({answer})", reply.text.lower()))
            for (_, answer), reply in zip(batch, replies, strict=True)
        ]
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epsilon", type=float, default=DEFAULT_EPSILON)
    parser.add_argument("--traits", default=",".join((*INSTRUCTIONS, *TRAITS)))
    parser.add_argument("--no-questions", dest="questions", action="store_false", help="perplexity only")
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    model = LocalChatModel.open(given.model)
    base = accuracy(model, None) if given.questions else []
    report: dict[str, object] = {"epsilon": given.epsilon}
    if base:
        report |= {"questions": len(base), "base accuracy": mean(base)}
        print(f"base: {sum(base)} of {len(base)} questions right", flush=True)
    for name in given.traits.split(","):
        steering = budgeted(terms_of(name, model), epsilon=given.epsilon)
        plain, steered = perplexities(model, steering)
        result: dict[str, float] = {"base perplexity": plain, "perplexity ratio": steered / plain}
        if base:
            found = accuracy(model, steering)
            result |= {
                "accuracy": mean(found),
                "gained": sum(not a and b for a, b in zip(base, found, strict=True)),
                "lost": sum(a and not b for a, b in zip(base, found, strict=True)),
            }
        report[name] = result
        if not given.json:
            print(f"{name}: {report[name]}", flush=True)
    print(json.dumps(report))


def terms_of(name: str, model: LocalChatModel) -> list[Term]:
    """As the assistant leads: beside rules stands what keeps a reply to the point."""
    if name in INSTRUCTIONS:
        instruction, opposite = INSTRUCTIONS[name]
        return [Term(name=name, reward=attribute(name, instruction, opposite=opposite))]
    return [*trait(name, end_ids=model.codec.end_ids), on_topic()]


if __name__ == "__main__":
    main()
