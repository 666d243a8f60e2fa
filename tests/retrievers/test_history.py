"""The default retriever: neighbours, sessions, units, removal, precomputed vectors."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mnemon.errors import UsageError
from mnemon.retrievers import Document, Query
from mnemon.retrievers.history import HistoryRetriever

START = datetime(2023, 5, 1, 12, tzinfo=UTC)
SESSIONS = {
    "s1": [
        ("Ana", "I adopted a greyhound from the shelter yesterday."),
        ("Ben", "What is the name of the dog?"),
        ("Ana", "Biscuit! He sleeps all day."),
    ],
    "s2": [
        ("Ben", "My sister runs a bakery in Porto."),
        ("Ana", "Lovely. Does she bake rye bread?"),
        ("Ben", "Every Saturday, and cinnamon rolls as well."),
    ],
    "s3": [
        ("Ana", "Work has been exhausting, the audit never ends."),
        ("Ben", "Take a week off and visit the mountains."),
    ],
}


def turns() -> list[Document]:
    return [
        Document(
            id=f"{session}:{place}",
            text=text,
            speaker=speaker,
            session=session,
            position=place,
            time=START + timedelta(days=7 * number, minutes=place),
        )
        for number, (session, lines) in enumerate(SESSIONS.items())
        for place, (speaker, text) in enumerate(lines)
    ]


@pytest.fixture
def history() -> HistoryRetriever:
    retriever = HistoryRetriever()
    retriever.add(turns())
    return retriever


def ids(retriever: HistoryRetriever, text: str, **options: object) -> list[str]:
    return [hit.id for hit in retriever.search(Query(text=text, **options))]  # type: ignore[arg-type]


def test_answer_beside_the_matching_turn_is_found(history: HistoryRetriever) -> None:
    assert "s1:2" in ids(history, "What is the name of Ana's dog?", k=3)


def test_sessions_are_lifted_from_their_turns(history: HistoryRetriever) -> None:
    assert ids(history, "bakery in Porto", units=frozenset({"session"}), k=1) == ["s2"]


def test_before_hides_later_turns(history: HistoryRetriever) -> None:
    found = ids(history, "bakery in Porto", before=START + timedelta(days=1))
    assert {id_.partition(":")[0] for id_ in found} == {"s1"}


def test_removed_turn_is_gone_and_its_neighbours_close_up(history: HistoryRetriever) -> None:
    history.remove(["s1:1", "unknown"])
    assert "s1:1" not in ids(history, "the name of the dog")
    columns = history._rows.columns()
    first, last = history._rows.row_of["s1:0"], history._rows.row_of["s1:2"]
    assert columns.links[1][first] == last
    assert columns.links[-1][last] == first


def test_adding_again_replaces(history: HistoryRetriever) -> None:
    history.add([Document(id="s3:1", text="Buy a bakery", session="s3", position=1)])
    assert len(history) == 8
    assert "s3:1" in ids(history, "bakery", k=2)
    assert "s3:1" not in ids(history, "mountains", k=1)


def test_facts_only_when_asked_for(history: HistoryRetriever) -> None:
    history.add([Document(id="f", text="Ben's sister runs a bakery", unit="fact")])
    assert "f" not in ids(history, "bakery")
    assert ids(history, "bakery", units=frozenset({"fact"})) == ["f"]
    assert "f" in ids(history, "bakery", units=frozenset({"fact", "turn"}), k=2)


def test_turns_added_out_of_order_stand_in_order() -> None:
    retriever = HistoryRetriever()
    for document in reversed(turns()):
        retriever.add([document])
    columns = retriever._rows.columns()
    row_of = retriever._rows.row_of
    assert columns.links[2][row_of["s1:0"]] == row_of["s1:2"]


def test_allowed_and_k(history: HistoryRetriever) -> None:
    assert ids(history, "bakery", allowed=["s3:0"]) == ["s3:0"]
    assert ids(history, "bakery", k=0) == []
    assert ids(history, "", k=100) != []


def test_wrong_number_of_vectors_is_refused() -> None:
    with pytest.raises(UsageError, match="vectors"):
        HistoryRetriever().add(turns(), [np.zeros((1, 4), np.float32)])


def test_many_removals_rebuild_and_keep_answers() -> None:
    retriever = HistoryRetriever()
    retriever.add(
        [Document(id=f"x{n}", text=f"filler number {n}", session="x", position=n) for n in range(600)]
    )
    retriever.add(turns())
    retriever.remove([f"x{n}" for n in range(600)])
    assert len(retriever) == len(retriever._rows) == 8
    assert ids(retriever, "bakery in Porto", k=1) == ["s2:0"]


def plans() -> HistoryRetriever:
    """Said in May, June and July; the June one tells of a day in July."""
    said = [
        (5, "We planted the vegetables today."),
        (6, "Next month we will visit the gallery."),
        (7, "We bought bread."),
        (7, "The vegetables are growing."),
    ]
    retriever = HistoryRetriever()
    retriever.add(
        [
            Document(
                id=f"p{place}", text=text, session=f"m{month}", time=datetime(2023, month, 20, tzinfo=UTC)
            )
            for place, (month, text) in enumerate(said)
        ]
    )
    return retriever


NOVEMBER = datetime(2023, 11, 1, tzinfo=UTC)


def test_a_time_that_is_named_is_a_filter_over_when_it_was_said_and_what_it_tells_of() -> None:
    hits = plans().search(Query(text="What did we do in July 2023?", time=NOVEMBER))
    assert {hit.id for hit in hits} == {"p1", "p2", "p3"}
    assert all(hit.why["time"] == "told of 'July 2023'" for hit in hits)
    told = {hit.id: hit.why.get("told_time", 0.0) for hit in hits}
    assert told == {"p1": 1.0, "p2": 0.0, "p3": 0.0}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What did we do before June 2023?", {"p0"}),
        ("What was bought since July 2023?", {"p1", "p2", "p3"}),
        ("Where could we go in July?", {"p0", "p1", "p2", "p3"}),  # asks for a plan, not for what was
        ("What did we do last summer?", {"p0", "p1", "p2", "p3"}),  # no calendar: a feature, no filter
    ],
)
def test_which_times_filter(text: str, found: set[str]) -> None:
    assert set(ids(plans(), text, time=NOVEMBER)) == found


def test_when_nothing_is_known_of_a_time_all_times_are_searched_and_it_is_said() -> None:
    hits = plans().search(Query(text="What did we do in March 2021?", time=NOVEMBER))
    assert {hit.id for hit in hits} == {"p0", "p1", "p2", "p3"}
    assert hits[0].why["time"] == "nothing is known of 'March 2021': searched at all times"


def test_a_session_says_which_turn_spoke_for_it(history: HistoryRetriever) -> None:
    (best, *_) = history.search(
        Query(text="What is the name of Ana's dog?", units=frozenset({"session"}), time=START)
    )
    assert (best.id, best.unit) == ("s1", "session")
    assert str(best.why["best_turn"]).startswith("s1:")
    assert best.why["score"] == best.score


def test_a_turn_added_after_a_search_is_found_with_its_neighbours(history: HistoryRetriever) -> None:
    ids(history, "bread")
    history.add(
        [
            Document(
                id="s3:2", text="The mountains? Gladly.", speaker="Ana", session="s3", position=2, time=START
            )
        ]
    )
    (hit, *_) = history.search(Query(text="Gladly to the mountains", k=1))
    assert hit.id == "s3:2"
    assert hit.why["lex_before"] > 0  # Ben's turn about mountains stands before it
