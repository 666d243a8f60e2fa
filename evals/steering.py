"""Steering: does a reply take the form that the person asked for once, and is it still good text?

The data is a JSON list of everyday prompts, [{"index": 0, "question": ...}], as AMULET's personal prompts.
What the person said of themselves (`--variant`) is the history: a control without memory never heard it,
a prompt alone can pass it on, `--grounding` steers by it token by token. No judge: every form is a rule that
can be read off the reply, and repetition is measured beside it: steering that is too strong shows there.

A rule measures form, never whether the answer is right. Read `adherence` with `words`, `distinct_2` and
`rep-4`: short nonsense obeys "be brief".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from mnemon.evals.benchmark import Benchmark, Scores, answer_of
from mnemon.evals.loading import Node, find_file, read_json
from mnemon.evals.metrics import generation
from mnemon.evals.prompting import prompt
from mnemon.evals.seams import Case, Gold, History, Judge, Outcome, Question, Session, Turn
from mnemon.profiles import measure_text

BRIEF = 25  # words
PLAIN, LEARNED = 4.5, 6.5  # mean letters in a word: of a children's book, of a law


class Form(NamedTuple):
    """What a person said of the replies they like, and how a reply is held to it."""

    said: str
    adherence: Callable[[str], float]  # 0 to 1
    rule: str


def _brief(reply: str) -> float:
    words = measure_text(reply)["words"]
    return 0.0 if not words else min(1.0, BRIEF / words)


def _list(reply: str) -> float:
    return measure_text(reply)["list_lines"]


def _asking(reply: str) -> float:
    return measure_text(reply)["ends_asking"]


def _plain(reply: str) -> float:
    mean = measure_text(reply)["letters_per_word"]
    return min(1.0, max(0.0, (LEARNED - mean) / (LEARNED - PLAIN))) if mean else 0.0


FORMS: Mapping[str, Form] = {
    "brief": Form(
        "I like very short answers: one sentence, no more.",
        _brief,
        f"1 up to {BRIEF} words, then {BRIEF}/words",
    ),
    "list": Form(
        "I like answers as lists, one point on each line.",
        _list,
        "share of lines that are items, if two or more",
    ),
    "asking": Form(
        "I like it when you end every answer with a question to me.", _asking, "1 if the reply ends with ?"
    ),
    "plain": Form(
        "I like short, plain words, as for a child of ten.",
        _plain,
        f"mean letters in a word, 1 at {PLAIN}, 0 at {LEARNED}",
    ),
}


class Steering(Benchmark):
    name = "steering"
    about = "everyday prompts after one stated wish on the form of replies; judge-free"
    modes = frozenset({"qa"})
    prompts = ("steering",)
    variants = tuple(FORMS)

    def read(self) -> Iterator[Case]:
        file = find_file(self.opening.path, "*prompts*.json", what="prompts file")
        self.files = (file,)
        for place, node in enumerate(read_json(file).some_items()):
            yield from self._bad.read(node.named(f"prompt {place}"), self._case)

    def _case(self, node: Node) -> Case:
        name = node["index"].scalar()
        said = FORMS[self.variant].said
        wish = Turn(
            id="s1_1", session="s1", position=0, role="user", speaker="the user", text=said, document=said
        )
        return Case(
            id=f"{self.variant}/{name}",
            history=History(id=f"{self.variant}-{name}", sessions=(Session(id="s1", turns=(wish,)),)),
            visible=1,
            question=Question(
                text=node["question"].some_text().strip(), instructions=prompt("steering"), max_tokens=96
            ),
            gold=Gold(kind=self.variant, answers=(FORMS[self.variant].rule,)),
            groups=(self.variant, "all"),
            cluster=name,
        )

    def metrics(self, case: Case, outcome: Outcome, judge: Judge | None) -> Scores:  # noqa: ARG002  judge-free
        reply = answer_of(outcome).text
        words = measure_text(reply)["words"]
        scores = Scores({"adherence": FORMS[case.gold.kind].adherence(reply), "words": words}, {}, {})
        if words > 1:
            scores.metrics["distinct_2"] = generation.distinct([reply], 2)
        if words > 3:
            scores.metrics["rep-4"] = generation.repetition([reply], 4)  # percent; lower is better
        return scores
