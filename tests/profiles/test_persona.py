"""Personas: edited without being changed, saved and read back equal, joined from levels, never leaking."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.errors import DataError, UsageError
from mnemon.profiles import Leaning, Persona, TraitBank
from mnemon.profiles.library import Library
from mnemon.profiles.persona_file import from_dict, persona_schema, to_dict

NAMES = sorted(TraitBank.load())


def leanings() -> st.SearchStrategy[Leaning]:
    return st.builds(
        Leaning,
        trait=st.sampled_from(NAMES),
        weight=st.floats(-1, 1),
        confidence=st.floats(0, 1),
        when=st.sampled_from(["", "code", "my thesis"]),
        origin=st.sampled_from(["hand", "said", "style", "choices", "shared"]),
        evidence=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple),
        quote=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
        since=st.none() | st.datetimes(timezones=st.just(UTC)),
    )


personas = st.lists(leanings(), max_size=6, unique_by=lambda one: one.key).map(
    lambda found: Persona(name="ana", leanings=tuple(found))
)


@given(personas)
def test_what_is_written_is_read_back_equal(persona: Persona) -> None:
    assert from_dict(to_dict(persona)) == persona


@pytest.mark.parametrize("ending", ["toml", "json"])
@given(persona=personas)
def test_files_too(tmp_path_factory: pytest.TempPathFactory, ending: str, persona: Persona) -> None:
    persona = replace(persona, leanings=tuple(replace(one, evidence=("e-1",)) for one in persona.leanings))
    path = persona.save(tmp_path_factory.mktemp("p") / f"ana.{ending}")
    assert Persona.load(path) == persona


class TestEditing:
    def test_an_edit_is_a_new_persona(self) -> None:
        before = Persona().leaning("concise", 0.5)
        after = before.leaning("concise", -0.5).leaning("formal", 1, when="Code")
        assert before.get("concise") != after.get("concise")
        assert [str(one) for one in after.leanings] == ["concise -0.50", "formal +1.00 when code"]
        assert after.without("formal", when="code").without("concise") == replace(after, leanings=())

    def test_the_diff_shows_the_largest_change_first(self) -> None:
        before = Persona().leaning("concise", 0.5).leaning("formal", 0.1)
        after = before.leaning("concise", -0.5).without("formal").leaning("emoji", 0.3).under("team")
        shown = str(before.diff(after)).splitlines()
        assert shown == ["~ concise +0.50 → -0.50", "+ emoji +0.30", "- formal +0.10", "parents: none → team"]
        assert not before.diff(before)

    def test_merging_keeps_what_was_set_by_hand(self) -> None:
        said = Persona(leanings=(Leaning(trait="concise", weight=-1, origin="said", confidence=1),))
        hand = Persona(leanings=(Leaning(trait="concise", weight=0.2, confidence=0.1),), parents=("team",))
        assert said.merge(hand).get("concise") == hand.merge(said).get("concise") == hand.leanings[0]
        assert said.merge(hand).parents == ("team",)

    @pytest.mark.parametrize(("weight", "confidence"), [(1.1, 1), (float("nan"), 1), (0, -0.1)])
    def test_bounds(self, weight: float, confidence: float) -> None:
        with pytest.raises(UsageError, match="expected"):
            Leaning(trait="concise", weight=weight, confidence=confidence)

    def test_a_trait_that_is_none_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no trait 'shrot'"):
            Persona().leaning("shrot", 1)


class TestLevels:
    team = Persona(name="team").leaning("concise", -1).leaning("emoji", 1)

    def test_a_nearer_level_counts_by_its_confidence(self) -> None:
        own = Persona(leanings=(Leaning(trait="concise", weight=1, confidence=0.75, origin="said"),))
        found = own.under("team").resolved({"team": self.team})
        concise, emoji = found.get("concise"), found.get("emoji")
        assert concise is not None
        assert emoji is not None
        assert (concise.weight, concise.confidence, concise.level) == (0.5, 1.0, "user")
        assert (emoji.weight, emoji.level) == (1, "persona")
        assert found.parents == ()

    def test_everybody_is_the_last_level(self) -> None:
        found = Persona().resolved(everybody=Persona().leaning("warm", 0.5))
        assert [one.level for one in found.leanings] == ["global"]

    def test_grandparents_count_and_circles_do_not_end(self) -> None:
        mid = Persona(name="mid").under("team")
        assert Persona().under("mid").resolved({"mid": mid, "team": self.team}).get("emoji")
        with pytest.raises(UsageError, match="parents of each other"):
            Persona().under("mid").resolved({"mid": mid, "team": self.team.under("mid")})

    def test_a_missing_parent_says_what_there_is(self) -> None:
        with pytest.raises(UsageError, match="'taem'") as caught:
            Persona().under("taem").resolved({"team": self.team})
        assert "team" in str(caught.value)

    def test_parents_must_be_joined_before_use(self) -> None:
        with pytest.raises(UsageError, match="parents"):
            Persona().under("team").plan("hello")


class TestSharing:
    def test_what_is_shared_quotes_nobody(self, tmp_path: Path) -> None:
        said = Leaning(
            trait="concise",
            weight=1,
            origin="said",
            evidence=("e-secret",),
            quote="my secret illness makes me tired",
            since=datetime(2024, 1, 1, tzinfo=UTC),
        )
        library = Library(tmp_path)
        path = library.put(Persona(name="team", leanings=(said,)))
        assert "secret" not in path.read_text()
        assert library.get("team").leanings[0].weight == 1
        assert library.names() == ["team"]

    def test_names_are_file_names(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="small letters"):
            Library(tmp_path).put(Persona(name="../x"))


class TestFiles:
    @pytest.mark.parametrize(
        ("data", "complaint"),
        [
            ([], "expected a table"),
            ({"nmae": "x"}, "'nmae', which means nothing"),
            ({"leanings": [{"trait": "concise"}]}, "weight is missing"),
            ({"leanings": [{"trait": "concise", "weight": 2}]}, "expected −1 to 1"),
            ({"leanings": [{"trait": "concise", "weight": 1, "wen": "x"}]}, "'wen'"),
            ({"leanings": [{"trait": "concise", "weight": 1}] * 2}, "twice"),
            ({"leanings": 3}, "leanings"),
        ],
    )
    def test_what_is_wrong_is_named(self, data: object, complaint: str) -> None:
        with pytest.raises(DataError, match=complaint):
            from_dict(data)

    def test_the_schema_knows_every_field_and_no_other(self) -> None:
        schema = persona_schema()
        assert schema["additionalProperties"] is False
        assert set(schema["$defs"]["Leaning"]["properties"]) >= {"trait", "weight", "confidence", "when"}

    def test_other_endings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"\.toml or \.json"):
            Persona().save(tmp_path / "a.yaml")
