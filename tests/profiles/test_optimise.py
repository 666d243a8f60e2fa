"""A persona fitted by a model's likelihood: found where it explains choices, left alone where it does not."""

from collections.abc import Mapping, Sequence

import pytest

from mnemon.errors import UsageError
from mnemon.profiles import Persona, TraitBank
from mnemon.profiles.optimise import Choice, loss, optimised

LOUD = [Choice(f"Question {n}?", "Great idea! Do it!", "It is a good idea. Do it.") for n in range(8)]


class Obedient:
    """Finds a reply likelier when it does what it was told: exclaim, or not."""

    def __init__(self) -> None:
        self.calls = 0

    def log_likelihood(
        self, messages: Sequence[Mapping[str, str]], continuations: Sequence[str]
    ) -> list[float]:
        self.calls += 1
        told = messages[0]["content"] if messages[0]["role"] == "system" else ""
        wanted = 1.0 if "energy!" in told else -1.0 if "calm and reserved" in told else 0.0
        return [(wanted * text.count("!") - 10.0) * len(text.split()) for text in continuations]


def test_it_finds_the_trait_that_explains_the_choices() -> None:
    found = optimised(Persona(name="me"), LOUD, Obedient(), rounds=8)
    enthusiastic = found.persona.get("enthusiastic")
    assert enthusiastic is not None
    assert enthusiastic.weight == 1
    assert found.after < found.before


def test_choices_the_other_way_want_the_opposite() -> None:
    quiet = [Choice(one.prompt, one.rejected, one.chosen) for one in LOUD]
    enthusiastic = optimised(Persona(), quiet, Obedient(), rounds=8).persona.get("enthusiastic")
    assert enthusiastic is not None
    assert enthusiastic.weight == -1


def test_what_helps_the_fitting_half_alone_is_not_kept() -> None:
    mixed = [
        Choice(one.prompt, one.rejected, one.chosen) if place % 2 else one for place, one in enumerate(LOUD)
    ]
    found = optimised(Persona(), mixed, Obedient(), rounds=8)
    assert found.persona == Persona()
    assert found.before == found.after


def test_too_few_choices_are_refused() -> None:
    with pytest.raises(UsageError, match="4 are needed"):
        optimised(Persona(), LOUD[:3], Obedient())


def test_no_difference_is_a_loss_of_log_two() -> None:
    assert loss(Persona(), LOUD, Obedient(), bank=TraitBank.load()) == pytest.approx(0.6931, abs=1e-3)
