"""What the OpenAPI document promises is what the server does, whatever is sent: schemathesis asks."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks
from starlette.testclient import TestClient

from mnemon.agent.server import Door, TokenFile, create_app
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel

EXAMPLES = 5  # of each route; the seed is fixed, so that a failure comes again


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    model = ScriptedChatModel(lambda _messages, options: "{}" if options.json_schema else "Biscuit.")
    with Memory.open(folder / "people.db", embedder=HashEmbedder()) as memory:
        ana = memory.for_user("me")
        ana.remember(["My beagle is called Biscuit.", "I live in Faro."], session="s")
        door = Door(tokens=TokenFile(folder / "tokens.json"), hosts=["testserver"])
        yield create_app(memory, model, embedder=HashEmbedder(), door=door)


@pytest.fixture(scope="module")
def document(app):
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_every_route_keeps_to_the_document(document):
    kept = [checks.not_a_server_error, checks.response_schema_conformance]
    kept += [checks.content_type_conformance, checks.status_code_conformance]
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def keeps(case):
            case.call_and_validate(checks=kept)

        keeps()


def test_the_document_is_whole(app):
    with TestClient(app, base_url="http://localhost") as client:
        document = client.get("/openapi.json").json()
    assert document["info"]["title"] == "mnemon"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert "200" in operation["responses"], where
            if path not in ("/health",):
                assert operation["responses"]["default"], where
                assert operation["security"] == [{"HTTPBearer": []}], where
    assert "422" not in json.dumps(document), "what is wrong with a request is a 400, in OpenAI's form"
