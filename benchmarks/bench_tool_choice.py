"""Which tool a small model takes: asked outright under a grammar, and led by nearness in meaning.

    python benchmarks/bench_tool_choice.py [--quick]

Forty requests of our own, ten tools. The threshold of nearness was chosen on the first twenty; the others
were written, with tools of their own, before they were run. "tool": the right tool, or rightly none.
"arguments": the right tool with what it needs, judged by words that have to be in them. "valid": what the
model wrote was a call that the tool's own check accepts.
"""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mnemon.agent import LocalChatModel, Tool
from mnemon.agent.seams import ToolCall
from mnemon.agent.tools import observe
from mnemon.agent.tools_choice import choose
from mnemon.agent.understanding import understand
from mnemon.memory import Memory


def weather(city: str) -> str:
    """Tells the weather in a city today or on another day."""
    return city


def calculate(expression: str) -> str:
    """Works out an arithmetic expression such as 12 * 7."""
    return expression


def calendar(day: str) -> str:
    """Lists the appointments in the person's calendar on a day."""
    return day


def send_message(to: str, text: str) -> str:
    """Sends a text message to a contact."""
    return to + text


def set_timer(minutes: int) -> str:
    """Starts a timer that rings after some minutes."""
    return str(minutes)


def convert_currency(amount: int, source: str, target: str) -> str:
    """Converts an amount of money from one currency to another."""
    return f"{amount} {source} {target}"


def translate(text: str, language: str) -> str:
    """Translates a text into another language."""
    return text + language


def play_music(title: str) -> str:
    """Plays a song, an artist or an album."""
    return title


def switch_lights(room: str, on: bool) -> str:
    """Switches the lights of a room on or off."""
    return f"{room} {on}"


def find_trains(origin: str, destination: str) -> str:
    """Finds trains between two stations."""
    return f"{origin} {destination}"


class Case(NamedTuple):
    request: str
    tool: str = ""  # "" for none
    needs: tuple[str, ...] = ()  # what the arguments have to hold, in small letters


FIRST = (
    Case("What's the weather like in Porto today?", "weather", ("porto",)),
    Case("Will it rain in Oslo tomorrow?", "weather", ("oslo",)),
    Case("How much is 37 times 12?", "calculate", ("37", "12")),
    Case("What is 15 percent of 240?", "calculate", ("15", "240")),
    Case("What do I have on my calendar on Friday?", "calendar", ("friday",)),
    Case("Am I free on Tuesday afternoon?", "calendar", ("tuesday",)),
    Case("Send a message to Ines that I am late.", "send_message", ("'ines'", "late")),
    Case("Text Karl: happy birthday!", "send_message", ("'karl'", "birthday")),
    Case("Set a timer for 10 minutes.", "set_timer", ("10",)),
    Case("Remind me in 25 minutes to turn off the oven.", "set_timer", ("25",)),
    Case("Do I need an umbrella in Lisbon?", "weather", ("lisbon",)),
    Case("Add 89 and 411 for me.", "calculate", ("89", "+", "411")),
    *(
        Case("What is my dog called?"),
        Case("Thank you, that was nice."),
        Case("My sister Ines lives in Porto."),
    ),
    *(Case("Tell me a joke about cats."), Case("What should I cook tonight?"), Case("Hello!")),
    *(Case("Who wrote Hamlet?"), Case("I feel tired today.")),
)
SECOND = (
    Case("How many euros are 50 dollars?", "convert_currency", ("50", "'usd'", "'eur'")),
    Case("What are 200 yen in pounds?", "convert_currency", ("200", "source': 'yen", "p")),
    Case("How do you say good night in Italian?", "translate", ("good night", "italian")),
    Case("Translate 'where is the station' into German.", "translate", ("where is the station", "de")),
    Case("Put on some Miles Davis.", "play_music", ("miles davis",)),
    Case("Play Yellow Submarine, please.", "play_music", ("yellow submarine",)),
    Case("Turn off the lights in the kitchen.", "switch_lights", ("kitchen", "false")),
    Case("It is too dark in the bedroom, lights on please.", "switch_lights", ("bedroom", "true")),
    Case(
        "When does the next train to Faro leave from Lisbon?", "find_trains", ("n': 'lisbon'", "n': 'faro'")
    ),
    Case("Is there a train from Madrid to Seville?", "find_trains", ("n': 'madrid'", "n': 'seville'")),
    Case("What is 30 francs worth in euros?", "convert_currency", ("30", "source': 'f", "'eur")),
    Case("Could you play something by Nina Simone?", "play_music", ("nina simone",)),
    *(Case("What is my sister's name?"), Case("I moved to Berlin last week."), Case("Good morning!")),
    *(Case("Give me an idea for a birthday present."), Case("How tall is Mount Everest?")),
    *(Case("I am sad because my cat is ill."), Case("Why is the sky blue?")),
    Case("Where did I go on holiday last year?"),
)
PARTS = (
    ("first twenty", (weather, calculate, calendar, send_message, set_timer), FIRST),
    ("second twenty", (convert_currency, translate, play_music, switch_lights, find_trains), SECOND),
)
Choice = Callable[[str, Sequence[Any]], tuple[ToolCall, ...]]


def measure(choice: Choice, functions: Sequence[Any], cases: Sequence[Case]) -> str:
    tools = {tool.name: tool for tool in map(Tool.of, functions)}
    right = filled = called = valid = 0
    start = time.process_time()
    for case in cases:
        calls = choice(case.request, [tool.spec for tool in tools.values()])
        name = calls[0].name if calls else ""
        called += bool(calls)
        valid += bool(calls) and observe(tools[name], calls[0]).ok
        right += name == case.tool
        written = str(dict(calls[0].arguments)).lower() if calls else ""
        filled += name == case.tool and bool(name) and all(word in written for word in case.needs)
    needed = sum(bool(case.tool) for case in cases)
    seconds = (time.process_time() - start) / len(cases)
    return f"{right}/{len(cases)} | {filled}/{needed} | {valid}/{called} | {seconds:.2f} s"


def main() -> None:
    quick = "--quick" in sys.argv
    model = LocalChatModel.open()
    with Memory.open(":memory:") as memory:
        ana = memory.for_user("ana")

        def asked(request: str, tools: Sequence[Any]) -> tuple[ToolCall, ...]:
            return choose(model, request, tools)

        def near(request: str, tools: Sequence[Any]) -> tuple[ToolCall, ...]:
            asks = understand(request, [], now=datetime.now(UTC)).matter not in ("small talk", "telling")
            return choose(model, request, tools, nearness=ana.nearness) if asks else ()

        print(
            "| requests | way | tool | arguments | valid | processor time each |\n|---|---|---|---|---|---|"
        )
        for part, functions, cases in PARTS:
            some = cases[::4] if quick else cases
            for name, way in (("asked outright", asked), ("nearest in meaning", near)):
                print(f"| {part} | {name} | {measure(way, functions, some)} |", flush=True)


if __name__ == "__main__":
    main()
