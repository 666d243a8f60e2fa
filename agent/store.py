"""LangGraph's `BaseStore` over mnemon's memory: what graphs keep across threads lies in the person's own
rows, is found by words and meaning, and goes when the person is erased.

Types of LangGraph's store stay in this module. Whose an item is follows from the store (`user=`) or from one
label of each namespace (`user_at=`); nothing can ask across persons.
"""

import asyncio
import copy
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    get_text_at_path,
    validate_op_namespace,
)

from mnemon.errors import UsageError
from mnemon.memory import Memory, Person

WHOLE = "$"  # LangGraph's path for all of a value
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


class _Kept(Protocol):
    """An item as memory has it."""

    @property
    def namespace(self) -> tuple[str, ...]: ...

    @property
    def name(self) -> str: ...

    @property
    def content(self) -> Mapping[str, Any]: ...

    @property
    def made(self) -> datetime: ...

    @property
    def recorded_at(self) -> datetime: ...


class MnemonStore(BaseStore):
    """`graph.compile(store=MnemonStore(memory, user="ana"))`.

    `user`: all namespaces are this person's. `user_at`: the label at this place of each namespace names the
    person, as in `("memories", "ana")` with 1; an operation that does not name one is refused. `fields`: the
    paths of a value that it is searched by, unless `put` says otherwise. `ttl`: as in LangGraph's own stores;
    an item that has ended is never given out, and `sweep_ttl` takes it from the disk.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory,
        *,
        user: str | None = None,
        user_at: int | None = None,
        fields: Sequence[str] = (WHOLE,),
        ttl: TTLConfig | None = None,
    ) -> None:
        if (user is None) == (user_at is None):
            raise UsageError(
                f"user={user!r} and user_at={user_at!r}: expected one of them.",
                hint='MnemonStore(memory, user="ana"), or user_at=1 for namespaces like ("memories", "ana").',
            )
        if user_at is not None and (isinstance(user_at, bool) or not 0 <= user_at < 20):
            raise UsageError(f"user_at={user_at!r}: expected the place of a label, from 0.")
        if isinstance(fields, str):
            raise UsageError(f"fields={fields!r} is one text; expected a list of paths.")
        self._memory = memory
        self._person = None if user is None else memory.for_user(user)
        self._user_at = user_at
        self._fields = tuple(fields)
        self.ttl_config = ttl

    # --- LangGraph's two methods; all others of a store are built on them

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Reads see what was there before; writes of one person are one transaction, the last for a key
        counts."""
        done: list[Result] = []
        puts: dict[str, dict[tuple[tuple[str, ...], str], PutOp]] = {}
        for op in ops:
            validate_op_namespace(op)
            if isinstance(op, PutOp):
                person = self._of(op.namespace)
                puts.setdefault(person.user, {})[op.namespace, op.key] = op
                done.append(None)
            elif isinstance(op, GetOp):
                done.append(self._get(op))
            elif isinstance(op, SearchOp):
                done.append(self._search(op))
            elif isinstance(op, ListNamespacesOp):
                done.append(self._namespaces(op))
            else:
                raise UsageError(f"{op!r:.80} is no operation of a store.")
        for user, latest in puts.items():
            self._put(self._memory.for_user(user), list(latest.values()))
        return done

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await asyncio.to_thread(self.batch, list(ops))

    def sweep_ttl(self) -> int:
        """Take out for good what has ended; gives how many items."""
        users = self._memory.users() if self._person is None else [self._person.user]
        return sum(self._memory.for_user(user).items.sweep() for user in users)

    # --- one operation each

    def _put(self, person: Person, ops: Sequence[PutOp]) -> None:
        items = person.items
        entries = [
            items.entry(op.namespace, op.key, op.value, words=self._words(op), ttl=op.ttl)
            for op in ops
            if op.value is not None
        ]
        items.write(entries, [(op.namespace, op.key) for op in ops if op.value is None])

    def _words(self, op: PutOp) -> list[str] | None:
        if op.index is False or op.value is None:
            return []
        paths = self._fields if op.index is None else op.index
        if tuple(paths) == (WHOLE,):
            return None
        return [text for path in paths for text in get_text_at_path(op.value, path) if text.strip()]

    def _get(self, op: GetOp) -> Item | None:
        items = self._of(op.namespace).items
        found = items.get(op.namespace, op.key)
        if found is None:
            return None
        if op.refresh_ttl:
            items.use([found])
        return Item(**_fields_of(found))

    def _search(self, op: SearchOp) -> list[SearchItem]:
        if op.limit < 0 or op.offset < 0:
            raise UsageError(f"limit={op.limit!r}, offset={op.offset!r}: expected none below 0.")
        items = self._of(op.namespace_prefix).items
        among = items.under(op.namespace_prefix)
        if op.filter is not None:
            among = [one for one in among if matches(one.content, op.filter)]
        until = op.offset + op.limit
        if op.query:
            found = items.search(op.query, among, until)[op.offset :]
            pairs = [(one.item, one.score) for one in found]
        else:
            pairs = [(one, None) for one in among[op.offset : until]]
        if op.refresh_ttl:
            items.use([one for one, _ in pairs])
        return [SearchItem(**_fields_of(one), score=score) for one, score in pairs]

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        prefixes = [one.path for one in conditions if one.match_type == "prefix"]
        items = self._of(max(prefixes, key=len, default=())).items
        spaces = {one.namespace for one in items.under(())}
        kept = {space for space in spaces if all(_does_match(one, space) for one in conditions)}
        if op.max_depth is not None:
            kept = {space[: op.max_depth] for space in kept}
        return sorted(kept)[op.offset : op.offset + op.limit]

    def _of(self, namespace: Sequence[str]) -> Person:
        """Whose the namespace is."""
        if self._person is not None:
            return self._person
        assert self._user_at is not None
        if len(namespace) <= self._user_at or namespace[self._user_at] == "*":
            raise UsageError(
                f"The namespace {tuple(namespace)!r} names no person: its label {self._user_at} does.",
                hint="Ask under a namespace, or with a prefix, that goes as far as the person's label.",
            )
        return self._memory.for_user(namespace[self._user_at])


def _fields_of(kept: _Kept) -> dict[str, Any]:
    return {
        "namespace": kept.namespace,
        "key": kept.name,
        "value": copy.deepcopy(dict(kept.content)),  # the caller's own: what it changes changes nothing here
        "created_at": kept.made,
        "updated_at": kept.recorded_at,
    }


def _does_match(condition: MatchCondition, space: tuple[str, ...]) -> bool:
    path = condition.path
    if len(space) < len(path):
        return False
    if condition.match_type not in {"prefix", "suffix"}:
        raise UsageError(f"match_type={condition.match_type!r}: expected prefix or suffix.")
    part = space[: len(path)] if condition.match_type == "prefix" else space[len(space) - len(path) :]
    return all(wanted in {"*", label} for wanted, label in zip(path, part, strict=True))


def matches(value: object, wanted: object) -> bool:
    """LangGraph's filters: equal values, nested objects, and {"$gt": 3}. A value that cannot be compared does
    not match."""
    if not isinstance(wanted, Mapping):
        raise UsageError(f"filter={wanted!r:.80}: expected an object.")
    return isinstance(value, Mapping) and all(_equal(value.get(key), one) for key, one in wanted.items())


def _equal(value: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping):
        if any(str(key).startswith("$") for key in wanted):
            return all(_compare(value, str(key), one) for key, one in wanted.items())
        return isinstance(value, Mapping) and all(_equal(value.get(key), one) for key, one in wanted.items())
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(_equal(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return value == wanted


def _compare(value: object, way: str, wanted: object) -> bool:
    if way in {"$eq", "$ne"}:
        return (value == wanted) == (way == "$eq")
    if way not in _ORDERS:
        raise UsageError(f"The filter uses {way!r}.", hint="Known are $eq, $ne, $gt, $gte, $lt and $lte.")
    left, right = _ordered(value), _ordered(wanted)
    comparable = left is not None and type(left) is type(right)
    return comparable and _ORDERS[way](left, right)


def _ordered(value: object) -> float | str | None:
    """What can be put in order: numbers, also those written as text, and other texts."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return value
