"""OpenAI's request for a reply, with one field of ours beside theirs, and what becomes of it.

`mnemon` says how the reply is led: a whole steering as data, or in short a persona, the conversation without
its memories, and a budget.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mnemon.agent.decoding.policies import KLBudget, ReplyBudget
from mnemon.agent.decoding.presets import grounding, grounding_term
from mnemon.agent.decoding.steering import Branch, Steering
from mnemon.agent.local import LocalChatModel
from mnemon.agent.model_server.steering_data import from_data, policy_from_data
from mnemon.agent.seams import Message, ReplyOptions
from mnemon.agent.server.chat_schema import ChatMessage, Name, ResponseFormat, StreamOptions, Weight
from mnemon.errors import UsageError
from mnemon.profiles import Persona, TraitBank

DEFAULT_TOKENS = 512


class Led(BaseModel):
    """How to lead a reply. `steering` is the whole of it; the fields before it are its short form."""

    model_config = ConfigDict(extra="forbid")

    persona: Annotated[
        dict[Name, Weight], Field(max_length=100, description="Traits of the bank and their weights.")
    ] = {}
    about: Annotated[
        list[Name], Field(max_length=50, description="Lines about the person that the reply should suit.")
    ] = []
    without_memories: Annotated[
        list[ChatMessage] | None,
        Field(
            min_length=1, max_length=5_000, description="What `messages` say more than these leads the reply."
        ),
    ] = None
    grounding: Annotated[float, Field(ge=0, le=10, description="How hard to lead by the memories.")] = 1.0
    epsilon: Annotated[float | None, Field(ge=0, le=10, description="Nats a token may diverge.")] = None
    policy: Annotated[dict[str, Any] | None, Field(description='{"kind": "KLBudget", ...}')] = None
    steering: Annotated[
        dict[str, Any] | None, Field(description="A steering as data; nothing else then.")
    ] = None
    trace: Annotated[bool, Field(description="Say what steering did, token by token.")] = False

    @property
    def _in_short(self) -> bool:
        return bool(self.persona or self.about or self.without_memories)

    def made(self, model: LocalChatModel, question: str) -> Steering | None:
        """The steering that is asked for; None where nothing is."""
        if self.steering is not None:
            if self._in_short or self.policy is not None or self.epsilon is not None:
                raise UsageError("mnemon.steering says all; give it alone, or leave it out.")
            return from_data(self.steering)
        if self.policy is not None and self.epsilon is not None:
            raise UsageError("mnemon.policy and mnemon.epsilon both say how hard to lead; give one.")
        steering = self._grounded(self._manner(model, question))
        if steering is None:
            return None
        if self.policy is not None:
            return replace(steering, policy=policy_from_data(self.policy, "mnemon.policy"))
        if self.epsilon is not None:
            budget = ReplyBudget if isinstance(steering.policy, ReplyBudget) else KLBudget
            return replace(steering, policy=budget(self.epsilon))
        return steering

    def _manner(self, model: LocalChatModel, question: str) -> Steering | None:
        bank, persona = TraitBank.load(), Persona()
        for name, weight in self.persona.items():
            persona = persona.leaning(name, weight, bank=bank)
        plan = persona.plan(question, bank=bank, about=self.about)
        return model.steering_for(plan, asked=question) if plan else None

    def _grounded(self, manner: Steering | None) -> Steering | None:
        if self.without_memories is None or not self.grounding:
            return manner
        without = Branch(name="without memories", messages=_plain(self.without_memories))
        if manner is None:
            return grounding(without, lam=self.grounding)
        return replace(manner, terms=(*manner.terms, grounding_term(without, weight=self.grounding)))


class Wanted(BaseModel):
    """A request for a reply."""

    model: Name = "default"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=5_000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=500, description="Whose turn it is, for fairness.")] = ""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: Name | Annotated[list[Name], Field(max_length=64)] | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    tools: Annotated[list[Any], Field(max_length=0, description="Not offered.")] | None = None
    mnemon: Led | None = None

    def said(self) -> tuple[Message, ...]:
        return _plain(self.messages)

    def question(self) -> str:
        return next((one.text for one in reversed(self.messages) if one.role == "user"), "")

    def options(self) -> ReplyOptions:
        form = self.response_format
        return ReplyOptions(
            max_tokens=self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS,
            temperature=self.temperature or 0.0,
            top_p=self.top_p or 1.0,
            seed=self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            json_schema=None if form is None else form.schema_asked(),
        )


class LikelihoodsWanted(BaseModel):
    model: Name = "default"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=5_000)]
    continuations: Annotated[list[str], Field(max_length=1_000)]

    def said(self) -> tuple[Message, ...]:
        return _plain(self.messages)


def _plain(messages: list[ChatMessage]) -> tuple[Message, ...]:
    return tuple({"role": _ROLES.get(one.role, one.role), "content": one.text} for one in messages)


_ROLES = {"developer": "system", "function": "tool"}  # as OpenAI has called them at other times
