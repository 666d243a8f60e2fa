"""Taking an export in: conversations of any reader become turns of a person, some hundred a transaction.

A turn's id is made of its own words, time and session, so that a second run writes nothing and a run that was
killed is gone on with by running it again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mnemon.errors import DataError, UsageError
from mnemon.memory.importers import chatgpt, claude, jsonl, markdown, whatsapp
from mnemon.memory.importers.conversation import MOST_UNREADABLE, Conversation, Message, Options
from mnemon.memory.person import Person

AT_ONCE = 500  # messages in one transaction, at least; a conversation is never cut

Reader = Callable[[Path, Options], Iterator[Conversation]]

READERS: Mapping[str, Reader] = {
    "chatgpt": chatgpt.read,
    "claude": claude.read,
    "jsonl": jsonl.read,
    "markdown": markdown.read,
    "whatsapp": whatsapp.read,
}


@dataclass(kw_only=True)
class Report:
    """What an import did, or would do."""

    kind: str
    dry_run: bool
    conversations: int = 0
    messages: int = 0  # read
    written: int = 0  # of them, what was not there before
    skipped: Counter[str] = field(default_factory=Counter)  # reason → how often
    unreadable: list[str] = field(default_factory=list)  # the first few, each with its place
    first: datetime | None = None
    last: datetime | None = None

    @property
    def known(self) -> int:
        return self.messages - self.written


def import_from(
    person: Person, kind: str, path: str | Path, *, options: Options | None = None, dry_run: bool = False
) -> Report:
    """Read an export of this kind and remember what it holds. A dry run reads all and writes nothing."""
    reader = READERS.get(kind)
    if reader is None:
        raise UsageError(f"{kind!r} cannot be imported.", hint=f"Known are {', '.join(READERS)}.")
    report = Report(kind=kind, dry_run=dry_run)
    for batch in _batches(_counted(reader(Path(path), options or Options()), report)):
        new = len(person.would_remember(batch))
        if new and not dry_run:
            person.remember(batch)
        report.written += new
    if not report.messages and report.unreadable:
        raise DataError(
            f"Nothing in {str(path)!r} can be imported as {kind}: {report.unreadable[0]}.",
            hint=f"Is it an export of another kind? Known are {', '.join(READERS)}.",
        )
    return report


def _counted(found: Iterable[Conversation], report: Report) -> Iterator[Conversation]:
    for conversation in found:
        report.skipped += conversation.skipped
        if conversation.unreadable:
            report.skipped["conversation that cannot be read"] += 1
            if len(report.unreadable) < MOST_UNREADABLE:
                report.unreadable.append(conversation.unreadable)
        if not conversation.messages:
            continue
        report.conversations += 1
        report.messages += len(conversation.messages)
        times: list[datetime] = [message["time"] for message in conversation.messages]
        report.first = min(times if report.first is None else [report.first, *times])
        report.last = max(times if report.last is None else [report.last, *times])
        yield conversation


def _batches(found: Iterable[Conversation]) -> Iterator[list[Message]]:
    """Messages of whole conversations: equal ones are told apart by their number in their batch."""
    batch: list[Message] = []
    for conversation in found:
        batch += conversation.messages
        if len(batch) >= AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
