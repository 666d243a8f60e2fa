"""What every test starts with: no network, no keys, none of your settings, a home of its own, fixed seeds."""

import ipaddress
import os
import random
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Read before the environment is cleaned: where the developer's (or CI's) pulled weights lie.
_WEIGHTS_HOME = os.environ.get("MNEMON_TEST_HOME") or os.environ.get("MNEMON_HOME")

# Libraries read these when they are first imported, so they stand for the whole run.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "TOKENIZERS_PARALLELISM": "false",
    "LANGSMITH_TRACING": "false",
}

# The same examples in every run: a new one that fails belongs to who looks for it, not to who changed a word.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_UNWANTED_PREFIXES = (
    "MNEMON_",
    "LANGSMITH_",
    "LANGCHAIN_",
    "OPENAI_",
    "ANTHROPIC_",
    "HF_TOKEN",
    "COLUMNS",
    "LINES",
)
_UNWANTED = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE")


class NetworkUsed(AssertionError):  # noqa: N818  it names what happened
    """A test reached beyond this machine."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any socket beyond loopback fails the test, also when the code under test swallows the error."""
    attempts: list[str] = []

    def refuse(host: object) -> None:
        attempts.append(str(host))
        raise NetworkUsed(f"a test may not use the network, but reached for {host!r}")

    def check(address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None  # a path of a Unix socket is no tuple
        if host is not None and not _is_loopback(host):
            refuse(host)

    def guarded(name: str) -> None:
        original = getattr(socket.socket, name)

        def method(self: socket.socket, *arguments: object) -> object:
            address = arguments[-1] if name == "sendto" else arguments[0]
            if self.family in (socket.AF_INET, socket.AF_INET6):
                check(address)
            return original(self, *arguments)

        monkeypatch.setattr(socket.socket, name, method)

    for name in ("connect", "connect_ex", "sendto"):
        guarded(name)
    resolve = socket.getaddrinfo

    def getaddrinfo(host: object, *arguments: object, **options: object) -> object:
        if host is not None and not _is_loopback(host):
            refuse(host)
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    if attempts:
        pytest.fail(f"the test used the network: {', '.join(attempts)}")


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No keys, no settings, no proxies; `MNEMON_HOME` is new for each test. Returns it.

    Processes that a test starts meet a closed door where they look for the network.
    """
    for name in list(os.environ):
        if name.startswith(_UNWANTED_PREFIXES) or name.endswith("_API_KEY") or name in _UNWANTED:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MNEMON_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for scheme in ("http", "https", "all"):
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1,::1")
    return home


@pytest.fixture(autouse=True)
def seeds() -> None:
    """The same random numbers in every run. Libraries that were not loaded are not loaded for this."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def weights_home() -> Path:
    """The home whose `models` folder holds the real weights; read-only by agreement."""
    if _WEIGHTS_HOME:
        return Path(_WEIGHTS_HOME)
    import platformdirs

    return platformdirs.user_data_path("mnemon", appauthor=False)


@pytest.fixture(scope="session")
def chat_weights(weights_home: Path) -> Path:
    """The folder of the default language model, the real one."""
    return _weights("smollm2-135m-instruct", weights_home)


@pytest.fixture(scope="session")
def embedder_weights(weights_home: Path) -> Path:
    """The folder of the default embedder, the real one."""
    return _weights("all-minilm-l6-v2", weights_home)


@pytest.fixture
def home_with_weights(clean_environment: Path, chat_weights: Path, embedder_weights: Path) -> Path:
    """This test's own `MNEMON_HOME`, in which the real weights are found under their names."""
    models = clean_environment / "models"
    models.mkdir()
    for folder in (chat_weights, embedder_weights):
        (models / folder.name).symlink_to(folder, target_is_directory=True)
    return clean_environment


def _weights(name: str, home: Path) -> Path:
    from mnemon.errors import ModelError
    from mnemon.models import model_path

    try:
        return model_path(name, home=home)
    except ModelError as error:
        pytest.fail(f"This test needs real weights. {error}", pytrace=False)
