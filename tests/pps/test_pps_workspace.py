"""Files before and after a process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sidegate.pps.datums import Datum, DatumPart, Item, ItemKind
from sidegate.pps.errors import InputNotRepresentable, OutputNotCollectable
from sidegate.pps.workspace import Workspace

Files = dict[str, bytes]


def datum(*parts: tuple[str, str, ItemKind]) -> Datum:
    return Datum("d", tuple(DatumPart(name, Item(path, kind, b"")) for name, path, kind in parts))


def serving(files: Files) -> object:
    def open_item(name: str, item: Item) -> Iterator[tuple[str, Iterable[bytes]]]:
        for path, content in files.items():
            yield path, [content[:1], content[1:]]

    return open_item


def collected(workspace: Workspace) -> Files:
    result: Files = {}

    def write(path: str, blocks: Iterator[bytes]) -> None:
        assert path not in result
        result[path] = b"".join(blocks)

    count = workspace.collect(write)
    assert count == len(result)
    return result


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "pfs"
    (root / "out").mkdir(parents=True)
    (root / "in").mkdir()
    (root / "in" / "data").write_bytes(b"input")
    return Workspace(root, "/pfs")


def test_inputs_are_laid_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "pfs", "/pfs")
    parts = datum(
        ("lab", "/b", ItemKind.FOLDER), ("whole", "/", ItemKind.FOLDER), ("s3", "/", ItemKind.BUCKET)
    )
    files = {"b/c.csv": b"123", "b/d/e": b"", "b/m/": b""}
    paths = workspace.lay_out(parts, serving(files), output=True)  # type: ignore[arg-type]
    assert paths == {"lab": "/pfs/lab/b", "whole": "/pfs/whole"}
    assert (tmp_path / "pfs/lab/b/c.csv").read_bytes() == b"123"
    assert (tmp_path / "pfs/whole/b/d/e").read_bytes() == b""
    assert (tmp_path / "pfs/lab/b/m").is_dir()
    assert os.listdir(tmp_path / "pfs/s3") == []
    assert os.listdir(tmp_path / "pfs/out") == []


def test_no_output_folder_when_the_output_goes_through_s3(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "pfs", str(tmp_path / "pfs"))
    paths = workspace.lay_out(datum(("a", "/x", ItemKind.FILE)), serving({"x": b""}), output=False)  # type: ignore[arg-type]
    assert paths == {"a": str(tmp_path / "pfs/a/x")}
    assert os.listdir(tmp_path / "pfs") == ["a"]


@pytest.mark.parametrize(
    "paths",
    [
        ["../x"],
        ["a/../../x"],
        ["a//b"],
        ["./a"],
        ["/"],
        [""],
        ["a\0b"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["a", "a/"],
        ["x" * 256],
    ],
)
def test_paths_that_cannot_be_files(tmp_path: Path, paths: list[str]) -> None:
    workspace = Workspace(tmp_path / "pfs", "/pfs")
    with pytest.raises(InputNotRepresentable) as caught:
        workspace.lay_out(
            datum(("in", "/", ItemKind.FOLDER)), serving(dict.fromkeys(paths, b"1")), output=True
        )  # type: ignore[arg-type]
    assert caught.value.details["path"] in paths
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pfs"]


def test_output_is_collected_in_order_of_path(workspace: Workspace) -> None:
    out = workspace.root / "out"
    for path in ("a/z", "a-b", "b", "a.txt", "empty", "ä"):
        (out / path).parent.mkdir(exist_ok=True)
        (out / path).write_bytes(path.encode())
    (out / "hollow").mkdir()
    (out / "empty").write_bytes(b"")
    found = collected(workspace)
    assert list(found) == ["/a-b", "/a.txt", "/a/z", "/b", "/empty", "/ä"]
    assert found["/empty"] == b""
    assert found["/a/z"] == b"a/z"


@pytest.mark.parametrize("target", ["/pfs/in/data", "../in/data", "hop", "/pfs/out/hop"])
def test_links_inside_are_followed(workspace: Workspace, target: str) -> None:
    (workspace.root / "out" / "hop").symlink_to("/pfs/in/data")
    (workspace.root / "out" / "link").symlink_to(target)
    assert collected(workspace) == {"/hop": b"input", "/link": b"input"}


def test_links_to_folders_are_followed(workspace: Workspace) -> None:
    (workspace.root / "out" / "all").symlink_to("/pfs/in")
    assert collected(workspace) == {"/all/data": b"input"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/etc/passwd", "out of /pfs"),
        ("../../outside", "out of /pfs"),
        ("/pfs/../outside", "out of /pfs"),
        ("/pfs/in/missing", "nowhere"),
        ("link", "nowhere"),
        ("/pfs/out", "above itself"),
        (".", "above itself"),
    ],
)
def test_other_links_are_refused(workspace: Workspace, target: str, words: str) -> None:
    (workspace.root.parent / "outside").write_text("secret")
    (workspace.root / "out" / "link").symlink_to(target)
    with pytest.raises(OutputNotCollectable, match=words) as caught:
        collected(workspace)
    assert caught.value.details["path"] == "/link"


def test_special_files_are_refused(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "out" / "pipe")
    with pytest.raises(OutputNotCollectable, match="socket, pipe or device"):
        collected(workspace)


def test_sockets_are_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root / "out")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        with pytest.raises(OutputNotCollectable, match="socket, pipe or device"):
            collected(workspace)


def test_names_that_are_not_utf8_are_refused(workspace: Workspace) -> None:
    (workspace.root / "out" / os.fsdecode(b"\xff")).write_text("x")
    with pytest.raises(OutputNotCollectable, match="not UTF-8"):
        collected(workspace)
