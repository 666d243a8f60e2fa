"""The chat screen: lines in, replies and answers to slash commands out."""

import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import time

import pytest

from mnemon.agent import Assistant
from mnemon.agent.tools import Tool
from mnemon.cli import chat_commands, main
from mnemon.cli.chat_screen import Screen
from mnemon.cli.chat_terminal import PipedLines, drawing, interrupt_calls, split_blocks
from mnemon.front import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel


@pytest.fixture
def memory():
    with Memory.open(":memory:", embedder=HashEmbedder()) as opened:
        yield opened


@pytest.fixture
def asked():
    return []


@pytest.fixture
def screen(memory, asked):
    """A screen on which every question is answered with yes."""
    model = ScriptedChatModel(lambda messages, _: f"Heard: {messages[-1]['content']}")
    return Screen(Assistant(memory.for_user("ana"), model), thread="t", agree=lambda q: not asked.append(q))


def test_a_line_gets_a_reply(screen, capsys):
    assert screen.take("I play the cello.")
    assert capsys.readouterr().out == "Heard: I play the cello.\n"


def test_why_shows_what_the_reply_rests_on(screen, capsys):
    screen.take("/why")
    assert "Nothing was said yet" in capsys.readouterr().err
    screen.take("Be formal, please. I play the cello.")
    screen.take("Who plays the cello?")
    screen.take("/why")
    shown = capsys.readouterr()
    assert "cello" in shown.out.splitlines()[-1]
    assert "formal +0.80, sure 0.80, said" in shown.err


def test_what_was_learnt_is_said_in_a_quiet_line(screen, capsys):
    screen.take("What is a rainbow.")
    screen.take("Shorter, please.")
    assert "Noted: Answer in one or two short sentences.\n" in capsys.readouterr().err
    screen.take("Please don't remember that.")
    assert "Forgotten: 2 turns, 0 facts.\n" in capsys.readouterr().err


def test_what_is_less_than_it_could_be_is_said_once(screen, capsys):
    screen.take("Keep your answers short.")
    screen.take("What is a rainbow?")
    screen.take("What is the moon?")
    assert capsys.readouterr().err.count("cannot be steered") == 1


def test_facts_memories_and_their_forgetting(screen, capsys, asked):
    screen.take("My sister Ines lives in Porto.")
    screen.take("/facts")
    assert "Ines, the user's sister, lives in Porto." in capsys.readouterr().out
    screen.take("/memories sister")
    assert "ana\tMy sister Ines lives in Porto." in capsys.readouterr().out
    screen.take("/memories")
    assert "assistant\tHeard: My sister Ines lives in Porto." in capsys.readouterr().out
    screen.take("/forget Porto")
    told = capsys.readouterr().err
    assert "- [" in told  # the preview
    assert "Forgotten: 2 turns, 2 facts." in told
    assert asked == ["Forget this for good?"]
    screen.take("/facts Porto")
    screen.take("/memories Porto")
    assert "Porto." not in capsys.readouterr().out


def test_nothing_is_forgotten_without_a_yes(screen, capsys):
    screen.take("I play the cello.")
    screen.agree = lambda _: False
    screen.take("/forget cello")
    assert "Kept." in capsys.readouterr().err
    assert "I play the cello." in screen.assistant.person.timeline()[0].text


def test_undo_takes_the_last_turn_back(screen, capsys):
    screen.take("I play the cello.")
    screen.take("/undo")
    assert "I play the cello." in capsys.readouterr().err
    assert screen.assistant.person.timeline() == []


def test_threads_change(screen, capsys):
    screen.take("/thread travel")
    screen.take("I fly on Monday.")
    assert {turn.session for turn in screen.assistant.person.timeline()} == {"travel"}
    screen.take("/thread")
    assert "travel\t2\t" in capsys.readouterr().out


def test_the_persona_is_shown_and_set(screen, capsys):
    screen.take("/persona")
    assert "No leanings yet" in capsys.readouterr().err
    screen.take("/persona concise 0.8")
    screen.take("/persona formal -0.5 when code")
    assert "+ formal -0.50 when code" in capsys.readouterr().err
    assert {one.trait: one.weight for one in screen.assistant.persona.leanings} == {
        "concise": 0.8,
        "formal": -0.5,
    }
    screen.take("/persona")
    assert "concise" in capsys.readouterr().out
    screen.take("/persona concise off")
    assert [one.trait for one in screen.assistant.persona.leanings] == ["formal"]


def test_the_profile_is_shown(screen, capsys):
    screen.take("I live in Faro.")
    capsys.readouterr()
    screen.take("/profile")
    assert "Lives in Faro." in capsys.readouterr().out


def test_thumbs_rate_the_last_reply_also_of_an_earlier_process(screen, capsys):
    screen.take("/good")
    assert "no reply to rate" in capsys.readouterr().err
    screen.take("What is a rainbow?")
    again = Screen(Assistant(screen.assistant.person, screen.assistant.model), thread="t")
    again.take("/good")
    again.take("/bad too vague")
    kept = screen.assistant.person.feedback_log("reply")
    assert [(one.rating, one.note) for one in kept] == [(1, ""), (-1, "too vague")]


@pytest.mark.parametrize(
    "line",
    [
        "/memories",
        "/forget",
        "/forget Porto",
        "/unheard-of",
        "/facts",
        "/trace",
        "/persona cheerful 2",
        "/persona concise much",
        "/lambda hard",
        "/lambda 0.5",
        "/undo",
    ],
)
def test_what_cannot_be_done_says_what_can(screen, capsys, line):
    assert screen.take(line)
    assert capsys.readouterr().err.strip()


def test_help_lists_every_command(screen, capsys):
    screen.take("/help")
    listed = capsys.readouterr().out
    assert [name for name in chat_commands.COMMANDS if f"/{name}" not in listed] == []


@pytest.mark.parametrize("line", ["/quit", "/exit"])
def test_quit_leaves(screen, line):
    assert not screen.take(line)


def test_explain_adds_the_memories_to_each_reply(screen, capsys):
    screen.take("I play the cello.")
    screen.explain = True
    screen.take("Who plays the cello?")
    assert "I play the cello." in capsys.readouterr().out.splitlines()[-1]


def test_json_holds_reply_and_memories(screen, capsys):
    screen.as_json = True
    screen.take("I play the cello.")
    screen.take("Who plays the cello?")
    documents = capsys.readouterr().out
    last = json.loads(documents[documents.rindex('{\n  "text": "Heard') :])
    assert last["memories"][0]["text"] == "I play the cello."


# --- tools that act


def send(to: str) -> str:
    """Sends greetings to a contact."""
    return f"Sent to {to}."


@pytest.fixture
def acting(memory, asked):
    script = ['{"tool": "send", "arguments": {"to": "Ines"}}', '{"tool": "none"}', "Done."]
    assistant = Assistant(memory.for_user("ana"), ScriptedChatModel(script), tools=[Tool.of(send, acts=True)])
    return Screen(assistant, thread="t", agree=lambda q: not asked.append(q))


def test_a_tool_that_acts_is_asked_for(acting, asked, capsys):
    acting.take("Send greetings to Ines.")
    assert asked == ["Run send(to='Ines')?"]
    assert capsys.readouterr().out == "Done.\n"


def test_a_no_is_told_to_the_model_and_shown(acting, capsys):
    acting.agree = lambda _: False
    acting.take("Send greetings to Ines.")
    shown = capsys.readouterr()
    assert shown.out == "Done.\n"
    assert "send: The person was asked and said no." in shown.err


def test_a_turn_that_was_left_is_offered_again(acting, asked, capsys):
    list(acting.assistant.events("Send greetings to Ines.", thread="t"))
    acting.take_up()
    shown = capsys.readouterr()
    assert "Send greetings to Ines." in shown.err
    assert asked == ["Run send(to='Ines')?"]
    assert shown.out == "Done.\n"
    acting.take_up()
    assert capsys.readouterr().err == ""


# --- lines and drawing


def test_in_a_pipe_the_next_line_answers_a_question_if_it_is_an_answer(capsys):
    lines = PipedLines(io.StringIO("one\n\ny\ntwo\nthree\n"))
    assert lines.read() == "one"
    assert lines.agree("Sure?") is False  # an empty line is a no
    assert lines.agree("Sure?") is True
    assert lines.agree("Sure?") is False  # "two" is no answer
    assert lines.read() == "two"
    assert lines.read() == "three"
    with pytest.raises(EOFError):
        lines.read()
    assert lines.agree("Sure?") is False


@pytest.mark.parametrize(
    ("text", "ended", "rest"),
    [
        ("one", "", "one"),
        ("one\n\ntwo", "one", "two"),
        ("one\n \ntwo\n\n", "one\n \ntwo", ""),
        ("```\na\n\nb", "", "```\na\n\nb"),
        ("one\n\n```\na\n\nb", "one", "```\na\n\nb"),
        ("```\na\n\nb\n```\n\ntwo", "```\na\n\nb\n```", "two"),
    ],
)
def test_blocks_end_at_empty_lines_outside_code(text, ended, rest):
    assert split_blocks(text) == (ended, rest)


def test_a_pipe_gets_the_pieces_as_they_are(capsys):
    with drawing() as picture:
        picture.doing("writing")
        for piece in ("**bold**", " and", " plain"):
            picture.add(piece)
    assert capsys.readouterr().out == "**bold** and plain\n"


def test_a_terminal_gets_markdown_once_and_no_control_characters():
    program = (
        "from mnemon.cli.chat_terminal import drawing\n"
        "with drawing() as picture:\n"
        "    picture.doing('writing')\n"
        "    for piece in ('**bo', 'ld**', '\\x1b[2J', '\\n\\n', '- one', '\\n- two'): picture.add(piece)\n"
    )
    shown = on_a_terminal([sys.executable, "-c", program], columns=40)
    assert "**" not in shown
    assert "\x1b[2J" not in shown
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()]
    assert "".join(lines[-6:]).endswith("• one• two"), lines


def on_a_terminal(command, *, columns, **environment):
    """Everything that a program shows on a terminal so wide."""
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    surroundings = {**os.environ, "NO_COLOR": "1", "TERM": "xterm", **environment}
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    try:
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    return seen.decode("utf-8", "replace")


def test_an_interrupt_stops_the_reply_and_is_handed_back(screen):
    stopped = []
    before = signal.getsignal(signal.SIGINT)
    with interrupt_calls(lambda: stopped.append(True)):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)  # the handler runs between two instructions of this thread
    assert stopped == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_reply_is_kept_as_far_as_it_came(memory, capsys):
    def script(_messages, _options):
        os.kill(os.getpid(), signal.SIGINT)
        return "One two three."

    screen = Screen(Assistant(memory.for_user("ana"), ScriptedChatModel(script)), thread="t")
    screen.take("Count.")
    assert "Stopped; what was said is kept." in capsys.readouterr().err
    assert screen.assistant.person.timeline()[0].text == "Count."


@pytest.mark.model
def test_a_pipe_gets_a_reply_to_each_line_and_one_process_knows_what_another_heard(
    home_with_weights, tmp_path, monkeypatch, capsys
):
    db = str(tmp_path / "people.db")
    monkeypatch.setattr(sys, "stdin", io.StringIO("My sister Ines lives in Porto.\n\n"))
    assert main(["chat", "--user", "ana", "--db", db]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) >= 1
    assert main(["chat", "--user", "ana", "--db", db, "--once", "Where does my sister live?"]) == 0
    assert "Porto" in capsys.readouterr().out


@pytest.mark.model
@pytest.mark.slow
def test_a_conversation_on_a_terminal(home_with_weights, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mnemon", "chat", "--user", "ana", "--db", str(tmp_path / "p.db")]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        seen = _until(ours, "you")
        os.write(ours, b"/facts\r")
        seen += _until(ours, "Nothing is known yet.")
        os.write(ours, b"/quit\r")
        assert child.wait(timeout=60) == 0
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    assert "smollm2-135m-instruct" in seen


def _until(terminal: int, text: str, *, seconds: float = 120) -> str:
    """What the terminal shows until it shows the text."""
    seen, end = "", time.monotonic() + seconds
    while text not in seen and time.monotonic() < end:
        try:
            seen += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:
            break
    assert text in seen, seen
    return seen
