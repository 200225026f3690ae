"""What lies under a local folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sidegate.errors import Unavailable
from sidegate.pfs.local_files import (
    LocalFileFailed,
    LocalFileMissing,
    LocalFileRefused,
    local_file,
    reading,
    stat_source,
    walk_folder,
    writing,
)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def walked(folder: Path, prefix: str = "") -> list[str]:
    return [file.path for file in walk_folder(folder, prefix).files]


def test_every_file_is_found_by_name_with_its_size(tmp_path: Path) -> None:
    make(tmp_path, "b", "a/2", "a/1/x", ".hidden")
    findings = walk_folder(tmp_path, "in")
    assert sorted(file.path for file in findings.files) == ["in/.hidden", "in/a/1/x", "in/a/2", "in/b"]
    assert {file.path: file.size_bytes for file in findings.files}["in/a/1/x"] == 5
    assert all(file.source.read_bytes() for file in findings.files)
    assert walked(tmp_path) == walked(tmp_path)


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "outside/x", "in/y")
    (tmp_path / "in/file").symlink_to(tmp_path / "outside/x")
    (tmp_path / "in/folder").symlink_to(tmp_path / "outside")
    assert sorted(walked(tmp_path / "in")) == ["file", "folder/x", "y"]


@pytest.mark.parametrize("target", [".", "..", "../../in"])
def test_a_link_in_a_circle_is_refused(tmp_path: Path, target: str) -> None:
    make(tmp_path, "in/deep/x")
    (tmp_path / "in/deep/circle").symlink_to(target)
    with pytest.raises(LocalFileRefused, match="links back to a folder above it"):
        walk_folder(tmp_path / "in", "")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(LocalFileRefused, match="is a link to 'nowhere', which is not there"):
        walk_folder(tmp_path, "")


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LocalFileRefused, match="is a named pipe, not a file"):
        walk_folder(tmp_path, "")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(LocalFileRefused, match="is a socket, not a file"):
            walk_folder(Path(), "")


def test_a_device_is_refused() -> None:
    device = Path(os.devnull)
    with pytest.raises(LocalFileRefused, match="is a character device"):
        local_file(device, "null", device.stat())


def test_a_name_that_no_path_can_hold_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "escape\x1b[2J")
    with pytest.raises(LocalFileRefused, match="control character"):
        walk_folder(tmp_path, "")


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="names there are Unicode")
def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"latin-\xe9"), "wb"):
        pass
    with pytest.raises(LocalFileRefused, match="not UTF-8"):
        walk_folder(tmp_path, "")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    make(tmp_path, "x", ".sidegate/store.json")
    (tmp_path / "empty").mkdir()
    findings = walk_folder(tmp_path, "", leave_out=tmp_path / ".sidegate")
    assert [file.path for file in findings.files] == ["x"]
    assert findings.left_out == [
        f"{tmp_path}/.sidegate is the store itself",
        f"{tmp_path}/empty is empty, and only files are kept",
    ]


def test_the_store_does_not_go_into_itself(tmp_path: Path) -> None:
    with pytest.raises(LocalFileRefused, match="is the store itself"):
        walk_folder(tmp_path, "", leave_out=tmp_path)


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LocalFileMissing, match="no local file or folder"):
        stat_source(tmp_path / "none")


@pytest.mark.parametrize(("context", "verb"), [(reading, "read"), (writing, "write")])
def test_what_the_system_refuses_names_the_file(context, verb: str) -> None:
    with (
        pytest.raises(LocalFileFailed, match=f"cannot {verb} 'here': No space left") as caught,
        context(Path("here")),
    ):
        raise OSError(28, "No space left on device")
    assert isinstance(caught.value, Unavailable)
