"""A tiny model, and the same model behind a server."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemon.agent import LocalChatModel
from mnemon.agent.model_server import ServedChatModel, create_model_app
from mnemon.agent.server import serving
from tests.agent import tiny_gguf


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture
def local(folder: Path) -> LocalChatModel:
    """Opened anew: what was read before changes the last digits of what is computed."""
    return LocalChatModel.open(folder, device="cpu", dtype="float32")


@pytest.fixture
def served(folder: Path) -> Iterator[ServedChatModel]:
    model = LocalChatModel.open(folder, device="cpu", dtype="float32")
    with serving(create_model_app(model)) as url:
        yield ServedChatModel(url)


class Gate:
    """Holds every step of a network until it may go."""

    def __init__(self) -> None:
        self.go, self.waiting = threading.Event(), threading.Semaphore(0)


@pytest.fixture
def gate(local: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> Gate:
    held = Gate()
    forward = local.rows.trunk.forward

    def when_it_may(*arguments):
        held.waiting.release()
        assert held.go.wait(20), "the test has forgotten to let it go"
        return forward(*arguments)

    monkeypatch.setattr(local.rows.trunk, "forward", when_it_may)
    return held
