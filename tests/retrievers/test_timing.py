"""Time expressions against calendars worked by hand. Now is Friday, 14 July 2023."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mnemon.errors import UsageError
from mnemon.retrievers.timing import mentions_time, relative_to_event, resolve_time

NOW = datetime(2023, 7, 14, 12, tzinfo=UTC)

SPANS = [
    ("in May 2023", "2023-05-01", "2023-06-01", True),
    ("What happened on May 5th?", "2023-05-05", "2023-05-06", True),
    ("7 May 2023", "2023-05-07", "2023-05-08", True),
    ("on 2022-12-31", "2022-12-31", "2023-01-01", True),
    ("December 3", "2022-12-03", "2022-12-04", True),
    ("in June", "2023-06-01", "2023-07-01", True),
    ("back in August", "2022-08-01", "2022-09-01", True),
    ("in 2021", "2021-01-01", "2022-01-01", True),
    ("last spring", "2023-03-01", "2023-06-01", False),
    ("last summer", "2022-06-01", "2022-09-01", False),
    ("this summer", "2023-06-01", "2023-09-01", False),
    ("winter 2022", "2022-12-01", "2023-03-01", True),
    ("two weeks ago", "2023-06-27", "2023-07-04", True),
    ("before 2022", "1-01-02", "2022-01-01", True),
    ("until May 2023", "1-01-02", "2023-06-01", True),
    ("since March", "2023-03-01", "2023-07-15", True),
    ("after 5 May 2023", "2023-05-06", "2023-07-15", True),
    ("the week before April 10, 2023", "2023-04-03", "2023-04-10", True),
    ("between August 11 and August 15 2022", "2022-08-11", "2022-08-16", True),
    ("in sept. 2022", "2022-09-01", "2022-10-01", True),
    ("yesterday", "2023-07-13", "2023-07-14", False),
    ("the day before yesterday", "2023-07-12", "2023-07-13", False),
    ("last Tuesday", "2023-07-11", "2023-07-12", False),
    ("last Friday", "2023-07-07", "2023-07-08", False),
    ("last weekend", "2023-07-08", "2023-07-10", False),
    ("last year", "2022-01-01", "2023-01-01", False),
    ("last month", "2023-06-01", "2023-07-01", False),
    ("around Christmas", "2022-12-18", "2023-01-02", False),
    ("on 31.12.2022 we left", "2022-12-31", "2023-01-01", True),
]


@pytest.mark.parametrize(("text", "start", "end", "explicit"), SPANS)
def test_span(text: str, start: str, end: str, explicit: bool) -> None:
    span = resolve_time(text, NOW)
    assert span is not None
    assert (f"{span.start:%Y-%m-%d}", f"{span.end:%Y-%m-%d}", span.explicit) == (start, end, explicit)


@pytest.mark.parametrize(
    "text",
    [
        "What may happen",
        "I met 20 people",
        "before I moved",
        "",
        "She marched on",
        "spring onions",
        "Maria",
        "from Anna to Ben",
    ],
)
def test_no_span(text: str) -> None:
    assert resolve_time(text, NOW) is None


def test_impossible_day_is_no_error() -> None:
    span = resolve_time("June 31st", NOW)
    assert span is None or span.start.month == 6


def test_span_keeps_the_time_zone() -> None:
    zone = timezone(timedelta(hours=9))
    span = resolve_time("yesterday", NOW.astimezone(zone))
    assert span is not None
    assert span.start == datetime(2023, 7, 13, tzinfo=zone)
    assert span.contains(datetime(2023, 7, 13, 23, tzinfo=zone))
    assert not span.contains(span.end)


def test_leap_day_has_no_trap() -> None:
    leap = datetime(2024, 2, 29, tzinfo=UTC)
    for text in ("last year", "a year ago", "in February", "last Christmas", "in 2023", "Feb 29"):
        assert resolve_time(text, leap) is not None


def test_now_must_know_its_zone() -> None:
    with pytest.raises(UsageError, match="time zone"):
        resolve_time("yesterday", datetime(2023, 1, 1))


def test_events_and_signs() -> None:
    assert relative_to_event("Where did we live before I moved?") == "before"
    assert relative_to_event("Where do we live?") is None
    assert mentions_time("We met on Sunday")
    assert not mentions_time("We met for tea")
