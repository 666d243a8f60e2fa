"""What a terminal needs of a chat: a reply drawn while it is written, Ctrl-C that ends it, a prompt of
several lines. In a pipe the same things are plain text and the next line.
"""

import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Protocol, TextIO

from mnemon.cli.output import console, note

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from rich.live import Live

_YES, _NO = ("y", "yes"), ("n", "no", "")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
# Everything that moves the cursor, colours or clears: what a model writes is text.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Picture(Protocol):
    """A reply that is being drawn."""

    def doing(self, what: str) -> None: ...

    def add(self, piece: str) -> None: ...


@contextmanager
def drawing() -> Iterator[Picture]:
    """Draws what is added to it: markdown on a terminal, the pieces themselves in a pipe."""
    if not sys.stdout.isatty():
        yield (plain := _Plain())
        plain.end()
        return
    from rich.live import Live

    out = console()
    with Live(console=out, transient=True, refresh_per_second=12) as live:
        picture = _Markdown(live)
        try:
            yield picture
        finally:
            picture.end()


class _Plain:
    def __init__(self) -> None:
        self._any = False

    def doing(self, what: str) -> None:
        """A pipe has nobody who waits."""

    def add(self, piece: str) -> None:
        self._any = True
        sys.stdout.write(piece)
        sys.stdout.flush()

    def end(self) -> None:
        if self._any:
            sys.stdout.write("\n")
            sys.stdout.flush()


class _Markdown:
    """Blocks that have ended are printed for good; only the last one is drawn again and again, so that a
    reply may be longer than the screen."""

    def __init__(self, live: "Live") -> None:
        self._live = live
        self._said = ""
        self._printed = False

    def doing(self, what: str) -> None:
        from rich.spinner import Spinner
        from rich.text import Text

        if not self._said:
            form = "dots" if _draws_braille() else "line"
            self._live.update(Spinner(form, Text(f"{what} ...", style="dim")), refresh=True)

    def add(self, piece: str) -> None:
        from rich.markdown import Markdown

        ended, self._said = split_blocks(self._said + _CONTROLS.sub("", piece))
        self._print(ended)
        self._live.update(Markdown(self._said))

    def end(self) -> None:
        from rich.text import Text

        self._live.update(Text(""), refresh=True)
        self._print(self._said)

    def _print(self, block: str) -> None:
        from rich.markdown import Markdown
        from rich.segment import Segment, Segments

        if not block.strip():
            return
        lines = self._live.console.render_lines(Markdown(block), pad=False)
        while lines and not "".join(part.text for part in lines[0]).strip():
            lines.pop(0)  # lists begin with an empty line of their own
        empty = [Segment.line()] if self._printed else []
        parts = [part for line in lines for part in (*line, Segment.line())]
        self._live.console.print(Segments([*empty, *parts]), end="")
        self._printed = True


def split_blocks(text: str) -> tuple[str, str]:
    """What will not change any more, and the rest: cut at the last empty line that is in no code."""
    for found in reversed(list(re.finditer(r"\n[ \t]*\n", text))):
        if len(_FENCE.findall(text[: found.start()])) % 2 == 0:
            return text[: found.start()], text[found.end() :]
    return "", text


def _draws_braille() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(what, spinner="dots" if _draws_braille() else "line"):
        yield


@contextmanager
def interrupt_calls(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, Ctrl-C calls `stop` and raises nothing."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        with _no_echo_of_controls():
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _no_echo_of_controls() -> Iterator[None]:
    """The terminal's own "^C" would stand in the middle of a reply that is still being drawn."""
    try:
        import termios
    except ImportError:  # Windows echoes no controls
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = list(before)
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


class PipedLines:
    """One message a line. A question is answered by the next line, if that is a yes or a no; any other line
    is a message still, and the answer no."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next: str | None = None

    def read(self) -> str:
        """The next line that is not empty; EOFError at the end."""
        while True:
            line, self._next = (self._next if self._next is not None else self._stream.readline()), None
            if not line:
                raise EOFError
            if line.strip():
                return line.strip()

    def agree(self, question: str) -> bool:
        self._next = self._stream.readline()
        answer = self._next.strip().lower()
        yes = answer in _YES
        if self._next and answer in (*_YES, *_NO):
            self._next = None
        note(f"{question} {'yes' if yes else 'no'}")
        return yes


class TypedLines:
    """What is typed: arrows bring back what was said before, Alt-Enter or a backslash begins a new line."""

    def __init__(self, earlier: Sequence[str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import InMemoryHistory

        # What was said comes from the memory itself: a history file would outlive `erase`.
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory(list(earlier)),
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation="  ",
            enable_open_in_editor=False,
        )
        self._mark = "›" if _draws_braille() else ">"

    def read(self) -> str:
        from prompt_toolkit.formatted_text import HTML

        return self._session.prompt(HTML(f"<b>you</b> {self._mark} ")).strip()

    def agree(self, question: str) -> bool:
        from prompt_toolkit import prompt

        try:
            return prompt(f"{question} [y/N] ").strip().lower() in _YES
        except (EOFError, KeyboardInterrupt):
            return False


def _keys() -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: "KeyPressEvent") -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: "KeyPressEvent") -> None:
        event.current_buffer.newline(copy_margin=False)

    return keys
