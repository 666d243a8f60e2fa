"""The trait bank: what ships is whole, files are read strictly, a wrong name says which ones are near."""

from pathlib import Path

import pytest

from mnemon.errors import DataError, UsageError
from mnemon.profiles import TraitBank
from mnemon.profiles.measures import MEASURES

OWN = """
[[trait]]
name = "pirate"
instruction = "Talk like a pirate."
opposite = "Do not talk like a pirate."
asks = ['\\bpirate\\b']
"""


class TestShipped:
    def test_there_are_at_least_24_and_each_says_both_sides(self) -> None:
        bank = TraitBank.load()
        assert len(bank) >= 24
        assert all(trait.instruction != trait.opposite for trait in bank.values())

    def test_most_are_counted_by_a_measure_that_exists(self) -> None:
        named = [trait.measure for trait in TraitBank.load().values() if trait.measure]
        assert len(named) >= 24
        assert set(named) <= set(MEASURES)

    @pytest.mark.parametrize("trait", TraitBank.load().values(), ids=lambda trait: trait.name)
    def test_no_expression_asks_for_and_refuses_the_same_words(self, trait: object) -> None:
        asks, refuses = trait.asks, trait.refuses  # type: ignore[attr-defined]
        assert asks, "a person can ask for it"
        assert not {one.pattern for one in asks} & {one.pattern for one in refuses}


def test_an_unknown_name_says_which_are_near() -> None:
    with pytest.raises(UsageError, match="no trait 'concice'") as caught:
        TraitBank.load()["concice"]
    assert "concise" in str(caught.value)
    assert TraitBank.load().get("concice") is None


def test_a_file_of_ones_own_adds_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN + OWN.replace("pirate", "concise"))
    bank = TraitBank.load(path)
    assert bank["pirate"].instruction == "Talk like a pirate."
    assert bank["concise"].instruction == "Talk like a concise."
    assert len(bank) == len(TraitBank.load()) + 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = 3", r"expected \[\[trait\]\]"),
        ("[[trait]]\nname = 'x'", "has no instruction"),
        (OWN + OWN, "pirate more than once"),
        (OWN + "instructoin = 'x'", "did you mean instruction"),
        (OWN + "measure = 'word'", "did you mean words"),
        (OWN + "steering = ['magic']", "steered by 'magic'"),
        (OWN + "steering = ['lexicon']", "has no words"),
        (OWN + "refuses = ['(']", "no regular expression"),
        (OWN + "mirrors = 1", "expected true or false"),
        (OWN.replace("pirate", "A Pirate", 1), "small letters"),
        ("[[", "no TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=f"(?i){complaint}"):
        TraitBank.load(path)
