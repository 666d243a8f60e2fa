"""Tokens: shown once, kept as hashes in a file that is the owner's alone, gone when they are revoked."""

import json
import os
import stat

import pytest

from mnemon.agent.server import TokenFile
from mnemon.cli import main
from mnemon.errors import StoreError, UsageError


def test_a_token_is_found_by_its_secret_and_kept_without_it(tokens):
    token, secret = tokens.new("ana", note="phone")
    assert tokens.find(secret) == token
    assert (token.user, token.note, token.is_admin) == ("ana", "phone", False)
    assert secret not in tokens.path.read_text(encoding="utf-8")
    assert tokens.find(secret[:-1]) is None
    assert tokens.find("") is None


def test_secrets_are_long_and_different(tokens):
    made = {tokens.new("ana")[1] for _ in range(5)}
    assert len(made) == 5
    assert all(len(secret) >= 43 for secret in made)


def test_the_file_is_the_owners_alone(tokens):
    tokens.new(None)
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_a_file_that_is_open_to_others_is_refused(tokens, mode):
    _, secret = tokens.new("ana")
    os.chmod(tokens.path, mode)
    with pytest.raises(StoreError, match="read or changed by others") as told:
        TokenFile(tokens.path).find(secret)
    assert "chmod 600" in told.value.hint


def test_another_process_s_revoking_is_seen_at_once(tokens):
    token, secret = tokens.new("ana")
    assert tokens.find(secret) is not None
    TokenFile(tokens.path).revoke(token.id)
    assert tokens.find(secret) is None
    with pytest.raises(UsageError, match="no token"):
        tokens.revoke(token.id)


def test_a_person_s_tokens_go_with_them(memory, tokens):
    memory.also_erase(tokens.forget)
    for user in ("ana", "ben", "ana"):
        tokens.new(user)
    memory.for_user("ana").erase()
    assert [token.user for token in tokens.all()] == ["ben"]
    assert "ana" not in tokens.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"version": 1, "tokens": [{"id": "x"}]}', "\xff"])
def test_a_damaged_file_opens_nothing(tokens, body):
    tokens.path.write_bytes(body.encode("latin-1"))
    tokens.path.chmod(0o600)
    with pytest.raises(StoreError, match=r"not a file of tokens"):
        tokens.find("mn_anything")


def test_a_newer_file_is_left_alone(tokens):
    tokens.path.write_text('{"version": 2, "tokens": []}', encoding="utf-8")
    tokens.path.chmod(0o600)
    with pytest.raises(StoreError, match="version 2"):
        tokens.new("ana")
    assert json.loads(tokens.path.read_text(encoding="utf-8"))["version"] == 2


@pytest.mark.parametrize(
    ("db", "expected"),
    [
        ("/data/people.db", "/data/people.db.tokens.json"),
        ("sqlite:////data/people.db", "/data/people.db.tokens.json"),
        (":memory:", "/home/me/tokens.json"),
        ("sqlite://", "/home/me/tokens.json"),
        ("postgresql://ana:secret@db/people", "/home/me/tokens.json"),
    ],
)
def test_where_the_file_lies(tmp_path, db, expected):
    from pathlib import Path

    assert TokenFile.beside(db, home=Path("/home/me")).path == Path(expected)


def test_the_folder_is_made_as_the_database_makes_its_own(tmp_path):
    tokens = TokenFile(tmp_path / "new" / "home" / "tokens.json")
    _, secret = tokens.new("ana")
    assert tokens.find(secret) is not None


def test_the_commands(tmp_path, capsys):
    db = str(tmp_path / "people.db")
    assert main(["token", "list", "--db", db]) == 0
    assert "There are no tokens" in capsys.readouterr().out
    assert main(["token", "new", "--user", "ana", "--db", db, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert TokenFile.beside(db, home=tmp_path).find(made["token"]).user == "ana"
    assert main(["token", "new", "--admin", "--db", db]) == 0
    assert capsys.readouterr().out.startswith("mn_")
    assert main(["token", "list", "--db", db, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["user"], one["is_admin"]) for one in listed] == [("ana", False), (None, True)]
    assert "sha256" not in listed[0]
    assert main(["token", "revoke", made["id"], "--db", db]) == 0
    assert main(["token", "list", "--db", db]) == 0
    assert "ana" not in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("given", [[], ["--user", "ana", "--admin"]])
def test_a_token_is_a_person_s_or_an_admin_s(tmp_path, capsys, given):
    assert main(["token", "new", "--db", str(tmp_path / "p.db"), *given]) == 2
    assert "one person's or an admin's" in capsys.readouterr().err


def test_serving_beyond_loopback_wants_a_token_first(tmp_path, capsys):
    assert main(["serve", "--host", "0.0.0.0", "--db", str(tmp_path / "p.db")]) == 2
    assert "mnemon token new" in capsys.readouterr().err
