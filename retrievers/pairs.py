"""Training data for the ranker: histories with questions whose evidence is known.

Two sources by file: RealMem (Apache-2.0: its memory points name the turn they were taken from), and
JSON lines of one history each, `{"name", "documents": [...], "examples": [{"text", "gold": [ids], "time"}]}`,
which is also how a person's own feedback can be exported. Statements become questions by rule: a wh-word,
and the statement with a part left out, so that a question shares some words with its evidence and never all.
Knows no ranking.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mnemon.errors import DataError
from mnemon.retrievers.seams import Document
from mnemon.retrievers.text import Tokenizer
from mnemon.retrievers.timing import mentions_time
from mnemon.retrievers.windows import pieces


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question, the ids of its evidence turns, and when it is asked. `before` hides what came later."""

    text: str
    gold: tuple[str, ...]
    time: datetime | None = None
    before: datetime | None = None
    sessions: tuple[str, ...] = ()  # sessions that hold evidence, where the source says so
    weight: float = 1.0  # how many questions it counts for in training


class History(NamedTuple):
    name: str
    documents: list[Document]
    examples: list[Example]


def load_histories(path: Path, *, seed: int = 0) -> Iterator[History]:
    """Histories of a file or of every `*.json` and `*.jsonl` in a folder."""
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in found if file.suffix in (".json", ".jsonl")]
    if not files:
        raise DataError(
            f"{str(path)!r} holds no training data; expected RealMem's *.json or *.jsonl histories."
        )
    for file in files:
        try:
            if file.suffix == ".jsonl":
                with file.open(encoding="utf-8") as lines:
                    yield from (_read(json.loads(line)) for line in lines if line.strip())
            else:
                person = json.loads(file.read_text(encoding="utf-8"))
                yield from realmem_histories(person, seed=seed)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{str(file)!r} cannot be read as training data: {error!r}.") from error


def checksum(path: Path) -> str:
    """The first digits of the SHA-256 of a file, or of all training files of a folder in order of name."""
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in found:
        if file.suffix in (".json", ".jsonl"):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(record: Mapping[str, Any]) -> History:
    def when(text: str | None) -> datetime | None:
        moment = None if text is None else datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment

    documents = [Document(**{**item, "time": when(item.get("time"))}) for item in record["documents"]]
    examples = [
        Example(text=item["text"], gold=tuple(item["gold"]), time=when(item.get("time")))
        for item in record["examples"]
    ]
    return History(record["name"], documents, examples)


# -- RealMem

SUBSETS = ((30, 50, 80), (25, 40, 60))  # sessions per sampled history: as written; as a chat of short turns
SHORT = 200  # characters of a short turn
_KIND = re.compile(r"\s*【([^】]*)】")
_MARKUP = re.compile(r"【[^】]*】|\*+|`|#+ ")
_USER = re.compile(r"\b(?:[Tt]he )?[Uu]ser('s)?\b")
_FRIENDS = ("Nora", "Tom", "Priya", "Marco", "Elif", "Joan", "Pedro", "Lena", "Omar", "Grace")
_WH = ("What did", "What does", "What is", "Which", "How did", "What kind of", "What")
_SENTENCE = re.compile(r"(?<=[.!?])\s|;|\n")


class _Turn(NamedTuple):
    session: str
    position: int
    speaker: str
    text: str
    time: datetime


class _Point(NamedTuple):
    """A memory point: what was said, where, and by which statement it was noted."""

    statement: str
    session: str
    position: int
    theme: str  # project and kind of memory: points of one theme answer one broad question


def realmem_histories(person: Mapping[str, Any], *, seed: int = 0) -> Iterator[History]:
    """Eleven histories of one person: three as written; three as a chat of short turns between two names;
    the whole of it with the queries that were really asked, each seeing only the sessions before its own; two
    with wishes laid among the talk; two with broad questions and questions of who said what."""
    name = str(person["_metadata"]["person_name"]).split("_")[0]
    turns, points = _turns_and_points(person["dialogues"])
    rng = random.Random(f"{seed} {name}")
    sessions = sorted({turn.session for turn in turns})
    for kind, sizes in enumerate(SUBSETS):
        for number, size in enumerate(sizes):
            chosen = set(rng.sample(sessions, min(size, len(sessions))))
            part = [turn for turn in turns if turn.session in chosen]
            noted = [point for point in points if point.session in chosen]
            build = (_as_written, _as_chat)[kind]
            yield build(f"{name}-{kind}{number}", name, part, noted, rng)
    yield _as_asked(f"{name}-asked", person["dialogues"], turns)
    from mnemon.retrievers.wishes import with_wishes  # which knows this module's histories

    for number, size in enumerate((25, 60)):
        chosen = set(rng.sample(sessions, min(size, len(sessions))))
        talk = _documents([turn for turn in turns if turn.session in chosen])
        yield with_wishes(f"{name}-2{number}", talk, rng)
    for number, size in enumerate((30, 60)):
        chosen = set(rng.sample(sessions, min(size, len(sessions))))
        part = [turn for turn in turns if turn.session in chosen]
        noted = [point for point in points if point.session in chosen]
        yield _as_themes(f"{name}-3{number}", part, noted, rng)


def _turns_and_points(dialogues: Sequence[Mapping[str, Any]]) -> tuple[list[_Turn], list[_Point]]:
    turns: list[_Turn] = []
    points: list[_Point] = []
    for dialogue in dialogues:
        session = str(dialogue["session_uuid"])
        start = datetime.strptime(dialogue["current_time"][:10], "%Y-%m-%d").replace(hour=8, tzinfo=UTC)
        said = [str(turn["content"]) for turn in dialogue["dialogue_turns"]]
        for position, turn in enumerate(dialogue["dialogue_turns"]):
            time = start + timedelta(seconds=30 * position)
            turns.append(_Turn(session, position, str(turn["speaker"]), said[position], time))
        place = {text.strip(): position for position, text in reversed(list(enumerate(said)))}
        for memory in dialogue["extracted_memory"]:
            # `source_turn` counts from one or from zero; the quoted snapshot is certain.
            position = place.get(str(memory["source_content_snapshot"]).strip(), -1)
            if position >= 0:
                content = str(memory["content"])
                project = str(memory["index"]).partition("-")[0].partition(":")[0]
                kind = _KIND.match(content)
                theme = f"{project} {kind.group(1) if kind else ''}"
                points.append(_Point(_plain(content), session, position, theme))
    return turns, points


def _as_written(name: str, _: str, turns: list[_Turn], points: list[_Point], rng: random.Random) -> History:
    documents = _documents(turns)
    now = max(turn.time for turn in turns) + timedelta(days=1)
    examples = [
        Example(text=_first_person(text), gold=(f"{point.session}:{point.position}",), time=now)
        for point in points
        if (text := as_question(point.statement, "USER", rng)) is not None
    ]
    return History(name, documents, examples)


def _documents(turns: Sequence[_Turn]) -> list[Document]:
    return [
        Document(
            id=f"{turn.session}:{turn.position}", text=turn.text, speaker=turn.speaker,
            session=turn.session, position=turn.position, time=turn.time,
        )
        for turn in turns
    ]  # fmt: skip


def _as_themes(name: str, turns: list[_Turn], points: list[_Point], rng: random.Random) -> History:
    """Broad questions, whose evidence is every turn of one theme; and who said what."""
    said_by = {(turn.session, turn.position): turn.speaker for turn in turns}
    by_theme: dict[str, list[_Point]] = {}
    for point in points:
        by_theme.setdefault(point.theme, []).append(point)
    now = max(turn.time for turn in turns) + timedelta(days=1)
    examples: list[Example] = []
    for theme, theirs in sorted(by_theme.items()):
        for pattern, by in _BROAD:
            kept = [p for p in theirs if by is None or said_by[p.session, p.position] == by]
            gold = sorted({f"{p.session}:{p.position}" for p in kept})
            if not 2 <= len(gold) <= 14:
                continue
            shown = rng.sample(kept, min(3, len(kept)))
            parts = [" ".join(_about(p.statement, rng)) for p in shown]
            name_ = re.sub(r"[_\d]+", " ", theme).strip().lower()
            text = pattern.format(theme=name_, a=parts[0], b=parts[1 % len(parts)], c=parts[-1])
            examples.append(Example(text=text, gold=tuple(gold), time=now))
    for point in points:
        by = said_by[point.session, point.position]
        text = " ".join(_about(point.statement, rng, least=4))
        pattern = rng.choice(_OF_USER if by == "User" else _OF_ASSISTANT)
        turn = f"{point.session}:{point.position}"
        examples.append(Example(text=pattern.format(text), gold=(turn,), time=now))
    return History(name, _documents(turns), examples)


_BROAD = (
    ("Give me an overview of all we said about {theme}, from {a} to {b}.", None),
    ("How did my plans for {theme} change over time, {a}, {b} and {c} included?", "User"),
    ("In which order did I speak of {a}, {b} and {c}?", "User"),
    ("How many different things did I tell you about {a}?", "User"),
)
_OF_USER = ("What did I say about {}?", "Have I ever told you of {}?", "When did I mention {}?", "Do I {}?")
_OF_ASSISTANT = ("What did you suggest about {}?", "How did you explain {}?", "What was your advice on {}?")


def _about(statement: str, rng: random.Random, *, least: int = 2) -> list[str]:
    """Some neighbouring words of a statement, without the user."""
    words = [w for w in _USER.sub("", _SENTENCE.split(statement)[0]).rstrip(".").split() if w]
    count = min(len(words), rng.randint(least, least + 4))
    at = rng.randrange(0, max(len(words) - count, 0) + 1)
    return words[at : at + count] or ["it"]


def _as_asked(name: str, dialogues: Sequence[Mapping[str, Any]], turns: list[_Turn]) -> History:
    """The real queries: the reply to each names the sessions that it used."""
    start: dict[str, datetime] = {}
    for turn in turns:
        start.setdefault(turn.session, turn.time)
    examples: list[Example] = []
    for dialogue in dialogues:
        said, session = dialogue["dialogue_turns"], str(dialogue["session_uuid"])
        for turn, reply in pairwise(said):
            if not turn.get("is_query"):
                continue
            now = start[session]
            earlier = {uuid for uuid in reply.get("memory_session_uuids") or () if start.get(uuid, now) < now}
            if earlier:
                examples.append(
                    Example(
                        text=str(turn["content"]), gold=(), time=now, before=now,
                        sessions=tuple(sorted(earlier)),
                    )
                )  # fmt: skip
    return History(name, _documents(turns), examples)


def _as_chat(name: str, user: str, turns: list[_Turn], points: list[_Point], rng: random.Random) -> History:
    """Short turns of two named speakers: of long messages their ends, and what a question asks for."""
    friend = rng.choice(_FRIENDS)
    tokenize = Tokenizer("english")
    noted: dict[tuple[str, int], list[_Point]] = {}
    for point in points:
        noted.setdefault((point.session, point.position), []).append(point)
    documents: list[Document] = []
    examples: list[Example] = []
    now = max(turn.time for turn in turns) + timedelta(days=1)
    count: dict[str, int] = {}
    for turn in turns:
        parts = pieces(_MARKUP.sub("", turn.text), SHORT)
        theirs = noted.get((turn.session, turn.position), [])
        bags = [set(tokenize(part)) for part in parts]
        place = {point: _closest(set(tokenize(point.statement)), bags) for point in theirs}
        kept = set(range(len(parts))) if turn.speaker == "User" else {0, len(parts) - 1}
        for part in sorted(kept | set(place.values())):
            position = count.get(turn.session, 0)
            count[turn.session] = position + 1
            id_ = f"{turn.session}:{position}"
            speaker = user if turn.speaker == "User" else friend
            documents.append(
                Document(
                    id=id_, text=parts[part], speaker=speaker, session=turn.session, position=position,
                    time=turn.time + timedelta(seconds=part),
                )
            )  # fmt: skip
            for point, where in place.items():
                if where == part and (text := as_question(point.statement, user, rng)) is not None:
                    examples.append(Example(text=text, gold=(id_,), time=now))
    return History(name, documents, examples)


def _closest(statement: set[str], bags: Sequence[set[str]]) -> int:
    return max(
        range(len(bags)), key=lambda place: len(statement & bags[place]) / (len(bags[place]) ** 0.5 + 1)
    )


def _plain(statement: str) -> str:
    return re.sub(r"\s+", " ", _MARKUP.sub("", statement)).strip()


def as_question(statement: str, name: str, rng: random.Random) -> str | None:
    """A question that the statement answers, more or less grammatical; None if there is too little to ask."""
    first = _SENTENCE.split(statement)[0]
    words = _USER.sub(lambda found: name + (found.group(1) or ""), first).rstrip(".").split()[:26]
    if len(words) < 4:
        return None
    count = max(2, int(len(words) * rng.uniform(0.35, 0.75)))
    at = 0 if rng.random() < 0.65 else rng.randrange(0, len(words) - count + 1)
    kept, gone = words[at : at + count], " ".join(words[:at] + words[at + count :])
    if rng.random() < 0.4 and len(kept) > 4:  # who asks again has forgotten some of the words
        kept = [word for word in kept if rng.random() > 0.25]
    text = " ".join(kept)
    if name in " ".join(words) and name not in text and rng.random() < 0.8:
        text = f"{name} {text}"
    return f"{_asking_for(gone, rng)} {text}?"


def _asking_for(gone: str, rng: random.Random) -> str:
    if mentions_time(gone) and rng.random() < 0.7:
        return "When did"
    if re.search(r"\d|\b(?:two|three|four|five)\b", gone) and rng.random() < 0.5:
        return "How many"
    if re.search(r"\b(?:in|at|to) [A-Z]", gone) and rng.random() < 0.5:
        return "Where did"
    if re.search(r"\b(?:because|due to|so that|to avoid|in order)\b", gone) and rng.random() < 0.6:
        return "Why did"
    return rng.choice(_WH)


def _first_person(text: str) -> str:
    verbs = {"does": "do", "did": "did", "is": "am"}
    text = text.replace("USER's", "my")
    text = re.sub(
        r"\b(What|How|When|Where|Why) (does|did|is) USER\b",
        lambda found: f"{found.group(1)} {verbs[found.group(2)]} I",
        text,
    )
    return text.replace("USER", "I")
