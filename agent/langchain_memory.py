"""A person's memory for LangChain's chains: a retriever over what was said, and a conversation's history.

Types of LangChain stay in this module; the chat model's side is `mnemon.agent.langchain`.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from mnemon.errors import UsageError
from mnemon.memory import Episode, Hit, Person

_ROLES = {"human": "user", "ai": "assistant", "tool": "tool"}
_BLOCKS = frozenset({"text", "output_text"})  # kinds of content that are words


class PersonRetriever(BaseRetriever):
    """`PersonRetriever(person=memory.for_user("ana"), k=5)`: recall as a retriever. Where and when it was
    said, by whom and why it was found stand in each document's metadata."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    person: Person
    k: int = 5
    units: tuple[str, ...] = ("turn",)  # "turn", "fact", "summary"
    before: str | None = None  # only what was said before this, ISO 8601

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  nothing to report before the end
        k: int | None = None,
    ) -> list[Document]:
        count = self.k if k is None else k
        return [
            _document(hit) for hit in self.person.recall(query, count, before=self.before, units=self.units)
        ]


def _document(hit: Hit) -> Document:
    metadata = {
        "time": None if hit.time is None else hit.time.isoformat(),
        "session": hit.session,
        "speaker": hit.speaker,
        "role": hit.role,
        "unit": hit.unit,
        "source": hit.source,
        "score": hit.score,
        "why": dict(hit.why),
    }
    return Document(id=hit.id, page_content=hit.text, metadata=metadata)


class PersonChatHistory(BaseChatMessageHistory):
    """One conversation of a person as LangChain's chat history: what is added is remembered like all else.

    System messages and messages without words (a bare tool call) are not kept, pictures and files neither.
    `clear` forgets the conversation for good, with all that was derived from it.
    """

    def __init__(self, person: Person, session: str) -> None:
        if not session:
            raise UsageError(
                "session='' names no conversation.", hint='PersonChatHistory(person, "thread-1")'
            )
        self._person = person
        self._session = session

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # the base has an attribute
        return [_message(turn) for turn in self._person.timeline(session=self._session)]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """In one transaction: all of them are on the disk when this returns."""
        said = [found for message in messages if (found := _turn(message)) is not None]
        if said:
            self._person.remember(said, session=self._session, source="langchain")

    def clear(self) -> None:
        self._person.forget_session(self._session)


def _turn(message: BaseMessage) -> dict[str, Any] | None:
    """A message as memory takes it; None for what holds nothing to remember."""
    kind = message.type.removesuffix("MessageChunk").lower()
    if kind == "system":
        return None
    if kind not in _ROLES:
        raise UsageError(f"A message of type {message.type!r} cannot be kept; known are {sorted(_ROLES)}.")
    text = _text(message)
    if not text.strip():
        return None
    turn: dict[str, Any] = {"role": _ROLES[kind], "content": text}
    if message.name:
        turn["speaker"] = message.name
    if isinstance(message, ToolMessage):
        turn["meta"] = {"tool_call_id": message.tool_call_id}
    return turn


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    blocks = [block for block in message.content if isinstance(block, str) or block.get("type") in _BLOCKS]
    return "".join(block if isinstance(block, str) else str(block.get("text", "")) for block in blocks)


def _message(turn: Episode) -> BaseMessage:
    name = turn.speaker or None
    if turn.role == "assistant":
        return AIMessage(turn.text, id=turn.id, name=name)
    if turn.role == "tool":
        return ToolMessage(turn.text, id=turn.id, tool_call_id=str(turn.meta.get("tool_call_id", "")))
    return HumanMessage(turn.text, id=turn.id, name=name)
