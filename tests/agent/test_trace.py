"""The trace: as data, in the terminal, as a page."""

import json
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from mnemon.agent.decoding.trace import TokenTrace, Trace
from mnemon.agent.decoding.trace_view import html_page, level, summary, terminal_view

TRACE = Trace(
    steering="mnemon",
    model="tiny",
    forwards=2,
    rows=4,
    tokens=(
        TokenTrace(token=5, text="Dear", base_probability=0.1, steered_probability=0.4, lam=1.5, kl=0.2,
                   contributions={"formal": 1.2, "brief": -0.4}, changed=True, instead_of="<b>Hey</b>"),
        TokenTrace(token=6, text=" <script>alert(1)</script> & you", base_probability=0.5,
                   steered_probability=0.5, note="gate closed"),
        TokenTrace(token=7, text="\n", base_probability=0.9, steered_probability=0.95, lam=0.5, kl=0.01,
                   contributions={"formal": 0.4, "brief": 0.0}),
    ),
)  # fmt: skip


def test_sums_and_shares() -> None:
    assert TRACE.kl == pytest.approx(0.21)
    assert TRACE.changed == 1
    assert TRACE.shares() == {"formal": pytest.approx(0.8), "brief": pytest.approx(0.2)}
    assert [level(token) for token in TRACE.tokens] == [3, 0, 1]


def test_as_data() -> None:
    data = json.loads(TRACE.to_json())
    assert data["tokens"][0]["contributions"] == {"formal": 1.2, "brief": -0.4}
    assert data["kl"] == pytest.approx(0.21)
    assert data["changed"] == 1


def test_one_line_says_it_all() -> None:
    assert summary(TRACE) == (
        "mnemon on tiny: 1 of 3 tokens changed, divergence 0.21 nats (formal 80%, brief 20%)"
    )


def shown(*, colour: bool) -> str:
    out = StringIO()
    console = Console(
        file=out, width=160, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(terminal_view(TRACE, table=True))
    return out.getvalue()


def test_in_the_terminal() -> None:
    plain = shown(colour=False)
    assert "Dear <script>alert(1)</script> & you" in plain
    assert "gate closed (1×)" in plain
    assert "+1.20" in plain
    assert "\x1b[" not in plain
    assert plain.count("underlined: the base model") == 1
    assert "0.00" not in plain.split("instead of")[1].replace("0.500", "")  # zeros are left out
    assert "\x1b[4;" in shown(colour=True)  # the changed token is underlined


class Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}
        self.titles += [value or "" for name, value in attrs if name == "title"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_reply_that_nothing_steered_has_no_empty_headings() -> None:
    plain = Trace(steering="mnemon", model="tiny", tokens=(TRACE.tokens[1],))
    page = html_page(plain)
    assert "<h2>" not in page
    assert "bounds" not in page
    out = StringIO()
    Console(file=out, width=160).print(terminal_view(plain))
    assert "underlined" not in out.getvalue()


def test_as_a_page_that_needs_nothing_and_runs_nothing() -> None:
    page = html_page(TRACE, title="Ana & <Bo>")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "script" not in checker.tags
    assert "http" not in page
    assert "Ana &amp; &lt;Bo&gt;" in page
    assert "<del>&lt;b&gt;Hey&lt;/b&gt;</del> Dear" in page
    assert [page.count(f'class="k{n}" style="height:') for n in range(5)] == [1, 1, 0, 1, 0]
    assert "height:100.0%" in page
    assert "All together are 0.21, which bounds how far the reply drifted." in page
    assert checker.titles[0].splitlines() == [
        "base 0.100 → steered 0.400", "λ 1.50, KL 0.200", "formal +1.20", "brief -0.40",
        "instead of '<b>Hey</b>'",
    ]  # fmt: skip
