"""The memory's routes: each is one call of a person's handle, and says so in JSON."""

import io
import zipfile

import pytest
from starlette.testclient import TestClient

ANA = {"user": "ana"}


def say(client, *texts, **more):
    answer = client.post("/api/remember", params=ANA, json={"said": list(map(message, texts)), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["ids"]


def message(text):
    return text if isinstance(text, dict) else {"content": text}


def get(client, path, **query):
    answer = client.get(path, params=ANA | query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(client, path, body=None, **query):
    answer = client.post(path, params=ANA | query, json={} if body is None else body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_was_said_is_found_and_says_why(client):
    say(client, "My beagle is called Biscuit.", "I work as a nurse.", time="2024-05-01T10:00:00+00:00")
    hit = post(client, "/api/recall", {"query": "beagle", "k": 1})[0]
    assert (hit["text"], hit["unit"]) == ("My beagle is called Biscuit.", "turn")
    assert hit["time"] == "2024-05-01T10:00:00+00:00"
    assert hit["why"]


def test_a_text_a_message_and_the_same_again(client):
    first = post(client, "/api/remember", {"said": "I play the cello.", "time": "2024-05-01T10:00:00Z"})
    again = post(
        client, "/api/remember", {"said": {"content": "I play the cello."}, "time": "2024-05-01T10:00:00Z"}
    )
    assert first == again
    assert len(get(client, "/api/timeline")) == 1


def test_facts_have_their_words_and_their_history(client):
    say(client, "I live in Faro.", time="2024-01-01T10:00:00Z")
    say(client, "I moved to Porto.", time="2024-05-01T10:00:00Z")
    (now,) = [fact for fact in get(client, "/api/facts") if fact["attribute"] == "lives in"]
    assert now["value"] == "Porto"
    assert now["quotes"][0]["words"] in "I moved to Porto."
    then = get(client, "/api/facts", as_of="2024-02-01T00:00:00Z")
    assert "Faro" in [fact["value"] for fact in then]
    values = [fact["value"] for fact in get(client, f"/api/facts/{now['id']}/history")]
    assert values[0] == "Faro"
    assert "Porto" in values


def test_the_timeline_and_its_sessions(client):
    say(client, "One.", "Two.", session="monday", time="2024-05-01T10:00:00Z")
    say(client, "Three.", session="tuesday", time="2024-05-02T10:00:00Z")
    assert [turn["text"] for turn in get(client, "/api/timeline", limit=1)] == ["Three."]
    monday = get(client, "/api/timeline", session="monday", newest_first=False)
    assert [turn["text"] for turn in monday] == ["One.", "Two."]
    assert [(one["id"], one["turns"]) for one in get(client, "/api/sessions")] == [
        ("monday", 2),
        ("tuesday", 1),
    ]


def test_a_preview_of_forgetting_does_nothing_and_forgetting_does_that(client):
    say(client, "My beagle is called Biscuit.", "I work as a nurse.")
    planned = post(client, "/api/forget/preview", {"target": "biscuit"})
    assert [turn["text"] for turn in planned["episodes"]] == ["My beagle is called Biscuit."]
    assert planned["facts"]
    assert len(get(client, "/api/timeline")) == 2
    assert post(client, "/api/forget", {"target": "biscuit"}) == planned
    assert "Biscuit" not in str(get(client, "/api/timeline")) + str(get(client, "/api/facts"))


def test_writes_are_listed_shown_and_taken_back(client):
    assert client.get("/api/diff", params=ANA).json() is None
    say(client, "I live in Faro.")
    shown = get(client, "/api/diff")
    assert shown["action"] == "remember"
    assert any("I live in Faro." in change["line"] for change in shown["differences"])
    undone = post(client, "/api/undo")
    assert undone["undoes"] == shown["event"]
    assert get(client, "/api/timeline") == []
    assert [one["action"] for one in get(client, "/api/log")] == ["undo", "remember"]
    post(client, "/api/undo", {"event": undone["event"]})
    assert len(get(client, "/api/timeline")) == 1


def test_tidying_up_can_be_looked_at_first(client):
    say(client, "I live in Faro.", time="2024-01-01T10:00:00Z", session="s")
    dry = post(client, "/api/consolidate", {"dry_run": True})
    assert dry["event"] == 0
    assert len(post(client, "/api/consolidate")["differences"]) == len(dry["differences"])


def test_an_export_is_taken_in_elsewhere(client):
    say(client, "My beagle is called Biscuit.")
    body = client.get("/api/export", params=ANA).content
    assert "episodes.jsonl" in zipfile.ZipFile(io.BytesIO(body)).namelist()
    other = {"user": "ana's new machine"}
    taken = client.post("/api/import", params=other, content=body)
    assert taken.status_code == 200, taken.text
    assert client.post("/api/import", params=other, content=body).json()["records"] == 0
    timeline = client.get("/api/timeline", params=other).json()
    assert [turn["text"] for turn in timeline] == ["My beagle is called Biscuit."]


def test_what_is_no_export_is_bad_data_and_changes_nothing(client):
    answer = client.post("/api/import", params=ANA, content=b"PK not a zip")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_data")
    assert get(client, "/api/stats")["episodes"] == 0


def test_erasing_wants_the_name_and_takes_everything(client, db):
    say(client, "My secret word is teal.")
    refused = client.post("/api/erase", params=ANA, json={"confirm": "yes"})
    assert refused.status_code == 400
    assert post(client, "/api/erase", {"confirm": "ana"})["episodes"] == 1
    assert get(client, "/api/stats")["episodes"] == 0
    left = b"".join(path.read_bytes() for path in db.parent.iterdir() if path.is_file())
    assert b"teal" not in left


def test_feedback_on_pairs_replies_and_recall(client):
    ids = say(client, "Tell me a joke.", {"role": "assistant", "content": "No."})
    hit = post(client, "/api/recall", {"query": "joke"})[0]
    post(client, "/api/feedback/pair", {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"})
    post(client, "/api/feedback/rating", {"reply_id": ids[1], "rating": -1, "why": "rude"})
    post(client, "/api/feedback/used", {"query": "joke", "good": [hit["id"]]})
    assert [one["about"] for one in get(client, "/api/feedback")] == ["pair", "reply", "retrieval"]
    assert get(client, "/api/feedback", about="reply")[0]["bad"] == [ids[1]]


def test_any_text_a_memory_can_hold_can_be_sent(client, memory):
    memory.for_user("ana").remember("A lone \ud800 surrogate, a \0 and a \u202e turn.")
    assert get(client, "/api/timeline")[0]["text"] == "A lone \ud800 surrogate, a \0 and a \u202e turn."


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/api/recall", {"query": "x", "k": 0}, "k"),
        ("/api/recall", {"query": "x", "units": ["chapter"]}, "units.0"),
        ("/api/recall", {"query": "x", "time": "yesterday"}, None),
        ("/api/remember", {"said": ""}, None),
        ("/api/remember", {"said": []}, "said"),
        ("/api/undo", {"event": 7}, None),
        ("/api/forget", {"target": "..."}, None),
    ],
)
def test_bad_input_is_named_and_changes_nothing(client, path, body, place):
    answer = client.post(path, params=ANA, json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert place is None or error["param"].startswith(place)
    assert get(client, "/api/stats")["events"] == 0


def test_without_a_name_the_memory_is_that_of_the_settings(make_app):
    with TestClient(make_app(default_user="me"), base_url="http://localhost") as client:
        client.post("/api/remember", json={"said": "I play the cello."})
        assert len(client.get("/api/timeline", params={"user": "me"}).json()) == 1
        assert client.get("/api/whoami").json()["default_user"] == "me"
        assert client.get("/api/users").json() == ["me"]


def test_the_profile_says_what_it_rests_on_and_can_be_edited(client):
    say(client, "I am allergic to nuts.")
    profile = get(client, "/api/profile")
    (nuts,) = [one for one in profile["statements"] if "nuts" in one["text"]]
    assert nuts["quotes"][0]["words"] in "I am allergic to nuts."
    left = client.delete(f"/api/profile/statements/{nuts['key']}", params=ANA).json()
    assert "nuts" not in str(left)
    more = post(client, "/api/profile/statements", {"section": "preferences", "text": "Window seats."})
    assert [one["text"] for one in more["statements"]] == ["Window seats."]
    assert get(client, "/api/timeline"), "what was said stays"


def test_traits_are_set_dropped_and_listed(client):
    names = [one["name"] for one in get(client, "/api/traits")]
    assert "concise" in names
    led = client.put("/api/profile/traits/concise", params=ANA, json={"weight": 0.8}).json()
    assert [(one["trait"], one["weight"], one["origin"]) for one in led["traits"]] == [
        ("concise", 0.8, "hand")
    ]
    assert client.delete("/api/profile/traits/concise", params=ANA).json()["traits"] == []
    unknown = client.put("/api/profile/traits/grumpyish", params=ANA, json={"weight": 1})
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (400, "invalid_request_error")


def test_versions_of_the_profile_are_kept_and_come_back(client):
    say(client, "I am allergic to nuts.")
    first = post(client, "/api/profile/refresh")
    client.put("/api/profile/traits/concise", params=ANA, json={"weight": 1})
    post(client, "/api/profile/refresh")
    versions = get(client, "/api/profile/versions")
    assert len(versions) == 2
    assert post(client, "/api/profile/restore", {"version": versions[0]["id"]}) == first
    refused = client.post("/api/profile/restore", params=ANA, json={"version": "p-none"})
    assert refused.status_code == 400
