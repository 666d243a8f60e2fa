"""Memory inside LangChain's chains: the retriever, and a conversation's history."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from mnemon import Memory, Person, UsageError
from mnemon.agent.langchain_memory import PersonChatHistory, PersonRetriever
from mnemon.testing import HashEmbedder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(":memory:", embedder=HashEmbedder()) as memory:
        yield memory


@pytest.fixture
def ana(memory: Memory) -> Person:
    ana = memory.for_user("ana")
    said = ["My beagle is called Biscuit.", "I live in Lisbon.", "I play the violin on Sundays."]
    ana.remember(said, time="2024-05-01T10:00:00+00:00", session="s1")
    return ana


class TestRetriever:
    def test_documents_say_where_they_come_from(self, ana: Person) -> None:
        found = PersonRetriever(person=ana, k=2).invoke("what is my beagle called?")
        assert len(found) == 2
        assert all(isinstance(one, Document) for one in found)
        first = found[0]
        assert first.page_content == "My beagle is called Biscuit."
        assert first.id == ana.recall("beagle", k=1)[0].id
        assert first.metadata["time"] == "2024-05-01T10:00:00+00:00"
        assert (first.metadata["session"], first.metadata["speaker"]) == ("s1", "user")
        assert first.metadata["score"] >= found[1].metadata["score"]

    def test_how_many_is_said_when_it_is_made_or_asked(self, ana: Person) -> None:
        assert len(PersonRetriever(person=ana, k=1).invoke("beagle")) == 1
        assert len(PersonRetriever(person=ana, k=1).invoke("beagle", k=3)) == 3

    def test_without_waiting_and_many_at_once(self, ana: Person) -> None:
        retriever = PersonRetriever(person=ana, k=1)
        assert asyncio.run(retriever.ainvoke("violin"))[0].page_content.startswith("I play")
        found = retriever.batch(["violin", "which city?", "Lisbon"])
        assert [one[0].page_content[:6] for one in found][2] == "I live"

    def test_facts_and_what_was_said_before(self, ana: Person) -> None:
        assert PersonRetriever(person=ana, units=("fact",)).invoke("city")[0].metadata["unit"] == "fact"
        assert PersonRetriever(person=ana, before="2020-01-01").invoke("city") == []
        assert PersonRetriever(person=ana).invoke(" ") == []

    def test_in_a_chain(self, ana: Person) -> None:
        chain = PersonRetriever(person=ana, k=1) | RunnableLambda(lambda found: found[0].page_content)
        assert chain.invoke("Lisbon") == "I live in Lisbon."


class TestHistory:
    def test_what_is_added_comes_back_in_order(self, ana: Person) -> None:
        history = PersonChatHistory(ana, "t1")
        assert isinstance(history, BaseChatMessageHistory)
        assert history.messages == []
        history.add_messages([HumanMessage("I have a cat."), AIMessage("Lovely!")])
        history.add_user_message("She is called Mia.")
        history.add_ai_message(AIMessageChunk(content=[{"type": "text", "text": "Hello "}, "Mia."]))
        history.add_messages([ToolMessage("12 degrees", tool_call_id="c1"), HumanMessage("Brr", name="Ana")])
        assert [(one.type, one.content) for one in history.messages] == [
            ("human", "I have a cat."),
            ("ai", "Lovely!"),
            ("human", "She is called Mia."),
            ("ai", "Hello Mia."),
            ("tool", "12 degrees"),
            ("human", "Brr"),
        ]
        assert history.messages[4].tool_call_id == "c1"  # type: ignore[attr-defined]
        assert history.messages[5].name == "Ana"
        assert any("cat" in fact.text for fact in ana.facts())

    def test_what_nobody_said_is_not_kept(self, ana: Person) -> None:
        history = PersonChatHistory(ana, "t1")
        picture: list[str | dict[Any, Any]] = [{"type": "image_url", "image_url": {"url": "data:"}}]
        history.add_messages([SystemMessage("Be brief."), AIMessage(""), HumanMessage(picture)])
        assert history.messages == []
        with pytest.raises(UsageError, match="'chat' cannot be kept"):
            history.add_messages([ChatMessage("x", role="critic")])

    def test_conversations_and_persons_are_apart(self, ana: Person, memory: Memory) -> None:
        PersonChatHistory(ana, "t1").add_user_message("one")
        PersonChatHistory(memory.for_user("bob"), "t1").add_user_message("two")
        assert [one.content for one in PersonChatHistory(ana, "t1").messages] == ["one"]
        assert PersonChatHistory(ana, "t2").messages == []

    def test_clear_forgets_the_conversation_for_good(self, tmp_path: Path) -> None:
        path = tmp_path / "p.db"
        with Memory.open(path, embedder=None) as memory:
            ana = memory.for_user("ana")
            ana.remember("I live in Lisbon.", session="other")
            history = PersonChatHistory(ana, "t1")
            history.add_messages([HumanMessage("My cat is called Xyzzy."), AIMessage("Hello Xyzzy!")])
            assert len(ana.facts()) >= 2
            history.clear()
            history.clear()
            assert history.messages == []
            assert [fact.value for fact in ana.facts()] == ["Lisbon"]
        assert b"Xyzzy" not in path.read_bytes()

    def test_without_waiting(self, ana: Person) -> None:
        async def work() -> list[Any]:
            history = PersonChatHistory(ana, "t1")
            await history.aadd_messages([HumanMessage("one")])
            found = await history.aget_messages()
            await history.aclear()
            return [found[0].content, await history.aget_messages()]

        assert asyncio.run(work()) == ["one", []]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
    def test_under_a_chain_that_keeps_its_history(self, ana: Person) -> None:
        prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{input}")])
        seen: list[int] = []
        chain = prompt | RunnableLambda(lambda value: seen.append(len(value.to_messages())) or value)
        talk = RunnableWithMessageHistory(
            chain | FakeListChatModel(responses=["Hello Ana!", "Biscuit."]),
            lambda session_id: PersonChatHistory(ana, session_id),
            input_messages_key="input",
            history_messages_key="history",
        )
        for words in ("I am Ana.", "What is my dog called?"):
            talk.invoke({"input": words}, config={"configurable": {"session_id": "t9"}})
        assert seen == [1, 3]
        assert [one.content for one in PersonChatHistory(ana, "t9").messages] == [
            "I am Ana.",
            "Hello Ana!",
            "What is my dog called?",
            "Biscuit.",
        ]

    def test_a_conversation_has_a_name(self, ana: Person) -> None:
        with pytest.raises(UsageError):
            PersonChatHistory(ana, "")
