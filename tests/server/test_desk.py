"""The desk alone: who is next, what follows what, and that a quiet person is tidied up after."""

import asyncio
import threading

import pytest

from mnemon.agent import AssistantReply, Usage
from mnemon.agent.server import Limits
from mnemon.agent.server.desk import Desk, Withdrawn
from mnemon.agent.server.meters import Meters
from mnemon.agent.server.refusals import Refusal

REPLY = AssistantReply(text="", memories=(), citations=(), usage=Usage(), finish="stop")


class Said:
    """A turn that notes its name when it is its turn, and ends when it is let go."""

    reply = REPLY

    def __init__(self, name, order, go):
        self._name, self._order, self._go = name, order, go

    def events(self):
        self._order.append(self._name)
        assert self._go.wait(10)
        yield {"kind": "piece", "text": self._name}

    def stop(self):
        self._go.set()


@pytest.fixture
def order():
    return []


def take(desk, name, order, go, *, thread=None):
    return desk.take(name[0], thread or name, lambda: Said(name, order, go))


async def heard(turn):
    return [event["text"] async for event in turn.events(first=5, then=5) if event]


def test_persons_take_turns_however_much_one_of_them_asks(order):
    async def talk():
        desk, go = Desk(Limits(at_once=1), Meters()), threading.Event()
        go.set()
        turns = [take(desk, name, order, go) for name in ("a1", "a2", "a3", "a4", "b1", "c1", "b2")]
        said = [await heard(turn) for turn in turns]
        await desk.close()
        return said

    assert asyncio.run(talk()) == [["a1"], ["a2"], ["a3"], ["a4"], ["b1"], ["c1"], ["b2"]]
    assert order == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


def test_a_conversation_that_is_being_answered_does_not_hold_up_others(order):
    async def talk():
        desk, first, rest = Desk(Limits(at_once=2), Meters()), threading.Event(), threading.Event()
        rest.set()
        slow = take(desk, "a1", order, first, thread="one")
        after = take(desk, "a2", order, rest, thread="one")
        other = take(desk, "a3", order, rest, thread="two")
        assert await heard(other) == ["a3"]
        assert desk.waiting == 1
        first.set()
        assert (await heard(slow), await heard(after)) == (["a1"], ["a2"])
        await desk.close()

    asyncio.run(talk())
    assert order == ["a1", "a3", "a2"]


def test_a_closed_desk_takes_nothing_and_finishes_what_it_took(order):
    async def talk():
        desk, go = Desk(Limits(at_once=1), Meters()), threading.Event()
        turns = [take(desk, name, order, go) for name in ("a1", "b1")]
        desk.close_door()
        with pytest.raises(Refusal, match="being stopped") as told:
            take(desk, "c1", order, go)
        go.set()
        await desk.close()
        return told.value.status_code, [await heard(turn) for turn in turns]

    assert asyncio.run(talk()) == (503, [["a1"], ["b1"]])


def test_what_waits_when_everything_is_stopped_was_never_begun(order):
    async def talk():
        desk, go = Desk(Limits(at_once=1), Meters()), threading.Event()
        running, waiting = take(desk, "a1", order, go), take(desk, "b1", order, go)
        await asyncio.sleep(0.05)
        desk.stop_all()
        assert await heard(running) == ["a1"]
        with pytest.raises(Withdrawn):
            await heard(waiting)
        await desk.close()

    asyncio.run(talk())
    assert order == ["a1"]


def test_a_reply_that_takes_too_long_ends(order):
    async def talk():
        desk = Desk(Limits(reply_seconds=0.05), Meters())
        turn = take(desk, "a1", order, threading.Event())  # nobody but the desk lets it go
        said = await heard(turn)
        await desk.close()
        return said, turn.stopped

    assert asyncio.run(talk()) == (["a1"], True)


def test_silence_is_told(order):
    async def talk():
        desk, go = Desk(Limits(), Meters()), threading.Event()
        turn = take(desk, "a1", order, go)
        told = []
        async for event in turn.events(first=0.01, then=0.01):
            told.append(event)
            if len(told) == 3:
                go.set()
        await desk.close()
        return told

    told = asyncio.run(talk())
    assert told[:3] == [None] * 3
    assert told[-1] == {"kind": "piece", "text": "a1"}


def test_who_is_quiet_for_a_while_is_tidied_up_after_once(order):
    quiet = []

    async def talk():
        desk, go = Desk(Limits(quiet_seconds=0.1), Meters(), quiet=quiet.append), threading.Event()
        go.set()
        for name in ("a1", "a2"):
            await heard(take(desk, name, order, go))
        assert quiet == []
        await asyncio.sleep(0.3)
        await heard(take(desk, "b1", order, go))
        await desk.close()
        await asyncio.sleep(0.2)

    asyncio.run(talk())
    assert quiet == ["a"]
