"""Statements joined by a model: what its evidence does not say is dropped, and nothing is lost."""

import json
from collections.abc import Mapping, Sequence

import pytest

from mnemon.memory import Memory, Quote
from mnemon.profiles import ModelProfiler, Statement, profile_of
from mnemon.profiles.summary import condense, supported


def statement(text: str, key: str = "f-1", sensitive: str = "") -> Statement:
    return Statement(
        section="people", text=text, key=key, quotes=(Quote(f"e-{key}", text, 0),), sensitive=sensitive
    )


INES = statement("The user's sister is called Ines.", "f-1")
CATS = statement("The user has a pet: two cats.", "f-2")
ILL = statement("Ines is ill.", "f-3", sensitive="health")


class Model:
    """Answers what it is given, and keeps what it was asked."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        json_schema: Mapping[str, object] | None = None,
        max_tokens: int = 512,
    ) -> str:
        assert json_schema is not None
        self.asked.append(messages[-1]["content"])
        answer = self._answers.pop(0)
        return answer if isinstance(answer, str) else json.dumps({"statements": answer})


def test_a_supported_sentence_stands_for_its_statements() -> None:
    model = Model([{"text": "The user has two cats and a sister called Ines.", "from": [1, 2]}])
    (joined,) = condense(model, "people", [INES, CATS])
    assert joined.source == "model"
    assert joined.quotes == (*INES.quotes, *CATS.quotes)
    assert set(joined.evidence) == {"f-1", "f-2"}
    assert model.asked == ["1. The user's sister is called Ines.\n2. The user has a pet: two cats."]


@pytest.mark.parametrize(
    "text",
    [
        "The user's sister is called Maria.",
        "The user has three brothers and 2 houses.",
        "The user is not close to Ines.",
        "Ines works as a dentist in a large hospital.",
        "The user has 3 cats.",
    ],
)
def test_an_unsupported_sentence_is_dropped_and_its_statements_stay(text: str) -> None:
    assert not supported(text, [INES, CATS])
    assert condense(Model([{"text": text, "from": [1, 2]}]), "people", [INES, CATS]) == [INES, CATS]


@pytest.mark.parametrize(
    "answer", ["no JSON", '{"a": 1}', '{"statements": [{"text": 1}]}', [{"text": "x", "from": [9]}]]
)
def test_an_answer_that_cannot_be_read_changes_nothing(answer: object) -> None:
    assert condense(Model(answer), "people", [INES, CATS]) == [INES, CATS]


def test_what_is_sensitive_is_not_shown_to_the_model() -> None:
    model = Model([{"text": "The user has two cats and a sister called Ines.", "from": [1, 2]}])
    found = condense(model, "people", [INES, CATS, ILL])
    assert ILL in found
    assert "ill" not in model.asked[0].split()


def test_one_statement_is_not_worth_asking() -> None:
    assert condense(Model(), "people", [INES]) == [INES]


def test_only_sections_that_changed_are_asked_about() -> None:
    joined = [{"text": "The user prefers tea over coffee and likes jazz.", "from": [1, 2]}]
    again = [{"text": "The user likes jazz and opera.", "from": [1, 2]}]
    model = Model(joined, again)
    with Memory.open(":memory:", embedder=None, profiler=ModelProfiler(model)) as memory:
        ana = memory.for_user("ana")
        ana.remember(["I prefer tea over coffee.", "I love jazz."], session="s1")
        assert [one.text for one in profile_of(ana).statements] == [joined[0]["text"]]
        ana.remember("My name is Ana.", session="s2")
        assert joined[0]["text"] in str(profile_of(ana))
        assert len(model.asked) == 1
        ana.remember("I love opera.", session="s3")
        assert "opera" in str(profile_of(ana))
        assert len(model.asked) == 2


def test_forgetting_reaches_what_a_model_wrote() -> None:
    model = Model([{"text": "The user prefers tea over coffee and likes jazz.", "from": [1, 2]}])
    with Memory.open(":memory:", embedder=None, profiler=ModelProfiler(model)) as memory:
        ana = memory.for_user("ana")
        ana.remember(["I prefer tea over coffee.", "I love jazz."], session="s1")
        ana.refresh_profile()
        ana.forget(next(one.id for one in ana.facts() if "jazz" in one.text))
        assert ana.profiles() == []
        assert [one.text for one in profile_of(ana).statements] == ["The user prefers tea over coffee."]
