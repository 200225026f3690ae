"""Local files and folders into a branch, and out of a commit."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from pfs.samples import commit_files, content, noise, put
from sidegate.errors import Conflict, Corrupt, NotFound
from sidegate.pfs.branch_edit import BranchEdit
from sidegate.pfs.commits import Commit
from sidegate.pfs.local_files import LocalFileFailed, LocalFileMissing, LocalFileRefused
from sidegate.pfs.paths import PathRefused
from sidegate.pfs.store import Store
from sidegate.pfs.transfer import (
    FolderExport,
    PathCollision,
    export_file,
    import_files,
    import_stream,
    landing_place,
    plan_import,
    write_stream,
)

HEAD = {"old/file": b"old", "top": b"top"}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder `in` with x, sub/y and sub/deep/z, and the files one and two beside it."""
    for name in ("in/x", "in/sub/y", "in/sub/deep/z", "one", "two"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def put_local(store: Store, names: list[Path], path: str) -> Commit | None:
    with BranchEdit(store, "labs", "master") as edit:
        plan = plan_import(edit.base, names, path, leave_out=store.directory)
        import_files(store, edit, plan.files)
        return edit.finish().commit


def held(store: Store) -> dict[str, bytes]:
    head = store.commits.head("labs", "master")
    assert head is not None
    return {path: content(store, record) for path, record in store.tree(head).files()}


# -- in ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "path", "added"),
    [
        (["in"], "", {"x": "in/x", "sub/y": "in/sub/y", "sub/deep/z": "in/sub/deep/z"}),
        (["in"], "old", {"old/x": "in/x", "old/sub/y": "in/sub/y", "old/sub/deep/z": "in/sub/deep/z"}),
        (["in/sub/deep"], "new/a/", {"new/a/z": "in/sub/deep/z"}),
        (["in/sub/deep"], "new", {"new/z": "in/sub/deep/z"}),
        (["one"], "", {"one": "one"}),
        (["one"], "new", {"new": "one"}),
        (["one"], "new/", {"new/one": "one"}),
        (["one"], "old", {"old/one": "one"}),
        (["one"], "old/file", {"old/file": "one"}),
        (["one", "two"], "new", {"new/one": "one", "new/two": "two"}),
        (["one", "in/sub/deep"], "new", {"new/one": "one", "new/z": "in/sub/deep/z"}),
        (["in/.././one"], "", {"one": "one"}),
        (["in/sub/deep/.."], "new", {"new/y": "in/sub/y", "new/deep/z": "in/sub/deep/z"}),
    ],
)
def test_where_files_land(
    store: Store, sources: Path, names: list[str], path: str, added: dict[str, str]
) -> None:
    commit_files(store, "labs", HEAD)
    put_local(store, [sources / name for name in names], path)
    assert held(store) == HEAD | {target: source.encode() for target, source in added.items()}


def test_large_files_and_empty_ones_come_in_whole(store: Store, tmp_path: Path) -> None:
    data = noise(3_000_001)
    (tmp_path / "large").write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    moved: list[int] = []
    with BranchEdit(store, "labs", "master") as edit:
        plan = plan_import(edit.base, [tmp_path / "large", tmp_path / "empty"], "")
        import_files(store, edit, plan.files, moved.append)
        edit.finish()
    assert held(store) == {"large": data, "empty": b""}
    assert sum(moved) == len(data)
    assert max(moved) <= 1 << 20


def test_the_same_again_makes_no_commit(store: Store, sources: Path) -> None:
    assert put_local(store, [sources / "in"], "") is not None
    assert put_local(store, [sources / "in"], "") is None


def test_equal_bytes_keep_the_metadata_that_is_there(store: Store, sources: Path) -> None:
    record = put(store, b"one", attributes=(("content-type", "text/csv"),))
    store.stagings.write_open("labs", "master", [("one", record)])
    store.finish_open("labs", "master")
    assert put_local(store, [sources / "one"], "") is None


@pytest.mark.parametrize(
    ("names", "path", "clash"),
    [
        (["one"], "top/", "top"),
        (["one"], "top/deeper/x", "top"),
        (["in"], "top", "top"),
        (["one", "in/x", "in/../one"], "new", "new/one"),
        (["one", "two"], "old/file", "old/file"),
    ],
)
def test_what_would_be_two_things_at_once_is_refused(
    store: Store, sources: Path, names: list[str], path: str, clash: str
) -> None:
    head = commit_files(store, "labs", HEAD)
    with pytest.raises(PathCollision) as caught:
        put_local(store, [sources / name for name in names], path)
    assert isinstance(caught.value, Conflict)
    assert caught.value.details["path"] == clash
    assert store.commits.head("labs", "master") == head
    assert store.stagings.all() == []


def test_a_file_does_not_hide_a_folder(store: Store, sources: Path) -> None:
    commit_files(store, "labs", {"new/one/below": b"1", "new/other": b"2"})
    with pytest.raises(PathCollision, match="'new/one' would be a file and a folder"):
        put_local(store, [sources / "one"], "new/")


def test_a_file_and_a_folder_of_the_sources_may_clash(store: Store, sources: Path) -> None:
    (sources / "other").mkdir()
    (sources / "other/sub").write_bytes(b"a file")
    with pytest.raises(PathCollision, match="'sub' would be a file and a folder"):
        put_local(store, [sources / "in", sources / "other"], "")


@pytest.mark.parametrize("path", ["../up", "a/../b", "/abs", "a//b", "."])
def test_a_path_that_leads_elsewhere_is_refused(store: Store, sources: Path, path: str) -> None:
    with pytest.raises(PathRefused):
        put_local(store, [sources / "one"], path)


def test_a_missing_source_stops_everything(store: Store, sources: Path) -> None:
    with pytest.raises(LocalFileMissing):
        put_local(store, [sources / "one", sources / "none"], "")
    assert store.branches.list("labs") == []


def test_a_source_that_goes_away_stops_everything(store: Store, sources: Path) -> None:
    with BranchEdit(store, "labs", "master") as edit:
        plan = plan_import(edit.base, [sources / "in"], "")
        (sources / "in/x").unlink()
        with pytest.raises(LocalFileMissing):
            import_files(store, edit, plan.files)
    assert store.stagings.all() == []


def test_the_store_is_left_out(store: Store) -> None:
    project = store.directory.parent
    (project / "x").write_bytes(b"1")
    put_local(store, [project], "")
    assert list(held(store)) == ["x"]


def test_a_stream_becomes_a_file(store: Store) -> None:
    data = noise(2_500_000)
    with BranchEdit(store, "labs", "master") as edit:
        import_stream(store, edit, io.BytesIO(data), "from/stdin")
        edit.finish()
    assert held(store) == {"from/stdin": data}


@pytest.mark.parametrize(
    ("path", "error"), [("old", PathCollision), ("top/x", PathCollision), ("", PathRefused)]
)
def test_a_stream_needs_a_path_of_its_own(store: Store, path: str, error: type[Exception]) -> None:
    commit_files(store, "labs", HEAD)
    with BranchEdit(store, "labs", "master") as edit, pytest.raises(error):
        import_stream(store, edit, io.BytesIO(b"1"), path)


# -- out -----------------------------------------------------------------


def export(store: Store, files: dict[str, bytes], folder: str, destination: Path) -> FolderExport:
    done = FolderExport(store, store.tree(commit_files(store, "labs", files)), folder, destination)
    done.write()
    return done


def local(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("", {"a/x": b"1", "a/b/y": b"22", "c": b"333"}),
        ("a", {"x": b"1", "b/y": b"22"}),
        ("a/", {"x": b"1", "b/y": b"22"}),
        ("a/b", {"y": b"22"}),
    ],
)
def test_the_contents_of_a_folder_go_under_the_destination(
    store: Store, tmp_path: Path, folder: str, expected: dict[str, bytes]
) -> None:
    files = {"a/x": b"1", "a/b/y": b"22", "c": b"333"}
    done = export(store, files, folder, tmp_path / "new/out")
    assert local(tmp_path / "new/out") == expected
    assert (done.totals.file_count, done.totals.size_bytes) == (
        len(expected),
        sum(map(len, expected.values())),
    )


def test_files_there_are_replaced_and_others_kept(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    (tmp_path / "other").write_bytes(b"mine")
    export(store, {"a": b"after"}, "", tmp_path)
    assert (tmp_path / "a").read_bytes() == b"after"
    assert (tmp_path / "other").read_bytes() == b"mine"


def test_an_empty_commit_makes_an_empty_folder(store: Store, tmp_path: Path) -> None:
    with BranchEdit(store, "labs", "master") as edit:
        commit = edit.finish(even_unchanged=True).commit
    assert commit is not None
    FolderExport(store, store.tree(commit), "", tmp_path / "out").write()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_is_not_there_is_said_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder 'b'"):
        export(store, {"a/x": b"1"}, "b", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_markers_of_s3_clients_become_folders(store: Store, tmp_path: Path) -> None:
    export(store, {"a/": b"", "a/b/": b"", "a/x": b"1"}, "", tmp_path / "all")
    assert local(tmp_path / "all") == {"a/x": b"1"}
    assert (tmp_path / "all/a/b").is_dir()
    head = store.commits.head("labs")
    assert head is not None
    FolderExport(store, store.tree(head), "a", tmp_path / "part").write()
    assert local(tmp_path / "part") == {"x": b"1"}


@pytest.mark.parametrize(
    "path", ["../up", "a/../../up", "/etc/x", "a//b", "a/./b", "a/..", "nul\0", "full/", "..", "//x/"]
)
def test_a_path_that_is_no_local_path_is_refused_before_anything_is_written(
    store: Store, tmp_path: Path, path: str
) -> None:
    with pytest.raises(LocalFileRefused, match="cannot be a local file"):
        export(store, {"0": b"first", path: b"evil"}, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("between", [[], ["a-b", "a.c"]])
def test_a_file_that_is_a_folder_too_is_refused(store: Store, tmp_path: Path, between: list[str]) -> None:
    files = dict.fromkeys(["a", *between, "a/b"], b"1")
    with pytest.raises(LocalFileRefused, match="'a' is a file and a folder at once"):
        export(store, files, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_does_not_lead_out_of_the_destination(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "outside")
    with pytest.raises(LocalFileRefused, match="is a link, which may lead elsewhere"):
        export(store, {"a/x": b"1"}, "", tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_of_a_files_name_is_replaced_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "outside")
    export(store, {"a": b"1"}, "", tmp_path / "out")
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert (tmp_path / "out/a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("there", "message"), [("a", "is a file, and a folder is needed"), ("a/b/", "is a folder")]
)
def test_another_kind_of_thing_in_the_way_is_refused(
    store: Store, tmp_path: Path, there: str, message: str
) -> None:
    if there.endswith("/"):
        (tmp_path / there).mkdir(parents=True)
    else:
        (tmp_path / there).write_bytes(b"mine")
    with pytest.raises(LocalFileRefused, match=message):
        export(store, {"a/b": b"1"}, "", tmp_path)


def test_a_file_appears_whole_or_not_at_all(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(store, noise(5_000_000))
    target = tmp_path / "deep/er/file"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"before")

    def full(size_bytes: int) -> None:
        assert target.read_bytes() == b"before"
        raise OSError(28, "No space left on device")

    with pytest.raises(LocalFileFailed, match="No space left"):
        export_file(store, record, target, full)
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert target.read_bytes() == b"before"
    export_file(store, record, target)
    assert target.read_bytes() == noise(5_000_000)


def test_a_file_that_lost_bytes_is_not_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(store, b"12345")
    monkeypatch.setattr(store, "read", lambda record: iter([b"1234"]))
    with pytest.raises(Corrupt, match="a file of 5 bytes gave 4"):
        export_file(store, record, tmp_path / "file")
    assert list(tmp_path.glob("file*")) == []


def test_a_short_write_is_continued(store: Store) -> None:
    class Slow(io.BytesIO):
        def write(self, data) -> int:
            return super().write(bytes(data[:7]))

    record, stream = put(store, noise(100)), Slow()
    write_stream(store, record, stream)
    assert stream.getvalue() == noise(100)


@pytest.mark.parametrize(
    ("destination", "target"),
    [("new", "new"), ("new/", "new/b.csv"), ("folder", "folder/b.csv"), (".", "b.csv"), ("file", "file")],
)
def test_where_a_single_file_lands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: str, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    Path("file").touch()
    assert landing_place("a/b.csv", destination) == Path(target)


@pytest.mark.parametrize("path", ["..", "a/..", "a/"])
def test_a_single_file_needs_a_name(tmp_path: Path, path: str) -> None:
    with pytest.raises(LocalFileRefused):
        landing_place(path, f"{tmp_path}/")
