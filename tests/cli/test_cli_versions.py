"""`sidegate init`, `repo`, `branch` and `commit`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidegate.pfs.commits import Provenance
from sidegate.pfs.publish import Publication
from sidegate.pfs.store import Store

# -- init and finding the store --------------------------------------------


def test_init_makes_a_store_in_the_current_folder(bare_run, tmp_path: Path) -> None:
    made = bare_run("init")
    assert (made.code, made.out) == (0, f"{tmp_path}/.sidegate\n")
    assert bare_run("repo", "list", "--json").code == 0


def test_init_makes_a_store_elsewhere(bare_run, tmp_path: Path) -> None:
    assert bare_run("init", "new/place", "--json").row == {"store": f"{tmp_path}/new/place/.sidegate"}
    assert (tmp_path / "new/place/.sidegate/store.json").exists()


def test_init_twice_is_refused(bare_run, tmp_path: Path) -> None:
    bare_run("init")
    again = bare_run("init")
    assert again.code == 4
    assert again.error == f"there is a store in {tmp_path}/.sidegate already"


@pytest.mark.parametrize("place", ["s", "s/.sidegate"])
@pytest.mark.parametrize("how", ["before", "group", "after", "environment", "upward"])
def test_the_store_is_found(bare_run, monkeypatch, tmp_path: Path, place: str, how: str) -> None:
    bare_run("init", "s")
    words = ["repo", "create", "x", "--json"]
    if how == "environment":
        monkeypatch.setenv("SIDEGATE_STORE", place)
    elif how == "upward":
        (tmp_path / "s/a/b").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "s/a/b")
    else:
        index = {"before": 0, "group": 1, "after": 3}[how]
        words[index:index] = ["--store", place]
    assert bare_run(*words).code == 0
    with Store.open(tmp_path / "s/.sidegate") as store:
        assert [repo.name for repo in store.repos.list()] == ["x"]


def test_the_option_wins_over_the_environment(bare_run, monkeypatch) -> None:
    bare_run("init", "one")
    bare_run("init", "two")
    monkeypatch.setenv("SIDEGATE_STORE", "two")
    assert bare_run("--store", "one", "repo", "create", "x").code == 0
    assert bare_run("repo", "list", "--json").rows == []


@pytest.mark.parametrize("words", [["repo", "list"], ["file", "cat", "a:/b"], ["job", "list"], ["fsck"]])
def test_without_a_store_it_says_how_to_make_one(bare_run, words: list[str]) -> None:
    outcome = bare_run(*words)
    assert outcome.code == 3
    assert "there is no .sidegate in" in outcome.error
    assert "`sidegate init`" in outcome.error


# -- repo ------------------------------------------------------------------


def test_repos_are_made_listed_and_removed(run) -> None:
    made = run("repo", "create", "x-rays", "-m", "hands", "--json").row
    assert made["repo"] == "x-rays"
    assert (made["kind"], made["description"], made["branches"]) == ("user", "hands", [])
    assert made["created"].endswith("Z")
    assert [row["repo"] for row in run("repo", "list", "--json").rows] == ["labs", "x-rays"]
    lines = run("repo", "list").out.splitlines()
    assert lines[0].split()[:2] == ["REPO", "KIND"]
    assert lines[2].endswith("hands")
    assert run("repo", "delete", "x-rays").code == 0
    assert run("repo", "inspect", "x-rays").code == 3


def test_repo_inspect_shows_branches(run, data: Path) -> None:
    commit = run("file", "put", data, "labs").out.strip()
    assert run("repo", "inspect", "labs", "--json").row["branches"] == [{"branch": "master", "head": commit}]
    assert f"master ({commit})" in run("repo", "inspect", "labs").out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["create", "labs"], 4, "repo 'labs' exists already"),
        (["create", "a.b"], 2, "repo name 'a.b' is not valid; use 1 to 63 letters"),
        (["create", "0123456789abcdef0123456789abcdef"], 2, "looks like a commit id"),
        (["create", "labs@master"], 2, "'labs@master' has a version; give REPO"),
        (["create", "labs:/x"], 2, "'labs:/x' has a path; give REPO"),
        (["create", "a/b"], 2, "'a/b' is not REPO"),
        (["inspect", "lsab"], 3, "there is no repo 'lsab'; did you mean 'labs'?"),
        (["delete", "none"], 3, "there is no repo 'none'"),
    ],
)
def test_repo_refuses(run, words: list[str], code: int, message: str) -> None:
    outcome = run("repo", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.error


def test_a_repo_that_something_was_made_from_stays(run, data: Path, store_directory: Path) -> None:
    run("file", "put", data, "labs")
    with Store.open(store_directory) as store:
        head = store.commits.head("labs")
        assert head is not None
        store.repos.create("pipe", kind="pipeline")
        attempt = store.stagings.begin_attempt("pipe", "master")
        info = next(info for info in store.stagings.all() if info.id == attempt.id)
        edges = [Provenance("in", "labs", "master", head.id)]
        store.publisher.publish(info, Publication(provenance=edges))
    refused = run("repo", "delete", "labs", "--yes")
    assert refused.code == 4
    assert "repo 'labs' is in use" in refused.error
    assert refused.error.endswith("delete repo 'pipe' first")
    assert run("commit", "delete", "labs").code == 4
    assert run("commit", "inspect", "pipe", "--json").row["provenance"] == [
        {"name": "in", "repo": "labs", "branch": "master", "commit": head.id}
    ]


# -- branch ------------------------------------------------------------------


def test_branches_are_made_listed_and_removed(run, data: Path) -> None:
    commit = run("file", "put", data, "labs").out.strip()
    made = run("branch", "create", "labs@dev", "--head", "master", "--json").row
    assert (made["repo"], made["branch"], made["head"], made["open"]) == ("labs", "dev", commit, False)
    assert run("branch", "create", "labs@empty").out == "labs@empty\n"
    assert [row["branch"] for row in run("branch", "list", "labs", "--json").rows] == [
        "dev",
        "empty",
        "master",
    ]
    assert "labs@empty" in run("branch", "list").out
    assert run("branch", "inspect", "labs@dev", "--json").row["head"] == commit
    assert run("branch", "delete", "labs@dev").code == 0
    assert run("branch", "inspect", "labs@dev").code == 3
    assert run("commit", "inspect", f"labs@{commit}").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["create", "labs@a b"], 2, "branch name 'a b' is not valid"),
        (["create", "none@x"], 3, "there is no repo 'none'"),
        (["create", "labs@x", "--head", "y"], 3, "there is no branch or commit 'y' in repo 'labs'"),
        (["delete", "labs@none"], 3, "there is no branch labs@none"),
        (["list", "none"], 3, "there is no repo 'none'"),
    ],
)
def test_branch_refuses(run, words: list[str], code: int, message: str) -> None:
    outcome = run("branch", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.error


def test_a_branch_with_an_open_commit_stays(run) -> None:
    run("commit", "start", "labs@master")
    refused = run("branch", "delete", "labs@master")
    assert refused.code == 4
    assert "run `sidegate commit finish labs@master` first" in refused.error


# -- commit ------------------------------------------------------------------


def test_commit_inspect_says_all_of_it(run, data: Path) -> None:
    first = run("file", "put", data, "labs", "-m", "one").out.strip()
    second = run("commit", "create", "labs@master", "-m", "two", "--json").row
    inspected = run("commit", "inspect", "labs@master", "--json").row
    assert inspected == second
    assert (inspected["repo"], inspected["branch"], inspected["parent"]) == ("labs", "master", first)
    assert (inspected["description"], inspected["size"], inspected["files"]) == ("two", 31, 3)
    assert inspected["provenance"] == []
    assert inspected["commit_set"] == inspected["commit"]
    assert len(inspected["root"]) == 64
    assert inspected["started"] <= inspected["finished"]
    assert run("commit", "inspect", "labs@master^", "--json").row["root"] == inspected["root"]
    for reference in (inspected["commit"], f"labs@{inspected['commit'][:8]}"):
        assert run("commit", "inspect", reference, "--json").row == inspected
    assert f"parent:      {first}" in run("commit", "inspect", "labs").out


def test_commits_are_started_and_finished(run, data: Path) -> None:
    started = run("commit", "start", "labs@dev", "-m", "March", "--json").row
    assert (started["repo"], started["branch"], started["state"], started["description"]) == (
        "labs",
        "dev",
        "open",
        "March",
    )
    run("file", "put", data, "labs@dev")
    assert run("branch", "inspect", "labs@dev", "--json").row["open"] is True
    finished = run("commit", "finish", "labs@dev")
    inspected = run("commit", "inspect", "labs@dev", "--json").row
    assert finished.out == inspected["commit"] + "\n"
    assert (inspected["description"], inspected["files"]) == ("March", 3)


def test_the_description_can_be_given_at_the_end(run) -> None:
    run("commit", "start", "labs@dev", "-m", "March")
    assert run("commit", "finish", "labs@dev", "-m", "April", "--json").row["description"] == "April"


def test_commit_list_follows_ancestors(run, data: Path) -> None:
    run("file", "put", data, "labs")
    run("commit", "create", "labs")
    run("branch", "create", "labs@dev", "--head", "master^")
    run("commit", "create", "labs@dev")
    ids = [row["commit"] for row in run("commit", "list", "labs@master", "--json").rows]
    assert len(ids) == 2
    assert len(run("commit", "list", "labs", "--json").rows) == 3
    assert len(run("commit", "list", "--json").rows) == 3
    assert [row["commit"] for row in run("commit", "list", "labs@master", "-n", "1", "--json").rows] == ids[
        :1
    ]
    assert ids[0] in run("commit", "list", "labs").out


def test_commit_delete_goes_back_to_the_parent(run, data: Path) -> None:
    first = run("file", "put", data, "labs").out.strip()
    second = run("commit", "create", "labs").out.strip()
    refused = run("commit", "delete", f"labs@{first}")
    assert refused.code == 4
    assert refused.error == f"commit {first} is the parent of commit {second}; delete {second} first"
    assert run("commit", "delete", "labs@master").code == 0
    assert run("commit", "inspect", "labs", "--json").row["commit"] == first


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["finish", "labs@dev"],
            3,
            "branch labs@dev has no open commit; open one with `sidegate commit start",
        ),
        (["start", "labs@bad name"], 2, "branch name 'bad name' is not valid"),
        (["start", "pipe"], 4, "only its jobs write there"),
        (["create", "pipe"], 4, "only its jobs write there"),
        (["inspect", "labs"], 3, "there is no branch or commit 'master' in repo 'labs'"),
        (["inspect", "labs@a..b"], 2, "reference 'a..b' is not valid; use BRANCH, a commit id"),
        (["inspect", "labs@master:/x"], 2, "'labs@master:/x' has a path; give REPO@REF"),
        (["inspect", "0123456789abcdef0123456789abcdef"], 3, "there is no commit 0123456789abcdef"),
        (["delete", "none@x"], 3, "there is no repo 'none'"),
        (["list", "-n", "0", "labs"], 2, "0 is not in the range x>=1"),
    ],
)
def test_commit_refuses(run, store_directory, words: list[str], code: int, message: str) -> None:
    with Store.open(store_directory) as store:
        store.repos.create("pipe", kind="pipeline")
    outcome = run("commit", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.error


def test_a_second_open_commit_is_refused(run) -> None:
    run("commit", "start", "labs")
    again = run("commit", "start", "labs")
    assert again.code == 4
    assert (
        again.error
        == "branch labs@master has an open commit already; run `sidegate commit finish labs@master`"
    )
