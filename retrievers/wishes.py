"""Wishes and standing orders told once among other talk, and requests that ought to honour them and share no
word with them.

Made-up training data: somebody who asks for a restaurant seldom repeats what they cannot eat, nor how they
like to be answered. Both are in `data/wishes.json`; they are laid into a history that is given. Seeded.
Knows no ranking.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from mnemon.retrievers.pairs import Example, History
from mnemon.retrievers.seams import Document

WISHES, ORDERS = 16, 8  # in one history
WEIGHT = 3.0  # there are few of them


class _Wish(NamedTuple):
    said: str
    asked: list[str]  # requests that ought to honour it


class _Bank(NamedTuple):
    wishes: list[_Wish]
    orders: list[_Wish]
    noted: list[str]  # how an assistant takes one in


@cache
def _bank() -> _Bank:
    stored = json.loads(files(__package__).joinpath("data/wishes.json").read_text(encoding="utf-8"))
    wishes, orders = ([_Wish(**wish) for wish in stored[kind]] for kind in ("wishes", "orders"))
    return _Bank(wishes, orders, stored["noted"])


def with_wishes(name: str, documents: Sequence[Document], rng: random.Random) -> History:
    """The turns of a user and an assistant with wishes among them: half in a conversation of their own, half
    at the end of one that is there."""
    bank = _bank()
    told = [*rng.sample(bank.wishes, WISHES), *rng.sample(bank.orders, ORDERS)]
    by_session: dict[str, list[Document]] = {}
    for document in documents:
        by_session.setdefault(document.session, []).append(document)
    user = documents[0].speaker
    assistant = next((d.speaker for d in documents if d.speaker != user), "Assistant")
    found, examples = list(documents), []
    last = max(d.time for d in documents if d.time is not None)
    for number, wish in enumerate(told):
        order = number >= WISHES
        home = by_session[rng.choice(sorted(by_session))]
        end = home[-1]
        assert end.time is not None
        alone = rng.random() < 0.5
        session = f"{name}-wish{number}" if alone else end.session
        start = 0 if alone else max(d.position for d in home) + 1
        said = Document(
            id=f"{session}:{start}", text=wish.said, speaker=user, session=session, position=start,
            time=end.time + timedelta(minutes=2),
        )  # fmt: skip
        reply = replace(
            said,
            id=f"{session}:{start + 1}",
            text=rng.choice(bank.noted),
            speaker=assistant,
            position=start + 1,
        )
        found += [said, reply]
        if not alone:
            home += [said, reply]
        for asked in wish.asked:
            examples.append(
                Example(
                    text=asked, gold=(said.id,), time=last + timedelta(days=1),
                    sessions=() if order else (session,),  # nobody asks for the talk in which an order fell
                    weight=WEIGHT,
                )
            )  # fmt: skip
    return History(name, found, examples)
