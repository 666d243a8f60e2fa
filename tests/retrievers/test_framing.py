"""A question without its frame."""

import pytest

from mnemon.retrievers.entities import mentions
from mnemon.retrievers.framing import subject

ROLES = ["user", "assistant"]


@pytest.mark.parametrize(
    ("text", "about"),
    [
        (
            "Can you list the order in which I brought up my garden across our conversations, in order?",
            "my garden",
        ),
        ("Give me a summary of the move to Porto.", "Give me the move to Porto"),
        ("Could you remind me about the vet's advice?", "the vet's advice"),
        ("Where does my sister live?", "Where does my sister live?"),  # one text, embedded once
        ("please?", "please?"),  # nothing else is left
        ("", ""),
    ],
)
def test_subject(text: str, about: str) -> None:
    assert subject(text) == about


@pytest.mark.parametrize(
    ("text", "speakers"),
    [
        ("Can you tell me where I parked?", {"user"}),
        ("What would you recommend me?", {"user"}),
        ("What did you recommend when I asked about tents?", {"assistant"}),
        ("Was your advice on my back any good?", {"assistant"}),
        ("Which tents are light?", set()),
    ],
)
def test_whose_words_a_question_is_about(text: str, speakers: set[str]) -> None:
    assert mentions(text, ROLES).speakers == speakers
