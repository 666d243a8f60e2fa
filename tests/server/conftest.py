"""A memory on doubles, tokens beside it, and applications over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from mnemon.agent import ChatModel
from mnemon.agent.server import Door, Limits, TokenFile, create_app
from mnemon.memory import Memory
from mnemon.profiles import PatternProfiler
from mnemon.testing import HashEmbedder, ScriptedChatModel

MakeApp = Callable[..., FastAPI]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def memory(db: Path):
    with Memory.open(db, embedder=HashEmbedder(), profiler=PatternProfiler()) as opened:
        yield opened


@pytest.fixture
def tokens(db: Path, tmp_path: Path) -> TokenFile:
    return TokenFile.beside(str(db), home=tmp_path)


@pytest.fixture
def make_app(memory: Memory, tokens: TokenFile) -> MakeApp:
    def make(model: ChatModel | None = None, *, limits: Limits | None = None, **door: Any) -> FastAPI:
        chosen = model or ScriptedChatModel(lambda _messages, _options: "Biscuit, of course.")
        wanted = Door(tokens=tokens, **door)
        return create_app(memory, chosen, embedder=HashEmbedder(), door=wanted, limits=limits)

    return make


@pytest.fixture
def client(make_app: MakeApp):
    with TestClient(make_app(), base_url="http://localhost") as opened:
        yield opened
