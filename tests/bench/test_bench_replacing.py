"""Files of a run take the place of those of an earlier one when they are whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sidegate.bench import replacing
from sidegate.bench.replacing import write_text


def full_disk(descriptor: int) -> None:
    raise OSError(28, os.strerror(28))


def test_a_full_disk_leaves_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    path.write_text("the last run")
    monkeypatch.setattr(replacing.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "the last run"
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_what_is_no_file_fails_as_itself() -> None:
    with pytest.raises(OSError, match="No space left"):
        write_text(Path("/dev/full"), "new")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_permissions_stay_and_new_files_have_the_usual_ones(tmp_path: Path) -> None:
    kept, usual, new = tmp_path / "kept", tmp_path / "usual", tmp_path / "folder" / "new"
    kept.write_text("old")
    kept.chmod(0o640)
    usual.write_text("")
    for path in (kept, new):
        write_text(path, "new é")
        assert path.read_text(encoding="utf-8") == "new é"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert new.stat().st_mode == usual.stat().st_mode


def test_a_link_still_leads_to_the_file(tmp_path: Path) -> None:
    target, link = tmp_path / "runs" / "today.json", tmp_path / "latest.json"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to("runs/today.json")
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    dangling = tmp_path / "next.json"
    dangling.symlink_to("runs/tomorrow.json")
    write_text(dangling, "new")
    assert (tmp_path / "runs" / "tomorrow.json").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    fifo, found = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: found.append(fifo.read_text()))
    reader.start()
    write_text(fifo, "new")
    reader.join(10)
    assert found == ["new"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("named", ["/dev/stdout", "out.txt"])
def test_what_else_goes_to_the_same_file_is_not_lost(tmp_path: Path, named: str) -> None:
    """The shell holds the file that stdout goes to: one in its place would hold the JSON alone."""
    code = (
        "import sys; from pathlib import Path; from sidegate.bench.replacing import write_text\n"
        f"sys.stdout.write('a table, '); write_text(Path({named!r}), 'new'); sys.stdout.write(' and more')"
    )
    out = tmp_path / "out.txt"
    with out.open("w") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True, cwd=tmp_path)
    assert out.read_text() == "a table, new and more"


@pytest.mark.parametrize("refusing", ["open", "replace"])
def test_a_file_that_cannot_be_replaced_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    """As in a folder of somebody else, or where the file alone is mounted."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "no")

    path = tmp_path / "run.json"
    path.write_text("old and longer")
    monkeypatch.setattr(replacing.os, refusing, refuse)
    write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["run.json"]
