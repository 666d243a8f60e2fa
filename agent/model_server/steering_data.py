"""A steering as plain JSON, and back: what crosses between who asks and who holds the model.

Knows the decoder's parts by name and nothing of networks. What holds a function cannot be sent, and what
comes in is checked as if a stranger had written it.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mnemon.agent.decoding.gates import ProseOnly
from mnemon.agent.decoding.heads import HeadCard, RewardHead
from mnemon.agent.decoding.policies import (
    BestOfSet,
    EntropyGated,
    Fixed,
    KLBudget,
    LeakyBucket,
    PrintedPanda,
    ReplyBudget,
)
from mnemon.agent.decoding.rewards import (
    BranchScore,
    Contrast,
    Lexicon,
    PlainWords,
    ReplyLength,
    SentenceLength,
    SentenceMark,
    SentenceOpening,
)
from mnemon.agent.decoding.steering import Branch, LambdaPolicy, Normalise, Shortlist, Steering, Term
from mnemon.errors import UsageError

JsonObject = dict[str, Any]

MOST_BRANCHES = 32  # rows of one reply: each costs as much as the reply itself

_REWARDS: tuple[type, ...] = (
    *(Contrast, BranchScore, Lexicon, PlainWords, ReplyLength),
    *(SentenceLength, SentenceMark, SentenceOpening),
)
_POLICIES: tuple[type, ...] = (
    *(Fixed, EntropyGated, KLBudget, LeakyBucket, ReplyBudget, BestOfSet, PrintedPanda),
)
_GATES: tuple[type, ...] = (ProseOnly,)
_FORMS: Mapping[str, Any] = {
    "name": str,
    "mix": dict[str, float],
    "shortlist": Shortlist,
    "freeze_end": bool,
    "temperature": float,
    "scale": float,
}
_HEAD = "RewardHead"


def as_data(steering: Steering) -> JsonObject:
    """The steering as JSON holds it; UsageError names the part that cannot be sent."""
    return {
        "name": steering.name,
        "policy": _part(steering.policy, _POLICIES, f"the policy of {steering.name!r}"),
        "terms": [_term(term) for term in steering.terms],
        "mix": dict(steering.mix),
        "branches": [_fields(branch) for branch in steering.branches],
        "shortlist": _fields(steering.shortlist),
        "gates": [_part(gate, _GATES, f"a gate of {steering.name!r}") for gate in steering.gates],
        "freeze_end": steering.freeze_end,
        "temperature": steering.temperature,
        "scale": steering.scale,
    }


def _term(term: Term) -> JsonObject:
    reward: object = term.reward
    if isinstance(reward, RewardHead):
        sent = {"kind": _HEAD, "weight": reward.weight.tolist(), "card": _fields(reward.card)}
    else:
        sent = _part(reward, _REWARDS, f"the term {term.name!r}")
    return {"name": term.name, "reward": sent, "weight": term.weight, "normalise": term.normalise}


def _part(value: object, known: Sequence[type], what: str) -> JsonObject:
    if type(value) not in known:
        raise UsageError(
            f"{type(value).__name__}, {what}, cannot be sent to a model server.",
            hint=f"Known there: {', '.join(one.__name__ for one in known)}. Others need the model in this "
            "process: LocalChatModel.open().",
        )
    return {"kind": type(value).__name__, **_fields(value)}


def _fields(value: Any) -> JsonObject:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: object) -> object:
    if isinstance(value, Branch):
        return _fields(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def from_data(data: object) -> Steering:
    """The steering that was sent; UsageError says where it is none."""
    sent = _object(data, "steering", known=_names(Steering))
    given: JsonObject = {"name": "sent"}
    for name, value in sent.items():
        place = f"steering.{name}"
        match name:
            case "policy":
                given[name] = _built(value, _POLICIES, place)
            case "terms":
                given[name] = tuple(_term_of(*one) for one in _each(value, place))
            case "gates":
                given[name] = tuple(_built(one, _GATES, at) for one, at in _each(value, place))
            case "branches":
                given[name] = tuple(_checked(Branch, one, at) for one, at in _each(value, place))
            case _:
                given[name] = _checked(_FORMS[name], value, place)
    if "policy" not in given:
        raise UsageError(
            "steering has no policy.", hint='Give one such as {"kind": "KLBudget", "epsilon": 0.1}.'
        )
    steering = Steering(**given)
    rows = len(steering.all_branches())
    if rows > MOST_BRANCHES:
        raise UsageError(f"steering has {rows} branches; a reply may have {MOST_BRANCHES}.")
    return steering


def policy_from_data(data: object, place: str) -> LambdaPolicy:
    made: LambdaPolicy = _built(data, _POLICIES, place)
    return made


def _each(given: object, place: str) -> Iterator[tuple[object, str]]:
    for number, one in enumerate(_checked(list[Any], given, place)):
        yield one, f"{place}.{number}"


def _term_of(given: object, place: str) -> Term:
    data = _object(given, place, known=_names(Term))
    sent = _object(data.get("reward"), f"{place}.reward")
    reward = (
        _head(sent, f"{place}.reward")
        if sent.get("kind") == _HEAD
        else _built(sent, _REWARDS, f"{place}.reward")
    )
    return Term(
        name=_checked(str, data.get("name"), f"{place}.name"),
        reward=reward,
        weight=_checked(float, data.get("weight", 1.0), f"{place}.weight"),
        normalise=_checked(Normalise, data.get("normalise", "zscore"), f"{place}.normalise"),
    )


def _head(data: JsonObject, place: str) -> RewardHead:
    _object(data, place, known={"kind", "weight", "card"})
    weight = _checked(list[float], data.get("weight"), f"{place}.weight")
    return RewardHead(np.array(weight), _checked(HeadCard, data.get("card"), f"{place}.card"))


def _built(given: object, known: Sequence[type], place: str) -> Any:
    data = _object(given, place)
    form = next((one for one in known if one.__name__ == data.get("kind")), None)
    if form is None:
        raise UsageError(
            f"{place} is of the kind {data.get('kind')!r}, which is not known.",
            hint=f"Known are {', '.join(one.__name__ for one in known)}.",
        )
    return _checked(form, {name: value for name, value in data.items() if name != "kind"}, place)


def _object(given: object, place: str, *, known: AbstractSet[str] | None = None) -> JsonObject:
    if not isinstance(given, dict):
        raise UsageError(f"{place} is {given!r:.60}; an object was expected.")
    strange = sorted(given.keys() - known) if known is not None else []
    if strange:
        raise UsageError(
            f"{place} has {strange[0]!r}, which means nothing.",
            hint=f"Known are {', '.join(sorted(known or ()))}.",
        )
    return given


def _names(form: Any) -> AbstractSet[str]:
    return {field.name for field in fields(form)}


def _checked(form: Any, given: object, place: str) -> Any:
    """The value as `form`; of a part, every field that it has and no other."""
    if is_dataclass(form):
        data = _object(given, place, known=_names(form))
        lone = next((name for name in ("words", "spared") if isinstance(data.get(name), str)), None)
        if lone:  # a text would count as a list of its letters
            raise UsageError(f"{place}.{lone} is {data[lone]!r}; a list or a number was expected.")
    try:
        return _adapter(form).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((place, *map(str, first["loc"])))
        raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)
