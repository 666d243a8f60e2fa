"""`mnemon eval` as it is typed."""

import json
from pathlib import Path

import pytest

from mnemon.cli.app import run


@pytest.fixture
def mnemon(capsys):
    """Run a command line; returns exit code, standard output and standard error."""

    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_run_prints_one_object(mnemon, tiny, tmp_path):
    code, out, _ = mnemon(
        "eval", "locomo", "--data", tiny("locomo"), "--system", "bm25", "--out", tmp_path / "a", "--json"
    )
    assert code == 0
    result = json.loads(out)
    assert set(result) == {"task", "mode", "protocol", "n", "metrics", "by", "unscored", "run"}
    assert result["metrics"]["recall@10"]["value"] > 0.5


def test_a_run_for_people_has_tables_and_says_where_it_lies(mnemon, tiny, tmp_path):
    code, out, _ = mnemon(
        "eval", "locomo", "--data", tiny("locomo"), "--system", "bm25", "--out", tmp_path / "a"
    )
    assert code == 0
    assert "recall@10" in out
    assert "1 multi-hop" in out
    assert "official protocol: n = 9" in out
    assert str(tmp_path / "a") in out


def test_a_run_without_out_lies_under_home(mnemon, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MNEMON_HOME", str(tmp_path))
    code, out, _ = mnemon("eval", "beam", "--data", tiny("beam"), "--system", "fts5", "--json")
    assert code == 0
    assert json.loads(out)["run"]["dir"].startswith(str(tmp_path / "evals" / "beam-retrieval-fts5-"))


def test_the_fast_double_embeds_on_request(mnemon, tiny, tmp_path):
    for system in ("mnemon", "dense", "rrf"):
        code, out, _ = mnemon(
            "eval", "realmem", "--data", tiny("realmem"), "--system", system, "--embedder", "hash",
            "--out", tmp_path / system, "--json",
        )  # fmt: skip
        assert code == 0
        assert json.loads(out)["run"]["config"]["system"]["embedder"] == "hash-64-0"


def test_several_systems_stand_in_one_table(mnemon, tiny, tmp_path):
    arguments = ["eval", "locomo", "--data", tiny("locomo"), "--embedder", "hash", "--out", tmp_path / "all"]
    systems = ["--system", "mnemon", "--system", "fts5", "--system", "rrf", "--system", "fts5"]
    code, out, _ = mnemon(*arguments, *systems)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()[1:4]] == ["mnemon", "fts5", "rrf"]
    assert "recall@10 − mnemon's" in out
    assert (tmp_path / "all" / "report.html").is_file()
    code, out, err = mnemon(*arguments, *systems)
    assert code == 2
    assert "--resume" in err
    code, out, _ = mnemon(*arguments, *systems, "--resume", "--json")
    table = json.loads(out)
    alone = json.loads((tmp_path / "all" / "fts5" / "result.json").read_text())
    assert table["systems"][1]["metrics"] == alone["metrics"]
    assert table["systems"][0]["against"] is None
    first, second = (row["metrics"]["recall@10"]["value"] for row in table["systems"][:2])
    assert table["systems"][1]["against"]["value"] == pytest.approx(second - first)


def test_peers_are_those_of_the_catalogue(mnemon, tiny, tmp_path):
    from mnemon.evals.systems.catalogue import PEERS

    code, out, _ = mnemon(
        "eval", "beam", "--data", tiny("beam"), "--system", "peers", "--embedder", "hash",
        "--out", tmp_path / "all", "--json",
    )  # fmt: skip
    assert code == 0
    table = json.loads(out)
    assert [*(row["system"] for row in table["systems"]), *table["left_out"]] == list(PEERS)


def test_list_names_everything(mnemon):
    code, out, _ = mnemon("eval", "list", "--json")
    assert code == 0
    listed = json.loads(out)
    assert {"locomo", "longmemeval", "beam", "realmem", "prefeval"} <= set(listed["tasks"])
    assert {
        "mnemon",
        "full-context",
        "no-memory",
        "last-k",
        "bm25",
        "dense",
        "chroma",
        "mem0",
        "langgraph",
    } <= set(listed["systems"])
    code, out, _ = mnemon("eval", "list")
    assert "LangGraph InMemoryStore" in out


def test_errors_have_their_exit_codes_and_no_traceback(mnemon, tiny, tmp_path):
    code, _, err = mnemon("eval", "locomo", "--data", tmp_path / "none.json")
    assert code == 5
    assert "none.json: no such file" in err
    assert "Traceback" not in err
    code, _, err = mnemon("eval", "locomo", "--data", tiny("locomo"), "--resume")
    assert code == 2
    assert "--out" in err
    assert mnemon("eval", "squad", "--data", tiny("locomo"))[0] == 2


def test_skipped_items_are_counted(mnemon, edited, tmp_path):
    path = edited("locomo", lambda data: data[0]["qa"][0].pop("question"))
    arguments = ["eval", "locomo", "--data", path, "--system", "bm25", "--out", tmp_path / "a"]
    code, _, err = mnemon(*arguments)
    assert code == 5
    assert "conv-1/0" in err
    assert "'question'" in err
    code, out, err = mnemon(*arguments, "--skip-bad", "--json")
    assert code == 0
    assert "conv-1/0" in err
    assert len(json.loads(out)["run"]["skipped_bad_items"]) == 1


def test_exclusions_give_both_scores(mnemon, tiny, tmp_path):
    listed = tmp_path / "wrong.txt"
    listed.write_text("conv-1/2\n", encoding="utf-8")
    code, out, _ = mnemon(
        "eval", "locomo", "--data", tiny("locomo"), "--system", "bm25", "--exclude", listed,
        "--out", tmp_path / "a", "--json",
    )  # fmt: skip
    assert code == 0
    result = json.loads(out)
    assert result["run"]["counts"]["not_excluded"] == 9
    assert result["by"]["not_excluded"]["recall@10"]["value"] > result["by"]["all"]["recall@10"]["value"]


def test_report_and_compare_read_what_run_wrote(mnemon, tiny, tmp_path):
    for system in ("bm25", "last-k"):
        mnemon("eval", "locomo", "--data", tiny("locomo"), "--system", system, "--out", tmp_path / system)
    code, out, _ = mnemon("eval", "report", tmp_path / "bm25", tmp_path / "last-k", "--json")
    assert code == 0
    page = json.loads(out)["html"]
    assert "<html" in Path(page).read_text(encoding="utf-8")
    code, out, _ = mnemon("eval", "compare", tmp_path / "last-k", tmp_path / "bm25", "--json")
    assert code == 0
    assert json.loads(out)["items"]["common"] in (9, 10)
    code, out, _ = mnemon("eval", "compare", tmp_path / "last-k", tmp_path / "bm25", "--metric", "recall@1")
    assert "recall@1" in out


def test_an_interrupt_says_how_to_go_on(mnemon, tiny, tmp_path, monkeypatch):
    from mnemon.evals.rundir import RunDirectory

    add = RunDirectory.add

    def interrupted(self, record):
        add(self, record)
        if len(self.records) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunDirectory, "add", interrupted)
    arguments = ["eval", "locomo", "--data", tiny("locomo"), "--system", "bm25", "--out", tmp_path / "a"]
    code, _, err = mnemon(*arguments)
    assert code == 130
    assert f"--out {tmp_path / 'a'} --resume" in err
    monkeypatch.undo()
    code, out, _ = mnemon(*arguments, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["run"]["resumed_items"] == 4
