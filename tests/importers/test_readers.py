"""What each reader takes out of an export, and what it passes over with which reason."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mnemon.errors import DataError, UsageError
from mnemon.memory.importers import READERS, Conversation, Options
from tests.importers.exports import (
    chat,
    chatgpt_conversation,
    chatgpt_message,
    claude_conversation,
    claude_message,
    write_json,
    write_zip,
)


def read(kind: str, path: Path, **options: Any) -> list[Conversation]:
    found = list(READERS[kind](path, Options(**options)))
    return [one for one in found if one.messages or one.skipped or one.unreadable]


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in conversation.messages]


def skipped(found: list[Conversation]) -> Counter[str]:
    return sum((one.skipped for one in found), Counter())


class TestChatGPT:
    def test_words_roles_times_and_session(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "conversations.json", [chat("c1", "I have a beagle.", "Lovely!")])
        (one,) = read("chatgpt", path)
        assert one.session == "chatgpt:c1"
        assert said(one) == [("user", "I have a beagle."), ("assistant", "Lovely!")]
        assert one.messages[0]["time"] == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert one.messages[0]["source"] == "chatgpt"
        assert [message.get("meta") for message in one.messages] == [{"title": "About c1"}, None]

    def test_of_branches_the_one_seen_last_is_taken(self, tmp_path: Path) -> None:
        nodes = [
            chatgpt_message(1, "user", "first try"),
            chatgpt_message(2, "assistant", "first answer"),
            chatgpt_message(3, "user", "second try", parent="root"),
            chatgpt_message(4, "assistant", "second answer"),
            chatgpt_message(5, "assistant", "third answer", parent="m3"),
        ]
        for current, expected in [
            ("m5", ["second try", "third answer"]),
            ("m2", ["first try", "first answer"]),
        ]:
            path = write_json(tmp_path / "c.json", [chatgpt_conversation("c", nodes, current=current)])
            for node in nodes:
                node["children"] = []
            (one,) = read("chatgpt", path)
            assert [text for _, text in said(one)] == expected
            assert one.skipped == {"message on another branch (edited or asked again)": 3}

    def test_without_a_current_node_the_last_leaf_counts(self, tmp_path: Path) -> None:
        conversation = chat("c", "a", "b")
        del conversation["current_node"]
        assert len(read("chatgpt", write_json(tmp_path / "c.json", [conversation]))[0].messages) == 2

    def test_what_nobody_said_is_passed_over_with_reasons(self, tmp_path: Path) -> None:
        nodes = [
            chatgpt_message(1, "system", ""),
            chatgpt_message(2, "user", "I am vegan.", kind="user_editable_context"),
            chatgpt_message(
                3, "user", "Look", {"content_type": "image_asset_pointer"}, kind="multimodal_text"
            ),
            chatgpt_message(4, "assistant", "search('x')", kind="code", recipient="browser"),
            chatgpt_message(5, "tool", "results"),
            chatgpt_message(6, "assistant", "thinking", kind="thoughts"),
            chatgpt_message(7, "assistant", "to a tool", recipient="dalle.text2im"),
            chatgpt_message(8, "user", "  "),
            chatgpt_message(9, "user", "hidden", metadata={"is_visually_hidden_from_conversation": True}),
            chatgpt_message(
                10, "user", {"content_type": "audio_transcription", "text": "spoken"}, kind="multimodal_text"
            ),
            chatgpt_message(11, "critic", "hm"),
        ]
        found = read("chatgpt", write_json(tmp_path / "c.json", [chatgpt_conversation("c", nodes)]))
        assert [text for _, text in said(found[0])] == ["Look", "spoken"]
        assert skipped(found) == {
            "system message": 1,
            "custom instructions": 1,
            "picture or file in a message": 1,
            "call of a tool": 2,
            "output of a tool": 1,
            "thoughts of the model": 1,
            "message without words": 1,
            "message that is not shown": 1,
            "message of an unknown kind (critic, text)": 1,
        }

    def test_a_message_without_a_time_has_that_of_the_one_before(self, tmp_path: Path) -> None:
        conversation = chat("c", "a", "b")
        conversation["mapping"]["m1"]["message"]["create_time"] = None
        (one,) = read("chatgpt", write_json(tmp_path / "c.json", [conversation]))
        assert one.messages[0]["time"] == one.messages[1]["time"]

    def test_odd_conversations_are_named_and_the_others_read(self, tmp_path: Path) -> None:
        circle = chat("circle", "a", "b")
        circle["mapping"]["m0"]["parent"] = "m1"
        torn = chat("torn", "a", "b")
        torn["mapping"]["m1"]["parent"] = "nowhere"
        odd = [7, {"id": "x"}, {"mapping": {}}, circle, torn, chat("good", "a")]
        found = read("chatgpt", write_json(tmp_path / "c.json", odd))
        assert [one.unreadable.partition(": ")[2] for one in found[:5]] == [
            "it is no object",
            "it lacks a mapping of messages",
            "it lacks an id",
            "its messages go round in a circle at 'm1'",
            "its message 'nowhere' is not there",
        ]
        assert "conversation 5 of " in found[4].unreadable
        assert found[5].session == "chatgpt:good"

    def test_zip_folder_and_split_files(self, tmp_path: Path) -> None:
        parts: dict[str, str | bytes] = {
            f"export/conversations-00{n}.json": json.dumps([chat(f"c{n}", "hello")]) for n in (1, 0)
        }
        others: dict[str, str | bytes] = {"export/user.json": "{}", "__MACOSX/conversations.json": b"\0"}
        path = write_zip(tmp_path / "chatgpt.zip", parts | others)
        assert [one.session for one in read("chatgpt", path)] == ["chatgpt:c0", "chatgpt:c1"]
        folder = tmp_path / "folder"
        folder.mkdir()
        write_json(folder / "conversations.json", [chat("c", "hello")])
        assert [one.session for one in read("chatgpt", folder)] == ["chatgpt:c"]


class TestClaude:
    def test_words_roles_and_times(self, tmp_path: Path) -> None:
        messages = [
            claude_message("human", "I have a beagle.", "2024-05-01T10:00:00.123456Z"),
            claude_message("assistant", "Lovely!", "2024-05-01T10:00:05Z"),
        ]
        (one,) = read("claude", write_json(tmp_path / "c.json", [claude_conversation("c1", messages)]))
        assert one.session == "claude:c1"
        assert said(one) == [("user", "I have a beagle."), ("assistant", "Lovely!")]
        assert one.messages[0]["time"] == datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)
        assert one.messages[0]["meta"] == {"title": "About c1"}

    def test_attachments_are_named_and_tools_passed_over(self, tmp_path: Path) -> None:
        at = "2024-05-01T10:00:00Z"
        blocks = [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "Here"},
            {"type": "tool_use", "name": "x"},
            {"type": "text", "text": "it is."},
        ]
        messages = [
            claude_message(
                "human",
                "Read this",
                at,
                attachments=[{"file_name": "a.pdf", "extracted_content": "long"}],
                files=[{"file_name": "b.png"}],
            ),
            claude_message("assistant", "Here it is.", at, content=blocks),
            claude_message("human", "", at, files=[{"file_name": "c.png"}]),
            claude_message("robot", "beep", at),
        ]
        found = read("claude", write_json(tmp_path / "c.json", [claude_conversation("c", messages)]))
        assert said(found[0]) == [("user", "Read this"), ("assistant", "Here\nit is.")]
        assert found[0].messages[0]["meta"] == {"attachments": "a.pdf, b.png", "title": "About c"}
        assert skipped(found) == {
            "content of an attachment (its name is kept)": 3,
            "thoughts of the model": 1,
            "call of a tool": 1,
            "message without words": 1,
            "message of an unknown sender (robot)": 1,
        }

    def test_older_exports_have_text_alone(self, tmp_path: Path) -> None:
        message = claude_message("human", "Hello", "2024-05-01T10:00:00Z")
        del message["content"]
        (one,) = read("claude", write_json(tmp_path / "c.json", [claude_conversation("c", [message])]))
        assert said(one) == [("user", "Hello")]


def lines(path: Path, *values: Any) -> Path:
    path.write_text("\n".join(json.dumps(value) for value in values) + "\n", encoding="utf-8")
    return path


class TestJSONLines:
    def test_messages_and_conversations(self, tmp_path: Path) -> None:
        path = lines(
            tmp_path / "x.jsonl",
            {"role": "user", "content": "a", "time": "2024-05-01T10:00:00+02:00", "session": "s1"},
            {"role": "assistant", "text": "b", "timestamp": 1714550400, "session": "s1"},
            {"role": "user", "content": "c", "created_at": 1714550400000, "name": "Bob", "session": "s2"},
            {"messages": [{"role": "user", "content": "d"}], "id": "s3", "time": "2024-05-01"},
        )
        found = read("jsonl", path, zone=ZoneInfo("Europe/Berlin"))
        assert [one.session for one in found] == ["s1", "s2", "s3"]
        texts = [m.get("content") or m.get("text") for one in found for m in one.messages]
        assert texts == ["a", "b", "c", "d"]
        assert found[0].messages[1]["time"] == found[1].messages[0]["time"]
        assert found[2].messages[0]["time"].isoformat() == "2024-05-01T00:00:00+02:00"

    def test_without_a_time_one_must_be_given(self, tmp_path: Path) -> None:
        path = lines(
            tmp_path / "x.jsonl", {"content": "a"}, {"role": "system", "content": "b", "time": "2024-05-01"}
        )
        assert skipped(read("jsonl", path)) == {
            "message without a time (give --time)": 1,
            "system message": 1,
        }
        (one,) = read("jsonl", path, time=datetime(2024, 5, 1, tzinfo=UTC))
        assert one.messages[0]["time"] == datetime(2024, 5, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("{nonsense}", "line 2 is no JSON"),
            ('{"content": "x", "time": "2024-05-01"', "cut short"),
            ("[1]", "line 2 is '\\[1\\]', expected an object"),
            ('{"content": "x", "time": "yesterday"}', "line 2: time is 'yesterday'"),
            ('{"content": "x", "time": []}', "line 2: the time is"),
            ('{"content": "x", "time": 1e300}', "line 2: time is"),
            ('{"content": "x", "time": "2024-05-01", "colour": "red"}', "unknown key 'colour'"),
            ('{"content": 7, "time": "2024-05-01"}', "line 2: the content of the message is 7"),
            ('{"role": "boss", "content": "x", "time": "2024-05-01"}', "line 2: role is 'boss'"),
            ('{"messages": 7}', "line 2: its messages"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_line(self, tmp_path: Path, line: str, words: str) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text('{"content": "x", "time": "2024-05-01"}\n' + line)
        with pytest.raises(DataError, match=words) as caught:
            read("jsonl", path)
        assert caught.value.hint


class TestMarkdown:
    def test_sections_with_their_headings_and_dates(self, tmp_path: Path) -> None:
        path = tmp_path / "diary.md"
        path.write_text(
            "# Diary\nundated\n\n## 2024-05-01\nSaw Biscuit.\n\n### 14:30 Walk\nWe walked.\n\n"
            "## May 2nd, 2024\n```\n# not a heading\n```\n\n## 3 Feb. 2024 ##\n\nSnow.\n\n## Nothing\n",
            encoding="utf-8",
        )
        (one,) = read("markdown", path)
        assert [(message["time"].isoformat(), message["content"]) for message in one.messages] == [
            ("2024-05-01T00:00:00+00:00", "Diary · 2024-05-01\nSaw Biscuit."),
            ("2024-05-01T14:30:00+00:00", "Diary · 2024-05-01 · 14:30 Walk\nWe walked."),
            ("2024-05-02T00:00:00+00:00", "Diary · May 2nd, 2024\n```\n# not a heading\n```"),
            ("2024-02-03T00:00:00+00:00", "Diary · 3 Feb. 2024\nSnow."),
        ]
        assert one.skipped == {"section of a note without a date (give --time)": 1}
        assert one.session == "markdown:diary.md"

    def test_a_note_is_dated_by_its_name_or_its_front_matter(self, tmp_path: Path) -> None:
        (tmp_path / "daily").mkdir()
        (tmp_path / "daily" / "2024-05-01.md").write_text("Rain.")
        (tmp_path / "trip.md").write_text(
            "---\ntags: [x]\ncreated: 2024-06-01T09:30:00\n---\nLisbon is hilly."
        )
        (tmp_path / ".trash").mkdir()
        (tmp_path / ".trash" / "2024-01-01.md").write_text("gone")
        found = read("markdown", tmp_path, zone=ZoneInfo("Europe/Lisbon"))
        assert [(one.session, one.messages[0]["time"].isoformat()) for one in found] == [
            ("markdown:daily/2024-05-01.md", "2024-05-01T00:00:00+01:00"),
            ("markdown:trip.md", "2024-06-01T09:30:00+01:00"),
        ]

    def test_long_sections_are_cut_between_paragraphs(self, tmp_path: Path) -> None:
        paragraphs = [f"Paragraph {n}. " + "word " * 100 for n in range(9)]
        path = tmp_path / "2024-05-01.md"
        path.write_text("# All\n\n" + "\n\n".join(paragraphs))
        (one,) = read("markdown", path)
        assert 3 <= len(one.messages) <= 5
        assert all(message["content"].startswith("All\n") for message in one.messages)
        joined = "\n\n".join(message["content"].removeprefix("All\n") for message in one.messages)
        assert joined == "\n\n".join(text for text in paragraphs)

    @pytest.mark.parametrize(
        "words", ["2024-13-01", "12024-05-01", "31 June 2024", "May 2024", "version 1.2.3"]
    )
    def test_what_is_no_date(self, tmp_path: Path, words: str) -> None:
        path = tmp_path / "x.md"
        path.write_text(f"# {words}\ntext")
        (one,) = read("markdown", path)
        assert not one.messages


ANDROID = """01/05/2024, 10:00 - Messages and calls are end-to-end encrypted. Tap to learn more.
01/05/2024, 10:01 - Ana: I have a beagle.
He is called Biscuit:
the best.
01/05/2024, 10:02 - Bob: <Media omitted>
01/05/2024, 10:02 - Bob: IMG-20240501-WA0001.jpg (file attached)
my cat
01/05/2024, 10:03 - Bob: This message was deleted
01/05/2024, 10:03 - Bob changed their phone number
13/05/2024, 23:59 - Bob: Good night <This message was edited>
"""


class TestWhatsApp:
    def write(self, tmp_path: Path, text: str, name: str = "WhatsApp Chat with Bob.txt") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    def test_lines_media_and_notes(self, tmp_path: Path) -> None:
        found = read("whatsapp", self.write(tmp_path, ANDROID), me="ana")
        heard = [(m.get("speaker", ""), m["content"]) for one in found for m in one.messages]
        assert heard == [
            ("", "I have a beagle.\nHe is called Biscuit:\nthe best."),
            ("Bob", "my cat"),
            ("Bob", "Good night"),
        ]
        assert [one.session for one in found] == ["whatsapp:Bob:2024-05-01", "whatsapp:Bob:2024-05-13"]
        assert {message["role"] for one in found for message in one.messages} == {"user"}
        assert skipped(found) == {
            "note of WhatsApp itself": 2,
            "picture or file": 2,
            "deleted message or missed call": 1,
        }

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("[31/12/2023, 23:59:58] Ana: x", "2023-12-31T23:59:58"),
            ("[12/31/23, 11:59:58\u202fPM] Ana: x", "2023-12-31T23:59:58"),
            ("\u200e[31.12.23, 23:59:58] Ana: x", "2023-12-31T23:59:58"),
            ("31.12.23, 23:59 - Ana: x", "2023-12-31T23:59:00"),
            ("12/31/23, 12:05 AM - Ana: x", "2023-12-31T00:05:00"),
            ("31/12/2023, 12:05 p. m. - Ana: x", "2023-12-31T12:05:00"),
            ("2023-12-31, 23:59 - Ana: x", "2023-12-31T23:59:00"),
            ("[31.12.2023 klo 23.59.58] Ana: x", "2023-12-31T23:59:58"),
            ("31-12-2023 23:59 - Ana: x", "2023-12-31T23:59:00"),
            ("31/12/2023 23:59 - \u202aAna\u202c: x", "2023-12-31T23:59:00"),
        ],
    )
    def test_dates_as_phones_write_them(self, tmp_path: Path, line: str, expected: str) -> None:
        found = read("whatsapp", self.write(tmp_path, line + "\nsecond line\n"), me="Ana")
        (message,) = found[0].messages
        assert message["time"].isoformat() == f"{expected}+00:00"
        assert message["content"] == "x\nsecond line"

    def test_on_iphones_marks_tell_notes_from_words(self, tmp_path: Path) -> None:
        text = (
            "[31.12.23, 10:00:00] Bob: \u200eMessages and calls are end-to-end encrypted.\n"
            "[31.12.23, 10:00:01] Bob: \u200eimage omitted\n"
            "\u200e[31.12.23, 10:00:02] Bob: \u200e<attached: 0001-PHOTO.jpg>\n"
            "[31.12.23, 10:00:03] Bob: hello\n[31.12.23, 10:00:04] Ana: hi\n"
        )
        found = read("whatsapp", self.write(tmp_path, text), me="Ana")
        assert [m["content"] for m in found[0].messages] == ["hello", "hi"]
        assert skipped(found) == {"note of WhatsApp itself": 1, "picture or file": 2}

    def test_the_order_of_time_tells_day_from_month(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path, "05/04/24, 10:00 - Ana: a\n06/04/24, 10:00 - Ana: b\n01/05/24, 10:00 - Ana: c\n"
        )
        found = read("whatsapp", path, me="Ana")
        assert [one.session[-10:] for one in found] == ["2024-04-05", "2024-04-06", "2024-05-01"]

    def test_where_nothing_tells_it_must_be_said(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "05/04/24, 10:00 - Ana: a\n")
        with pytest.raises(UsageError, match="day or the month"):
            read("whatsapp", path, me="Ana")
        assert read("whatsapp", path, me="Ana", day_first=False)[0].session.endswith("2024-05-04")
        assert read("whatsapp", path, me="Ana", day_first=True)[0].session.endswith("2024-04-05")

    @pytest.mark.parametrize("me", ["", "Carol"])
    def test_it_must_be_known_who_the_person_is(self, tmp_path: Path, me: str) -> None:
        with pytest.raises(UsageError) as caught:
            read("whatsapp", self.write(tmp_path, ANDROID), me=me)
        assert "'Ana'" in str(caught.value.hint)
        assert "'Bob'" in str(caught.value.hint)

    def test_a_group_is_called_like_its_file(self, tmp_path: Path) -> None:
        text = "13/05/2024, 10:00 - Ana: a\n13/05/2024, 10:00 - Bob: b\n13/05/2024, 10:00 - Cy: c\n"
        path = self.write(tmp_path, text, "WhatsApp Chat with Friends (1).txt")
        assert read("whatsapp", path, me="Ana")[0].session == "whatsapp:WhatsApp Chat with Friends:2024-05-13"
        assert read("whatsapp", path, me="Ana", chat="Friends")[0].session == "whatsapp:Friends:2024-05-13"

    def test_out_of_the_zip(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "chat.zip", {"_chat.txt": ANDROID, "photo.jpg": b"\0"})
        assert len(read("whatsapp", path, me="Ana")) == 2

    def test_other_text_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="has no line like"):
            read("whatsapp", self.write(tmp_path, "Dear diary,\n"), me="Ana")


class TestFiles:
    @pytest.mark.parametrize("kind", ["chatgpt", "claude"])
    def test_files_that_cannot_be_read(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "empty").mkdir()
        latin = tmp_path / "latin.json"
        latin.write_bytes('[{"id": "caf\xe9"}]'.encode("latin-1"))
        good = write_zip(tmp_path / "good.zip", {"conversations.json": json.dumps([chat("c", "x" * 9999)])})
        bytes_of = bytearray(good.read_bytes())
        bytes_of[60:80] = b"\xff" * 20
        broken = tmp_path / "broken.zip"
        broken.write_bytes(bytes_of)
        other = write_zip(tmp_path / "other.zip", {"photo.jpg": b"x"})
        for path, words in [
            (tmp_path / "nowhere.json", "no file"),
            (tmp_path / "empty", "nothing to import: it is empty"),
            (latin, "not UTF-8"),
            (broken, "cannot be read"),
            (other, "photo.jpg"),
        ]:
            with pytest.raises(DataError, match=words) as caught:
                read(kind, path)
            assert caught.value.hint

    def test_progress_reaches_the_end(self, tmp_path: Path) -> None:
        seen: list[tuple[int, int]] = []
        path = write_zip(
            tmp_path / "x.zip",
            {"conversations.json": json.dumps([chat(f"c{n}", "y" * 500) for n in range(300)])},
        )
        read("chatgpt", path, progress=lambda done, total: seen.append((done, total)))
        assert len(seen) > 2
        assert seen[-1][0] == seen[-1][1]
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
