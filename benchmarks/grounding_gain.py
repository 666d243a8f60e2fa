"""Does contrasting with and without the memories make the model say what it was told?

    python benchmarks/grounding_gain.py [--memories 1,3,6] [--facts all] [--against others] [--lam 1] [--json]
    python benchmarks/grounding_gain.py --locomo LOCOMO.json [--choices 10] [--out rows.jsonl]

Without --locomo: fifty facts of a made-up person, four ways to ask for each, right when the reply contains
the answer. They are written for this file. λ = 1 and plausibility 0.1 were fixed on twelve others; what the
prompt is contrasted with, on the facts at even places. Those at odd places are for reporting.

With --locomo: questions of its categories 1 to 4, as many from each conversation, drawn by --seed, without
those that --but-seed draws. In context is what `Memory.recall` gives, whether it holds the evidence or not;
the prompt is `mnemon eval`'s. Scores are the official F1, and the share of the answer's parts that the reply
contains word by word. With --choices the answer stands among those to other questions of its conversation,
of its category as far as there are enough, and what the model finds likeliest by token is its choice.

--against says what the prompt is contrasted with. "others" is as in the assistant: from three memories on,
all but the best, by the retriever's score (our own: by cosine), and a question for nothing in particular;
fewer are contrasted with none. "nothing" is that for any number.

Prints both forms' means, the difference with a 95 % interval (bootstrap over facts or conversations, because
questions about one are not independent) and the p of a permutation test over the same. Rows that --out
already holds are not run again.
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from answer_choices import Answered, chosen_right, read_choices, wrong_answers
from many_replies import SteeringFor, mean, write_all

from mnemon.agent import LocalChatModel, Message, apart_from_the_best
from mnemon.agent.decoding import Branch, Steering, grounding
from mnemon.evals import Case, Context, Opening
from mnemon.evals.locomo import LoCoMo
from mnemon.evals.metrics import locomo as official
from mnemon.evals.reader import ModelReader
from mnemon.evals.stats import paired_test
from mnemon.evals.systems import Equipment, open_system
from mnemon.retrievers import CachedEmbedder, SentenceEmbedder
from mnemon.retrievers.embedding_cache import SqliteCache
from mnemon.settings import load_settings

TOGETHER = 25  # replies in one batch
READ_TOGETHER = 5  # questions whose choices are one batch
TOKENS = 24
HELPER = "You are a helpful assistant."
ASKING = ("{q}", "Remind me: {q}", "I forgot something. {q}", "{q} Answer in one short sentence.")

Row = dict[str, Any]
Against = Literal["others", "nothing"]
Steered = Callable[[Sequence["Asked"]], SteeringFor | None]


class Asked(NamedTuple):
    """One question with what was found for it; `scores` says what a reply is worth."""

    id: str
    cluster: str  # questions about one fact or conversation are not independent
    told: list[Message]
    against: list[Message]  # the same with fewer memories or none
    scores: Callable[[str], dict[str, float]]
    evidence: bool = True  # whether what answers it is among the memories
    choices: tuple[str, ...] = ()  # the right one first


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


def told(memories: Sequence[str]) -> str:
    return HELPER + " The user told you:\n" + "\n".join(f"- {memory}" for memory in memories)


def own_questions(facts: str, memories: int, against: Against) -> list[Asked]:
    dice, embedder = random.Random(0), SentenceEmbedder()
    vectors = dict(
        zip((f.memory for f in FACTS), embedder.embed_texts([f.memory for f in FACTS]), strict=True)
    )
    made = []
    for place, fact_ in enumerate(FACTS):
        for way, asking in enumerate(ASKING):
            known = [fact_.memory, *dice.sample([f.memory for f in FACTS if f is not fact_], memories - 1)]
            dice.shuffle(known)
            if facts != "all" and place % 2 != ("even", "odd").index(facts):
                continue
            question = asking.format(q=fact_.question)
            wanted = embedder.embed_queries([question])[0]
            best = max(known, key=lambda memory: float(vectors[memory] @ wanted))
            is_best = None if against == "nothing" else best.__eq__
            rest, put = apart_from_the_best(known, is_best, question)
            asked = Asked(
                id=f"{place}/{way}",
                cluster=f"fact {place}",
                told=conversation(told(known), question),
                against=conversation(told(rest) if rest else HELPER, put),
                scores=says(fact_.answers),
            )
            made.append(asked)
    return made


def says(answers: Sequence[str]) -> Callable[[str], dict[str, float]]:
    def scores(reply: str) -> dict[str, float]:
        return {"right": float(any(re.search(rf"\b{answer}", reply.lower()) for answer in answers))}

    return scores


class LoCoMoQuestions:
    """A fixed sample of LoCoMo's questions, with what memory recalls for each."""

    def __init__(
        self,
        file: Path,
        count: int,
        *,
        seed: int,
        but_seed: int | None,
        choices: int,
        model: LocalChatModel,
        against: Against,
    ) -> None:
        by_conversation: dict[str, list[Case]] = {}
        for case in LoCoMo(Opening(path=file, mode="qa")).cases():
            if case.headline:  # categories 1 to 4
                by_conversation.setdefault(case.cluster, []).append(case)
        each = -(-count // len(by_conversation))
        self._cases = drawn(by_conversation, each, seed, but_seed)
        self._wrong = max(0, choices - 1)
        self._known = {
            name: [Answered(case.id, case.gold.kind, case.gold.answers[0]) for case in cases]
            for name, cases in by_conversation.items()
        }
        self._against = against
        self._reader = ModelReader(model=model, context_tokens=1500, count=model.count_tokens)

    def asked(self, depths: Sequence[int]) -> dict[int, list[Asked]]:
        """By number of memories. Each conversation is told to memory once."""
        cache = SqliteCache(load_settings().home / "cache" / "eval-embeddings.sqlite")
        system = open_system("mnemon", Equipment(embedder=lambda: CachedEmbedder(SentenceEmbedder(), cache)))
        found: dict[int, list[Asked]] = {k: [] for k in depths}
        for cases in self._cases.values():
            history = cases[0].history
            system.begin(history.id, units=("turn",))
            system.ingest(history.sessions)
            for k in depths:
                for case in cases:
                    hits = system.recall(case.question, k=k)
                    found[k].append(self._put(case, [hit.id for hit in hits]))
        system.close()
        return found

    def _put(self, case: Case, recalled: Sequence[str]) -> Asked:
        turns = [turn for session in case.history.sessions for turn in session.turns]
        context = Context(tuple(turn for turn in turns if turn.id in recalled), tuple(recalled))
        if self._against == "nothing":
            against = self._reader.messages(case.question, Context(()))
        else:
            against = self._reader.ungrounded(case.question, context)
        right = Answered(case.id, case.gold.kind, case.gold.answers[0])
        wrong = wrong_answers(self._known[case.cluster], right, count=self._wrong)
        return Asked(
            id=case.id,
            cluster=case.cluster,
            told=self._reader.messages(case.question, context),
            against=against,
            scores=agrees(case.gold.answers[0], int(case.gold.kind)),
            evidence=set(official.clean_evidence(case.gold.ids)) <= set(recalled),
            choices=(right.answer, *wrong),
        )


def drawn(
    by_conversation: Mapping[str, Sequence[Case]], each: int, seed: int, but_seed: int | None
) -> dict[str, list[Case]]:
    """As many of each conversation, less those that the other seed draws."""

    def draw(seed: int) -> dict[str, list[Case]]:
        dice = random.Random(seed)
        return {name: dice.sample(cases, min(each, len(cases))) for name, cases in by_conversation.items()}

    others = {} if but_seed is None else draw(but_seed)
    return {
        name: [case for case in cases if case not in others.get(name, [])]
        for name, cases in draw(seed).items()
    }


def agrees(answer: str, category: int) -> Callable[[str], dict[str, float]]:
    wanted = answer.split(";")[0] if category == 3 else answer  # as the official F1 has it
    parts = [f" {official.normalise(part)} " for part in wanted.split(",")]

    def scores(reply: str) -> dict[str, float]:
        said = f" {official.normalise(reply)} "
        return {
            "F1": official.answer_score(reply, answer, category=category),
            "contains": mean([float(part in said) for part in parts]),
        }

    return scores


class Led(NamedTuple):
    """What the replies are led by."""

    against: Against
    lam: float
    epsilon: float | None

    @property
    def name(self) -> str:
        return f"{self.against}, " + (f"λ = {self.lam}" if self.epsilon is None else f"ε = {self.epsilon}")


def contrast(batch: Sequence[Asked], lam: float, epsilon: float | None) -> SteeringFor:
    def steering(place: int) -> Steering:
        against = Branch(name="against", messages=tuple(batch[place].against))
        return grounding(against, lam=lam, epsilon=epsilon)

    return steering


class Rows:
    """Replies by name, kept in a file so that a run that was cut short can go on."""

    def __init__(self, file: Path | None, model: LocalChatModel) -> None:
        self._file, self._model = file, model
        lines = file.read_text(encoding="utf-8").splitlines() if file is not None and file.exists() else []
        self._known: dict[str, Row] = {row["name"]: row for row in map(json.loads, lines)}

    def replies(self, asked: Sequence[Asked], form: str, steered: Steered) -> list[Row]:
        for batch in self._missing(asked, form, TOGETHER):
            replies = write_all(self._model, [one.told for one in batch], steered(batch), max_tokens=TOKENS)
            for one, reply in zip(batch, replies, strict=True):
                self._keep(f"{form}/{one.id}", {"reply": reply.text.strip(), "kl": mean(reply.kl)})
        return [self._known[f"{form}/{one.id}"] for one in asked]

    def choices(
        self, asked: Sequence[Asked], form: str, steered: Callable[[Sequence[Asked]], SteeringFor]
    ) -> list[Row]:
        """Log-probabilities of the tokens of each choice."""
        for batch in self._missing(asked, form, READ_TOGETHER):
            offered = [one.choices for one in batch]
            read = read_choices(self._model, [one.told for one in batch], steered(batch), offered)
            for one, each in zip(batch, read, strict=True):
                row = {
                    "plain": [choice.base_log_p for choice in each],
                    "grounded": [choice.log_p for choice in each],
                    "kl": mean([kl for choice in each for kl in choice.kl]),
                }
                self._keep(f"{form}/{one.id}", row)
        return [self._known[f"{form}/{one.id}"] for one in asked]

    def _missing(self, asked: Sequence[Asked], form: str, size: int) -> Iterator[Sequence[Asked]]:
        missing = [one for one in asked if f"{form}/{one.id}" not in self._known]
        return (missing[start : start + size] for start in range(0, len(missing), size))

    def _keep(self, name: str, row: Row) -> None:
        self._known[name] = row
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, **row}, ensure_ascii=False) + "\n")


Scores = Sequence[Mapping[str, float]]  # of each question


_AMONG = {"all": {True, False}, "evidence in context": {True}, "evidence not in context": {False}}


def compared(asked: Sequence[Asked], plain: Scores, grounded: Scores) -> list[Row]:
    """One line for each score, over all questions and over those whose evidence is in context, or is not."""
    lines: list[Row] = []
    for among, evidence in _AMONG.items():
        places = [i for i, one in enumerate(asked) if one.evidence in evidence]
        if not places or (among != "all" and len(places) == len(asked)):
            continue
        for score in plain[0]:
            first, second = ([form[i][score] for i in places] for form in (plain, grounded))
            test = paired_test(first, second, [asked[i].cluster for i in places])
            lines.append({"questions": among, "score": score, **test._asdict()})
    return lines


def measured(rows: Rows, asked: Sequence[Asked], form: str, led: Led, *, choices: bool) -> Iterator[Row]:
    """Of replies, or of choices."""
    name = f"{form}/{led.name}"

    def steered(batch: Sequence[Asked]) -> SteeringFor:
        return contrast(batch, led.lam, led.epsilon)

    if choices:
        read = rows.choices(asked, f"choices of {name}", steered)
        plain, grounded = ([chosen_right(row[way]) for row in read] for way in ("plain", "grounded"))
        kl = mean([row["kl"] for row in read])
    else:
        both = rows.replies(asked, f"{form}/plain", lambda _: None), rows.replies(asked, name, steered)
        plain, grounded = (
            [one.scores(row["reply"]) for one, row in zip(asked, written, strict=True)] for written in both
        )
        kl = mean([row["kl"] for row in both[1]])
    for line in compared(asked, plain, grounded):
        yield {**line, "kl per token": kl}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memories", default="1,3,6", help="how many are in context; several with commas")
    parser.add_argument("--facts", choices=("even", "odd", "all"), default="all", help="of our own")
    parser.add_argument("--against", choices=("others", "nothing"), default="others")
    parser.add_argument("--locomo", type=Path, help="LoCoMo's file, to ask its questions instead of our own")
    parser.add_argument("--questions", type=int, default=200, help="of LoCoMo's")
    parser.add_argument("--seed", type=int, default=0, help="draws LoCoMo's questions")
    parser.add_argument("--but-seed", type=int, help="leaves out what this seed draws")
    parser.add_argument(
        "--choices", type=int, default=0, help="so many answers to choose from, the right one among them"
    )
    parser.add_argument("--lam", type=float, default=1.0)
    parser.add_argument("--epsilon", type=float, default=None, help="a divergence budget instead of --lam")
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, help="where replies are kept, and taken from")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.choices and given.locomo is None:
        parser.error("--choices: only LoCoMo's questions have answers to choose from; give --locomo")
    model = LocalChatModel.open(given.model)
    depths = [int(k) for k in given.memories.split(",")]
    if given.locomo is None:
        asked = {k: own_questions(given.facts, k, given.against) for k in depths}
    else:
        asked = LoCoMoQuestions(
            given.locomo,
            given.questions,
            seed=given.seed,
            but_seed=given.but_seed,
            choices=given.choices,
            model=model,
            against=given.against,
        ).asked(depths)
    rows, source = Rows(given.out, model), "own" if given.locomo is None else "locomo"
    led = Led(given.against, given.lam, given.epsilon)
    for k in depths:
        for choices in (False, True) if given.choices else (False,):
            for line in measured(rows, asked[k], f"{source}/{k}", led, choices=choices):
                line = {"memories": k, **line}
                print(json.dumps(line) if given.json else shown(line), flush=True)


def shown(line: Row) -> str:
    gain = line["difference"]
    within = "" if gain.low is None else f" [{gain.low:+.3f}, {gain.high:+.3f}]"  # one cluster has none
    return (
        f"{line['memories']} memories, {line['questions']} ({line['n']}), {line['score']}: "
        f"plain {line['first']:.3f}, grounded {line['second']:.3f} "
        f"({gain.value:+.3f}{within}, +{line['wins']} −{line['losses']}, "
        f"p = {line['p_cluster']:.2g} by {line['clusters']} clusters, {line['p_item']:.2g} by question; "
        f"KL {line['kl per token']:.2f} nats per token)"
    )


if __name__ == "__main__":
    main()
