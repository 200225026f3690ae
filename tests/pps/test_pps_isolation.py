"""The private /tmp and /pfs, as root and not, and what is said without them."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import sidegate
from sidegate.pps import isolation as isolation_module
from sidegate.pps.errors import LaunchFailed
from sidegate.pps.isolation import Isolation, Scratch, make_plan, probe_isolation, remove_tree
from sidegate.pps.process import Command, LogLine, run_process

ENV = {"PATH": os.environ["PATH"]}
VAR_TMP = Path("/var/tmp")

ALLOWED = probe_isolation([VAR_TMP], pfs=False).private_tmp
needs_namespace = pytest.mark.skipif(
    not ALLOWED, reason="the kernel allows no overlay in a mount namespace here"
)


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    scratch = Scratch.create(VAR_TMP)
    yield scratch
    scratch.remove()
    assert not scratch.directory.exists()


@pytest.fixture
def real_tmp() -> Iterator[Path]:
    """A folder in the real /tmp, wherever pytest keeps its own."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


def shell(script: str, cwd: Path = Path("/"), **fields: object) -> list[str]:
    lines: list[LogLine] = []
    command = Command(["sh", "-ec", script], ENV, cwd, **fields)  # type: ignore[arg-type]
    result = run_process(command, lines.append)
    assert result.exit_code == 0, lines
    return [line.text for line in lines]


@needs_namespace
def test_what_is_written_to_tmp_is_private(scratch: Scratch, real_tmp: Path) -> None:
    (real_tmp / "there").write_text("real\n")
    script = f"cd {real_tmp}; cat there; echo new >there; mkdir /tmp/result-x; mv /tmp/result-x y; ls"
    assert shell(script, scratch=scratch.directory) == ["real", "there", "y"]
    assert (real_tmp / "there").read_text() == "real\n"
    assert not (real_tmp / "y").exists()
    assert scratch.written_below(real_tmp)
    assert not scratch.written_below(real_tmp / "elsewhere")
    assert not scratch.written_below(Path("/etc"))


@needs_namespace
def test_tmp_keeps_its_mode(scratch: Scratch) -> None:
    assert shell("stat -c %a /tmp", scratch=scratch.directory) == [f"{os.stat('/tmp').st_mode & 0o7777:o}"]


@needs_namespace
def test_a_working_directory_in_tmp_is_the_private_one(scratch: Scratch, real_tmp: Path) -> None:
    assert shell("echo x >here; ls", cwd=real_tmp, scratch=scratch.directory) == ["here"]
    assert os.listdir(real_tmp) == []


@needs_namespace
def test_programs_in_tmp_run(scratch: Scratch, real_tmp: Path) -> None:
    tool = real_tmp / "tool"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    assert shell(str(tool), scratch=scratch.directory) == ["ran"]


@needs_namespace
def test_shared_folders_below_tmp_are_the_real_ones(scratch: Scratch, real_tmp: Path) -> None:
    shared = real_tmp / "a" / "shared"
    shared.mkdir(parents=True)
    shell(f"echo 1 >{shared}/x; echo 2 >{real_tmp}/a/y", scratch=scratch.directory, shared=(shared,))
    assert os.listdir(shared) == ["x"]
    assert os.listdir(real_tmp / "a") == ["shared"]


@needs_namespace
def test_memory_in_place_of_a_disk(real_tmp: Path) -> None:
    assert shell(f"echo x >{real_tmp}/new; ls {real_tmp}", memory=True) == ["new"]
    assert os.listdir(real_tmp) == []


@needs_namespace
def test_pfs_shows_the_folder(scratch: Scratch, real_tmp: Path) -> None:
    folder = real_tmp / "work, space: and\\more"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "x").write_text("content\n")
    script = "cat /pfs/in/x; echo out >/pfs/out; ls /pfs"
    lines = shell(script, scratch=scratch.directory, pfs=folder, shared=(folder,))
    assert lines == ["content", "in", "out"]
    assert (folder / "out").read_text() == "out\n"


def test_a_command_has_the_descriptors_that_this_process_was_started_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway allows itself more, and select(2) knows none above 1023."""
    monkeypatch.setattr(isolation_module, "started_with", 123)
    assert shell("ulimit -Sn; ulimit -Hn") == ["123", str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])]
    monkeypatch.setattr(isolation_module, "started_with", 1 << 20)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert shell("ulimit -Sn") == [str(soft)]


@needs_namespace
def test_a_process_that_leaves_its_session_is_found_by_its_namespace(scratch: Scratch) -> None:
    marker = f"SIDEGATE_TEST_DAEMON_{os.getpid()}"
    shell(f"setsid sh -c 'sleep 60; : {marker}' >/dev/null 2>&1 & sleep 0.2", scratch=scratch.directory)
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in found.splitlines() if line.startswith("sh -c") and marker in line]


@needs_namespace
def test_places_in_tmp_are_not_used_for_scratch(real_tmp: Path) -> None:
    found = probe_isolation([real_tmp, VAR_TMP], pfs=False)
    assert found == Isolation(scratch_base=VAR_TMP, private_tmp=True)


@needs_namespace
def test_memory_is_the_last_resort_and_is_told(real_tmp: Path) -> None:
    found = probe_isolation([real_tmp, Path("/no/such/folder")], pfs=False)
    assert (found.private_tmp, found.memory, found.scratch_base) == (True, True, None)
    assert found.warnings == ("the private /tmp is held in memory",)


def test_probing_leaves_nothing() -> None:
    before = set(os.listdir(VAR_TMP))
    probe_isolation([VAR_TMP], pfs=False)
    assert set(os.listdir(VAR_TMP)) <= before


def test_without_namespaces_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation_module, "_probe", lambda *args, **kwargs: "mount namespace: not permitted")
    found = probe_isolation([VAR_TMP], pfs=True)
    assert not found.is_active
    assert "mount namespace: not permitted" in found.warnings[0]
    assert "shares /tmp" in found.warnings[0]
    assert "$PFS_ROOT" in found.warnings[1]


def test_pfs_alone_may_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        isolation_module, "_probe", lambda *args, pfs, **kwargs: "no" if pfs is not None else None
    )
    found = probe_isolation([VAR_TMP], pfs=True)
    assert (found.private_tmp, found.pfs_mounted, found.scratch_base) == (True, False, VAR_TMP)
    assert len(found.warnings) == 1


def test_isolation_that_fails_at_last_is_an_error(real_tmp: Path) -> None:
    with pytest.raises(LaunchFailed, match="could not be isolated"):
        shell("true", scratch=real_tmp / "missing")


def test_a_tree_without_rights_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "c").write_text("x")
    (tree / "link").symlink_to("/etc")
    (tree / "a" / "b").chmod(0)
    (tree / "a").chmod(0o500)
    remove_tree(tree)
    assert not tree.exists()
    remove_tree(tree)


AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from sidegate.pps.isolation import Scratch, probe_isolation
from sidegate.pps.process import Command, run_process
base, real = Path(sys.argv[1]), Path(sys.argv[2])
found = probe_isolation([base], pfs=True)
print("found", found.private_tmp, found.pfs_mounted, found.warnings)
if found.private_tmp:
    scratch = Scratch.create(base)
    (base / "pfs").mkdir()
    script = f"id -u; ls {real}; echo x >{real}/y; rm {real}/there; ls {real}; echo 1 >/pfs/o; pwd"
    command = Command(
        ["sh", "-c", script],
        dict(os.environ), base, scratch=scratch.directory, pfs=base / "pfs" if found.pfs_mounted else None,
    )
    print(run_process(command, lambda line: print("line", line.text)).describe())
    scratch.remove()
    print(sorted(os.listdir(base)), sorted(os.listdir(base / "pfs")))
"""


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; others test themselves above"
)
def test_as_a_user_without_rights(real_tmp: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
    setpriv = shutil.which("setpriv")
    if python is None or setpriv is None:
        pytest.skip("no system python3 or no setpriv")
    base = Path(tempfile.mkdtemp(dir=VAR_TMP))
    try:
        # The package as a copy: the user may not be allowed into the working tree.
        shutil.copytree(
            Path(sidegate.__file__).parent, base / "lib" / "sidegate", ignore=shutil.ignore_patterns("*.so")
        )
        (real_tmp / "there").write_text("x")
        for path in (base, real_tmp, real_tmp / "there"):
            os.chown(path, 65534, 65534)
        become = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", python, "-B", "-c", AS_NOBODY]
        done = subprocess.run(
            [*become, str(base), str(real_tmp)],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(base / "lib")},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        lines = done.stdout.splitlines()
        if not lines[0].startswith("found True"):
            assert "shares /tmp" in lines[0]
            pytest.skip(f"the kernel refuses: {lines[0]}")
        assert lines[0] == "found True True ()"
        assert lines[1:] == [
            "line 65534",
            "line there",
            "line y",
            f"line {base}",
            "exit code 0",
            "['lib', 'pfs'] ['o']",
        ]
        assert os.listdir(real_tmp) == ["there"]
    finally:
        shutil.rmtree(base)


def test_starting_is_quick() -> None:
    """Start-up is paid per datum; measured 25 ms on the development machine, so 1 s is a broken one."""
    result = run_process(Command(["true"], ENV, Path("/")), lambda line: None)
    assert result.seconds < 1.0


def test_plans_are_plain_json() -> None:
    import json

    plan = json.loads(make_plan([os.fsdecode(b"\xff")], {"A": "ü"}, "/"))
    assert plan["argv"] == ["\xff"]
    assert plan["env"] == {"A": "Ã¼"}
    assert sys.platform != "linux" or set(plan) == {
        "argv",
        "env",
        "cwd",
        "isolate",
        "scratch",
        "memory",
        "pfs",
        "shared",
        "probe",
        "descriptors",
    }
