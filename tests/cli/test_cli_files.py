"""`sidegate file`: put, get, cat, ls, rm and diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidegate.pfs.store import Store


def paths(run, version: str = "labs") -> list[str]:
    return [row["path"] for row in run("file", "ls", "-r", version, "--json").rows]


# -- put -----------------------------------------------------------------


def test_put_prints_the_id_of_one_commit(run, data: Path) -> None:
    put = run("file", "put", data, "labs@master", "-m", "first")
    assert put.code == 0
    inspected = run("commit", "inspect", "labs@master", "--json").row
    assert put.out == inspected["commit"] + "\n"
    assert (inspected["files"], inspected["description"], inspected["parent"]) == (3, "first", None)
    assert "3 files" in put.err
    assert paths(run) == ["a.csv", "sub/b.csv", "sub/deep/c.csv"]


@pytest.mark.parametrize(
    ("sources", "target", "added"),
    [
        (["data"], "labs:/x", ["x/a.csv", "x/sub/b.csv", "x/sub/deep/c.csv"]),
        (["data/a.csv"], "labs@dev:/x", ["x"]),
        (["data/a.csv"], "labs:/x/", ["x/a.csv"]),
        (["data/a.csv"], "labs", ["a.csv"]),
        (["data/a.csv"], "labs:x", ["x"]),
        (["data/a.csv", "data/sub/b.csv"], "labs:/x", ["x/a.csv", "x/b.csv"]),
    ],
)
def test_put_lands_where_the_target_says(
    run, data, sources: list[str], target: str, added: list[str]
) -> None:
    assert run("file", "put", *sources, target).code == 0
    assert paths(run, target.partition(":")[0]) == added


def test_put_replaces_equal_paths_and_keeps_others(run, data: Path) -> None:
    first = run("file", "put", data, "labs").out.strip()
    (data / "a.csv").write_text("new\n")
    second = run("file", "put", data / "a.csv", "labs", "--json").row
    assert second | {"commit": None} == {
        "repo": "labs",
        "branch": "master",
        "commit": None,
        "state": "finished",
        "files": 1,
        "size": 4,
    }
    assert run("file", "cat", "labs:/a.csv").out == "new\n"
    assert run("commit", "inspect", "labs", "--json").row["parent"] == first
    assert len(paths(run)) == 3


def test_put_of_the_same_makes_no_commit_and_says_so(run, data: Path) -> None:
    first = run("file", "put", data, "labs").out
    again = run("file", "put", data, "labs")
    assert (again.code, again.out) == (0, first)
    assert "nothing changed, so there is no new commit" in again.err
    assert run("file", "put", data, "labs", "--json").row["state"] == "unchanged"
    assert len(run("commit", "list", "labs", "--json").rows) == 1


def test_put_of_an_empty_folder_makes_no_commit(run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put = run("file", "put", "empty", "labs@new")
    assert (put.code, put.out) == (0, "")
    assert "left out: empty is empty" in put.err
    assert "labs@new is empty" in put.err
    assert run("branch", "list", "labs", "--json").rows == []


def test_put_joins_the_open_commit(run, data: Path) -> None:
    run("commit", "start", "labs@master")
    put = run("file", "put", data, "labs", "--json")
    assert put.row["commit"] is None
    assert put.row["state"] == "open"
    assert "`sidegate commit finish labs@master`" in put.err
    run("file", "rm", "labs:/a.csv")
    run("commit", "finish", "labs@master")
    assert paths(run) == ["sub/b.csv", "sub/deep/c.csv"]
    assert len(run("commit", "list", "labs", "--json").rows) == 1


def test_put_takes_the_standard_input(run) -> None:
    put = run("file", "put", "-", "labs:/from/stdin", "--json", stdin=b"\x00\xff\n")
    assert (put.row["files"], put.row["size"]) == (1, 3)
    assert run("file", "ls", "labs:/from/stdin", "--json").row["size"] == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["data", "nobody"], 3, "there is no repo 'nobody'; see `sidegate repo list`"),
        (["data", "lab"], 3, "there is no repo 'lab'; did you mean 'labs'?"),
        (["none", "labs"], 3, "there is no local file or folder 'none'; check the path"),
        (["data", "labs@no way"], 2, "branch name 'no way' is not valid"),
        (["data", "labs@a@b"], 2, "'labs@a@b' is not REPO@BRANCH[:/PATH]"),
        (["data", "labs:/../x"], 2, "path '../x' has a '.' or '..' segment"),
        (["data", "pipe"], 4, "repo 'pipe' is the output of pipeline 'pipe' and only its jobs write there"),
        (["pipe-file", "labs"], 2, "'pipe-file' is a named pipe, not a file; leave it out"),
        (["-", "labs"], 2, "needs the path of a file"),
        (["-", "data", "labs:/x"], 2, "the standard input goes in alone"),
        (["data/a.csv", "other/a.csv", "labs"], 4, "would both become 'a.csv'"),
        (["data"], 2, "Missing argument"),
    ],
)
def test_put_refuses(run, data, store_directory, words: list[str], code: int, message: str) -> None:
    with Store.open(store_directory) as store:
        store.repos.create("pipe", kind="pipeline")
    os.mkfifo("pipe-file")
    Path("other").mkdir()
    Path("other/a.csv").write_text("x")
    put = run("file", "put", *words, stdin=b"1")
    assert (put.code, put.out) == (code, "")
    assert message in put.error
    assert run("branch", "list", "--json").rows == []


# -- get and cat ---------------------------------------------------------


@pytest.fixture
def filled(run, data: Path):
    run("file", "put", data, "labs")
    return run


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("labs@master:/", "out", ["a.csv", "sub/b.csv", "sub/deep/c.csv"]),
        ("labs", "out/", ["a.csv", "sub/b.csv", "sub/deep/c.csv"]),
        ("labs:/sub", "out", ["b.csv", "deep/c.csv"]),
        ("labs:/sub/", "out/deeper", ["deeper/b.csv", "deeper/deep/c.csv"]),
        ("labs:/sub/b.csv", "out/", ["b.csv"]),
        ("labs:/sub/b.csv", "out/new.csv", ["new.csv"]),
    ],
)
def test_get_lands_under_the_destination(filled, source: str, destination: str, expected: list[str]) -> None:
    got = filled("file", "get", source, destination, "--json")
    assert got.row["files"] == len(expected)
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.csv")) == expected


def test_get_of_a_file_into_the_current_folder(filled) -> None:
    got = filled("file", "get", "labs:/sub/b.csv", ".")
    assert (got.code, got.out) == (0, "")
    assert Path("b.csv").read_text() == "sub/b.csv\n"


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("labs:/a.cvs", 3, "there is no file or folder '/a.cvs' in labs@master; did you mean '/a.csv'?"),
        ("labs:/zzz", 3, "there is no file or folder '/zzz' in labs@master; see `sidegate file ls -r labs"),
        ("labs@dev:/a.csv", 3, "there is no branch or commit 'dev' in repo 'labs'"),
        ("labs@master^:/a.csv", 3, "has no parent"),
        ("labs@master:/a.csv/x", 3, "there is no file or folder '/a.csv/x'"),
    ],
)
def test_get_and_cat_refuse_what_is_not_there(filled, source: str, code: int, message: str) -> None:
    for words in (["get", source, "out"], ["cat", source]):
        outcome = filled("file", *words)
        assert (outcome.code, outcome.out) == (code, "")
        assert message in outcome.error
    assert not Path("out").exists()


def test_cat_prints_bytes_as_they_are(filled) -> None:
    both = filled("file", "cat", "labs:/a.csv", "labs@master:/sub/b.csv")
    assert (both.code, both.out, both.err) == (0, "a.csv\nsub/b.csv\n", "")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("labs:/sub", "'labs:/sub' is a folder; list it with `sidegate file ls labs:/sub`"),
        ("labs", "'labs' has no path; give REPO@REF:/PATH"),
    ],
)
def test_cat_needs_a_file(filled, file: str, message: str) -> None:
    outcome = filled("file", "cat", file)
    assert outcome.code == 2
    assert message in outcome.error


def test_reading_a_branch_says_when_newer_writes_are_open(filled, data: Path) -> None:
    filled("commit", "start", "labs")
    (data / "a.csv").write_text("newer")
    filled("file", "put", data, "labs")
    read = filled("file", "cat", "labs:/a.csv")
    assert read.out == "a.csv\n"
    assert "note: labs@master has newer writes that are not finished" in read.err


# -- ls ------------------------------------------------------------------


def test_ls_shows_one_level(filled) -> None:
    rows = filled("file", "ls", "labs", "--json").rows
    assert [(row["path"], row["type"], row["size"]) for row in rows] == [
        ("a.csv", "file", 6),
        ("sub", "folder", 25),
    ]
    assert rows[1]["files"] == 2
    lines = filled("file", "ls", "labs").out.splitlines()
    assert [line.split()[-1] for line in lines] == ["a.csv", "sub/"]


def test_ls_of_all_gives_path_type_size_and_hash(filled) -> None:
    rows = filled("file", "ls", "-r", "labs@master", "--json").rows
    assert all(row["type"] == "file" and len(row["hash"]) == 64 for row in rows)
    assert [row["path"] for row in rows] == ["a.csv", "sub/b.csv", "sub/deep/c.csv"]
    assert [row["path"] for row in filled("file", "ls", "-r", "labs:/sub/deep", "--json").rows] == [
        "sub/deep/c.csv"
    ]
    assert filled("file", "ls", "labs:/a.csv", "--json").row["path"] == "a.csv"


def test_ls_of_nothing(filled) -> None:
    missing = filled("file", "ls", "labs:/none")
    assert missing.code == 3
    filled("file", "rm", "-r", "labs:/")
    empty = filled("file", "ls", "labs")
    assert (empty.code, empty.out) == (0, "")
    assert "labs@master holds no files" in empty.err


def test_a_path_never_steers_a_terminal(run, store_directory) -> None:
    with Store.open(store_directory) as store:
        store.stagings.write_open("labs", "master", [("a\x1b[2J\nb", store.record(()))])
        store.finish_open("labs", "master")
    assert run("file", "ls", "labs").out.endswith("  a\\x1b[2J\\nb\n")
    assert run("file", "diff", "labs").out.startswith("+ a\\x1b[2J\\nb ")
    assert run("file", "ls", "labs", "--json").row["path"] == "a\x1b[2J\nb"


# -- rm ------------------------------------------------------------------


def test_rm_is_one_commit(filled) -> None:
    removed = filled("file", "rm", "labs:/a.csv", "labs@master:/sub/b.csv", "-m", "gone")
    assert removed.code == 0
    inspected = filled("commit", "inspect", "labs", "--json").row
    assert (removed.out.strip(), inspected["files"], inspected["description"]) == (
        inspected["commit"],
        1,
        "gone",
    )
    assert len(filled("commit", "list", "labs", "--json").rows) == 2
    assert filled("file", "cat", "labs@master^:/a.csv").out == "a.csv\n"


def test_rm_of_a_folder_needs_a_word(filled) -> None:
    refused = filled("file", "rm", "labs:/sub")
    assert refused.code == 2
    assert refused.error == "'labs@master:/sub' is a folder; add -r to remove all that is in it"
    assert filled("file", "rm", "-r", "labs:/sub", "--json").row["state"] == "finished"
    assert paths(filled) == ["a.csv"]


@pytest.mark.parametrize(
    ("targets", "code", "message"),
    [
        (["labs:/none"], 3, "there is no file or folder '/none'"),
        (["labs@dev:/a.csv"], 3, "there is no branch labs@dev"),
        (["labs:/a.csv", "labs@dev:/a.csv"], 2, "the paths are on different branches"),
        (["labs"], 2, "'labs' has no path"),
        (["nobody:/x"], 3, "there is no repo 'nobody'"),
    ],
)
def test_rm_refuses(filled, targets: list[str], code: int, message: str) -> None:
    outcome = filled("file", "rm", *targets)
    assert outcome.code == code
    assert message in outcome.error
    assert len(filled("commit", "list", "labs", "--json").rows) == 1


# -- diff ----------------------------------------------------------------


def test_diff_shows_what_was_added_removed_and_changed(filled, data: Path) -> None:
    (data / "a.csv").write_text("a longer line\n")
    (data / "new.csv").write_text("new\n")
    filled("file", "put", data, "labs")
    filled("file", "rm", "labs:/sub/b.csv")
    rows = filled("file", "diff", "labs@master~2", "labs@master", "--json").rows
    assert [(row["path"], row["change"]) for row in rows] == [
        ("a.csv", "changed"),
        ("new.csv", "added"),
        ("sub/b.csv", "removed"),
    ]
    assert (rows[0]["before"]["size"], rows[0]["after"]["size"]) == (6, 14)
    assert rows[0]["before"]["hash"] != rows[0]["after"]["hash"]
    assert (rows[1]["before"], rows[2]["after"]) == (None, None)
    shown = filled("file", "diff", "labs@master~2", "labs@master")
    assert shown.out == "~ a.csv  (6 bytes → 14 bytes)\n+ new.csv  (4 bytes)\n- sub/b.csv  (10 bytes)\n"
    assert "1 added, 1 removed, 1 changed; +2 bytes" in shown.err


def test_diff_of_one_version_is_against_its_parent(filled, data: Path) -> None:
    assert [row["change"] for row in filled("file", "diff", "labs", "--json").rows] == ["added"] * 3
    filled("file", "rm", "labs:/a.csv")
    assert filled("file", "diff", "labs").out == "- a.csv  (6 bytes)\n"


def test_diff_can_be_limited_to_a_folder(filled) -> None:
    rows = filled("file", "diff", "labs:/sub", "--json").rows
    assert [row["path"] for row in rows] == ["sub/b.csv", "sub/deep/c.csv"]
    outcome = filled("file", "diff", "labs:/sub", "labs:/a.csv")
    assert outcome.code == 2
    assert "the two paths differ" in outcome.error


def test_diff_leaves_out_what_differs_in_metadata_only(filled, store_directory: Path) -> None:
    with Store.open(store_directory) as store:
        head = store.commits.head("labs")
        assert head is not None
        old = store.tree(head).get("a.csv")
        assert old is not None
        cutter = store.cutter()
        cutter.write(b"a.csv\n")
        new = store.record(cutter.finish(), attributes=(("content-type", "text/csv"),))
        store.stagings.write_open("labs", "master", [("a.csv", new)])
        store.finish_open("labs", "master")
    plain = filled("file", "diff", "labs")
    assert plain.out == ""
    assert "1 file with equal bytes and other metadata left out" in plain.err
    assert filled("file", "diff", "labs", "--metadata", "--json").row["change"] == "changed"


def test_diff_across_repos(filled, data: Path) -> None:
    filled("repo", "create", "copy")
    filled("file", "put", data / "a.csv", "copy")
    same = filled("file", "diff", "labs:/a.csv", "copy:/a.csv")
    assert (same.code, same.out) == (0, "")
    assert "no differences" in same.err
