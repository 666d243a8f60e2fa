"""Time expressions: "last spring", "two weeks ago", "in May 2023" → the span they mean from a given now.

Deterministic: the same text and now give the same span. Patterns of our own come first; `dateparser` is asked
only when the text shows a date that they do not know, because its search is slow. Knows no document.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mnemon.errors import UsageError

MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}  # first month, northern
COUNTS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "couple of": 2, "three": 3, "a few": 3, "few": 3,
    "four": 4, "several": 5, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12,
}  # fmt: skip
HOLIDAYS = {  # name → (month, day) on which it falls, or about
    "christmas eve": (12, 24), "christmas": (12, 25), "new year's eve": (12, 31), "new year's": (1, 1),
    "halloween": (10, 31), "valentine's day": (2, 14), "independence day": (7, 4), "fourth of july": (7, 4),
    "thanksgiving": (11, 25), "easter": (4, 10), "st. patrick's day": (3, 17),
}  # fmt: skip
UNIT_DAYS = {"day": 1, "night": 1, "week": 7, "weekend": 7, "fortnight": 14, "month": 30, "year": 365}

_MONTH_NAMES = "|".join(
    [*(m for m in MONTHS if m != "may"), *(rf"{m[:3]}\b" for m in MONTHS if m != "may"), r"sept\b"]
)
# "may" is a month only where a calendar stands next to it: "in May", "May 5th", "7 May", "May 2023".
_MONTH = (
    rf"(?:{_MONTH_NAMES}|"
    r"(?:(?<=in )|(?<=of )|(?<=last )|(?<=since )|(?<=\d )|(?<=th )|(?<=st ))may|may(?=\W+\d))"
)
_SEASON = "|".join(SEASONS)
_HOLIDAY = "|".join(map(re.escape, HOLIDAYS))
_COUNT = rf"(?:\d{{1,3}}|{'|'.join(sorted(COUNTS, key=len, reverse=True))})"
_SIGN = re.compile(
    rf"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|this (?:week|month|year|morning|{_SEASON})|"
    rf"(?:{'|'.join(DAYS)})s?|{_MONTH}|(?:in|last|this|next) (?:{_SEASON})|(?:19|20)\d\d|"
    rf"\d{{1,2}}(?:st|nd|rd|th)|\d{{1,2}}[/.]\d{{1,2}}[/.]\d|{_HOLIDAY}|weekend|recently|the other day)\b",
    re.I,
)
_EVENT = re.compile(
    r"\b(before|after|since|until|when|while)\s+(?:(?:i|we|he|she|they|my|the|his|her|their)\b)", re.I
)


@dataclass(frozen=True)
class TimeSpan:
    """From `start` (in) to `end` (out). `explicit` where the text names a calendar date, month or year, or
    counts back to one ("two weeks ago")."""

    start: datetime
    end: datetime
    explicit: bool
    text: str

    def contains(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def told_within(self) -> tuple[float, float]:
        """When it was probably spoken of, in seconds since 1970: people tell of a day for days."""
        return self.start.timestamp() - DAY, self.end.timestamp() + TOLD_AFTER * DAY


EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
DAY = 86_400.0
TOLD_AFTER = 7  # days


def mentions_time(text: str) -> bool:
    """Whether the text shows a date, a weekday or a relative expression."""
    return _SIGN.search(text) is not None


def relative_to_event(text: str) -> str | None:
    """ "before I moved" → "before": the text dates itself by an event, which no calendar knows."""
    found = _EVENT.search(text)
    return found.group(1).lower() if found else None


def resolve_time(text: str, now: datetime) -> TimeSpan | None:
    """The first span of time that the text speaks of, or None. `now` must be timezone-aware."""
    if now.tzinfo is None:
        raise UsageError(
            f"The time {now!r} has no time zone, so expressions cannot be resolved against it.",
            hint="Give an aware time: datetime(..., tzinfo=timezone.utc).",
        )
    if _SIGN.search(text) is None:
        return None
    return _bounded(text, now) or _first(text, now)


_BACK = re.compile(
    r"\b(?:did|was|were|had|has|have|been|happened|said|told|mentioned|went|talked|spoke|discussed)\b", re.I
)


def looks_back(text: str, span: TimeSpan, now: datetime | None) -> bool:
    """Whether the text asks what was in that time: "what did I do in May", not "where could we go in May"."""
    return (now is None or span.start <= now) and "?" in text and _BACK.search(text) is not None


def told_time(text: str, said: datetime) -> TimeSpan | None:
    """The first day, month or other unit that a turn speaks of, seen from when it was said."""
    return _first(text, said) if _SIGN.search(text) else None


def _bounded(text: str, now: datetime) -> TimeSpan | None:
    """ "before 2022", "since March", "between May and July 2023": spans with one end or two."""
    if (both := _BETWEEN.search(text)) is not None:
        until = _first(both["until"], now)
        start = _first(both["start"] or both["begin"], now if until is None else until.end)
        if start is not None and until is not None and start.start < until.end:
            return TimeSpan(start.start, until.end, start.explicit and until.explicit, both.group())
    side = _SIDE.search(text)
    if side is None:
        return None
    rest = text[side.end() :]
    span = _first(rest, now)
    if span is None or not rest.lower().startswith(span.text.lower().strip()):
        return None
    words, word = f"{side.group()}{span.text}", side["side"].lower()
    if word in ("before", "prior to"):
        unit = _UNIT_AT_END.search(text[: side.start()])
        first = EARLIEST if unit is None else span.start - timedelta(days=UNIT_DAYS[unit["unit"].lower()])
        return replace(span, start=first, end=span.start, text=words)
    if word in ("until", "till", "up to"):
        return replace(span, start=EARLIEST, text=words)
    later = span.start if word == "since" else span.end
    return replace(span, start=later, end=max(now + timedelta(days=1), later), text=words)


def _first(text: str, now: datetime) -> TimeSpan | None:
    if (span := _ask_dateparser(text, now)) is not None:
        return span
    for pattern, read in _READERS:
        found = pattern.search(text)
        if found is not None and (span := read(found, now)) is not None:
            return span
    return None


# -- readers: a match and now → a span, or None where the words do not make a date


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _span(start: datetime, days: int, text: str, *, explicit: bool) -> TimeSpan:
    return TimeSpan(_day(start), _day(start) + timedelta(days=days), explicit, text)


def _month_number(name: str) -> int:
    return next(number for number, month in enumerate(MONTHS, start=1) if month.startswith(name.lower()[:3]))


def _month_span(
    year: int, month: int, now: datetime, text: str, *, explicit: bool, months: int = 1
) -> TimeSpan:
    start = now.replace(year=year, month=month, day=1)
    after = month - 1 + months
    end = now.replace(year=year + after // 12, month=after % 12 + 1, day=1)
    return TimeSpan(_day(start), _day(end), explicit, text)


def _date(year: int, month: int, day: int, now: datetime, text: str) -> TimeSpan | None:
    try:
        return _span(now.replace(year=year, month=month, day=day), 1, text, explicit=True)
    except ValueError:  # the 31st of June
        return None


def _latest_year(month: int, day: int, now: datetime) -> int:
    """The year of the latest such date that is not after now."""
    return now.year if (month, day) <= (now.month, now.day) else now.year - 1


def _iso(found: re.Match[str], now: datetime) -> TimeSpan | None:
    year, month, day = map(int, found.groups())
    return _date(year, month, day, now, found.group()) if 1 <= month <= 12 else None


def _day_of_month(found: re.Match[str], now: datetime) -> TimeSpan | None:
    parts = found.groupdict()
    month = _month_number(parts["month"])
    day = int(parts["day"])
    year = int(parts["year"]) if parts["year"] else _latest_year(month, day, now)
    return _date(year, month, day, now, found.group())


def _month_of_year(found: re.Match[str], now: datetime) -> TimeSpan:
    month = _month_number(found["month"])
    year = int(found["year"]) if found["year"] else _latest_year(month, 1, now)
    return _month_span(year, month, now, found.group(), explicit=True)


def _season(found: re.Match[str], now: datetime) -> TimeSpan:
    first = SEASONS[found["season"].lower()]
    if found["year"]:
        return _month_span(int(found["year"]), first, now, found.group(), explicit=True, months=3)
    year = _latest_year(first, 1, now)
    running = (now.month - first) % 12 < 3
    if (found["which"] or "").lower() == "last" and running:
        year -= 1
    return _month_span(year, first, now, found.group(), explicit=False, months=3)


def _holiday(found: re.Match[str], now: datetime) -> TimeSpan:
    month, day = HOLIDAYS[found["holiday"].lower()]
    year = int(found["year"]) if found["year"] else _latest_year(month, day, now)
    start = now.replace(year=year, month=month, day=day) - timedelta(days=7)
    return _span(start, 15, found.group(), explicit=False)  # people speak of it for days


def _ago(found: re.Match[str], now: datetime) -> TimeSpan | None:
    word, unit = found["count"].lower(), found["unit"].lower()
    count = int(word) if word.isdigit() else COUNTS[word]
    days = UNIT_DAYS[unit] * count
    if days > 365 * 150:
        return None
    slack = max(UNIT_DAYS[unit] // 2, 0) if unit != "day" else min(count // 5, 3)
    middle = now - timedelta(days=days)
    return _span(middle - timedelta(days=slack), 2 * slack + 1, found.group(), explicit=True)


def _calendar_unit(found: re.Match[str], now: datetime) -> TimeSpan:
    step = {"last": -1, "past": -1, "this": 0, "next": 1}[found["which"].lower()]
    unit, text = found["unit"].lower(), found.group()
    if unit == "year":
        return _month_span(now.year + step, 1, now, text, explicit=False, months=12)
    if unit == "month":
        number = now.year * 12 + now.month - 1 + step
        return _month_span(number // 12, number % 12 + 1, now, text, explicit=False)
    monday = now - timedelta(days=now.weekday()) + timedelta(days=7 * step)
    if unit == "weekend":
        return _span(monday + timedelta(days=5), 2, text, explicit=False)
    return _span(monday, 7, text, explicit=False)


def _weekday(found: re.Match[str], now: datetime) -> TimeSpan:
    wanted = DAYS.index(found["day"].lower())
    ahead = (found["which"] or "").lower() == "next"
    back = (now.weekday() - wanted) % 7 or 7
    shift = timedelta(days=7 - back) if ahead else timedelta(days=-back)
    if ahead and shift.days == 0:
        shift = timedelta(days=7)
    return _span(now + shift, 1, found.group(), explicit=False)


def _relative_day(found: re.Match[str], now: datetime) -> TimeSpan:
    shift = {"day before yesterday": -2, "yesterday": -1, "last night": -1, "tomorrow": 1}.get(
        found.group().lower().removeprefix("the "), 0
    )
    return _span(now + timedelta(days=shift), 1, found.group(), explicit=False)


def _recently(found: re.Match[str], now: datetime) -> TimeSpan:
    return TimeSpan(_day(now) - timedelta(days=14), _day(now) + timedelta(days=1), False, found.group())


def _year(found: re.Match[str], now: datetime) -> TimeSpan:
    return _month_span(int(found["year"]), 1, now, found.group(), explicit=True, months=12)


_SIDE = re.compile(r"\b(?P<side>before|prior to|after|since|until|till|up to) (?:the )?", re.I)
_UNIT_AT_END = re.compile(r"\b(?:last|the) (?P<unit>day|night|weekend|week|month|year) $", re.I)
_BETWEEN = re.compile(
    r"\b(?:between (?P<start>[^?.!]{3,30}?) and|from (?P<begin>[^?.!]{3,30}?) (?:to|until|till))"
    r" (?P<until>[^?.!]{3,30})",
    re.I,
)
_Y = r"(?P<year>(?:19|20)\d\d)"
_D = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_M = rf"(?P<month>{_MONTH})\w*"
_READERS: list[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], TimeSpan | None]]] = [
    (re.compile(pattern, re.I), reader)
    for pattern, reader in (
        (r"\b((?:19|20)\d\d)-(\d{1,2})-(\d{1,2})\b", _iso),
        (rf"\b{_D} (?:of )?{_M}(?:,? (?:of )?{_Y})?\b", _day_of_month),
        (rf"\b{_M}\.? (?:the )?{_D}\b(?!\d|:|\s*[ap]m)(?:,? {_Y})?", _day_of_month),
        (rf"\b{_M}\.?,? (?:of )?{_Y}\b", _month_of_year),
        (rf"\b(?:(?P<which>last|this|past|in|during|early|late) (?:the )?)?"
         rf"(?P<season>{_SEASON})(?: of)? {_Y}\b", _season),
        (rf"\b(?P<which>last|this|past|in|during|since)(?: the)? (?P<season>{_SEASON})\b(?P<year>)", _season),
        (rf"\b(?:last |this )?(?P<holiday>{_HOLIDAY})\b(?: (?:of |in )?{_Y})?", _holiday),
        (rf"\b(?P<count>{_COUNT}) (?P<unit>day|night|week|weekend|fortnight|month|year)s? "
         r"(?:ago|back|earlier)\b", _ago),
        (r"\b(?:the )?day before yesterday\b|\byesterday\b|\blast night\b|"
         r"\btoday\b|\btonight\b|\btomorrow\b", _relative_day),
        (r"\b(?P<which>last|past|this|next) (?P<unit>weekend|week|month|year)\b", _calendar_unit),
        (rf"\b(?:(?P<which>last|this|next|on) )?(?P<day>{'|'.join(DAYS)})\b", _weekday),
        (rf"\b(?:last |in |this |since |during |of )?{_M}\b(?P<year>)", _month_of_year),
        (r"\b(?:recently|lately|the other day)\b", _recently),
        (rf"\b{_Y}\b", _year),
    )
]  # fmt: skip
_DATE_LIKE = re.compile(r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")


def _ask_dateparser(text: str, now: datetime) -> TimeSpan | None:
    found = _DATE_LIKE.search(text)
    if found is None:
        return None
    import dateparser  # 80 ms to import: only when a text needs it

    settings = {"RELATIVE_BASE": now.replace(tzinfo=None), "PREFER_DATES_FROM": "past"}
    parsed = dateparser.parse(found.group(), settings=settings)
    if parsed is None:
        return None
    return _span(parsed.replace(tzinfo=now.tzinfo), 1, found.group(), explicit=True)
