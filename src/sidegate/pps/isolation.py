"""How far the kernel lets a job be alone, found out once per job.

Decides where the private /tmp keeps what is written to it and whether the
job's folder can be shown as /pfs; `launcher` does it, in each process anew.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidegate.descriptors import started_with
from sidegate.pps import launcher

_PROBE_SECONDS = 20
_SCRATCH_PREFIX = "sidegate-"


@dataclass(frozen=True, slots=True)
class Isolation:
    """What each process of a job gets.

    `scratch_base` holds what is written to the private /tmp while an attempt runs; `memory` keeps
    it in memory instead. `warnings` say what could not be had.
    """

    scratch_base: Path | None = None
    memory: bool = False
    private_tmp: bool = False
    pfs_mounted: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def is_active(self) -> bool:
        """Say whether a process needs a namespace of its own."""
        return self.private_tmp or self.pfs_mounted


@dataclass(frozen=True, slots=True)
class Scratch:
    """The folders of one attempt's isolation; removed when it ends."""

    directory: Path

    @classmethod
    def create(cls, base: Path) -> Scratch:
        """Make the folders below `base`, for this user only."""
        directory = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX, dir=base))
        for name in ("upper", "work", "root"):
            (directory / name).mkdir()
        return cls(directory)

    def written_below(self, path: Path) -> bool:
        """Say whether the process wrote below a folder of the real /tmp."""
        try:
            relative = path.resolve().relative_to(Path(launcher.TMP).resolve())
        except ValueError:
            return False
        place = self.directory / "upper" / relative
        return place.is_dir() and any(place.iterdir())

    def remove(self) -> None:
        """Remove the folders and all that was written."""
        remove_tree(self.directory)


def probe_isolation(bases: Sequence[Path], *, pfs: bool) -> Isolation:
    """Try what the kernel allows, best first, and say what it does not.

    `bases` are places for what is written to /tmp, best first; those below /tmp cannot be used (an
    overlay must not lie in its own lower layer). `pfs` asks for /pfs. One attempt takes some 30 ms.
    """
    reasons: list[str] = []
    tmp = Path(launcher.TMP).resolve()
    usable = [base.resolve() for base in bases if base.is_dir() and os.access(base, os.W_OK)]
    for base in usable:
        if base.is_relative_to(tmp):
            reasons.append(f"{base} lies in {launcher.TMP}")
            continue
        found = _try_base(base, pfs, reasons)
        if found is not None:
            return found
    refusal = _probe(None, memory=True, pfs=None)
    if refusal is None:
        shown = pfs and _probe(None, memory=True, pfs=Path("/")) is None
        note = f"the private {launcher.TMP} is held in memory"
        return Isolation(
            memory=True, private_tmp=True, pfs_mounted=shown, warnings=_with_pfs((note,), pfs and not shown)
        )
    reasons.append(refusal)
    warning = (
        f"the job shares {launcher.TMP} with everyone ({'; '.join(dict.fromkeys(reasons))}): "
        "files that an earlier run left there can reach its output"
    )
    return Isolation(warnings=_with_pfs((warning,), pfs))


def _try_base(base: Path, pfs: bool, reasons: list[str]) -> Isolation | None:
    scratch = Scratch.create(base)
    try:
        refusal = _probe(scratch.directory, memory=False, pfs=scratch.directory if pfs else None)
        if refusal is None:
            return Isolation(scratch_base=base, private_tmp=True, pfs_mounted=pfs)
        reasons.append(refusal)
        if pfs and _probe(scratch.directory, memory=False, pfs=None) is None:
            return Isolation(scratch_base=base, private_tmp=True, warnings=_with_pfs((), True))
    finally:
        scratch.remove()
    return None


def _with_pfs(warnings: tuple[str, ...], refused: bool) -> tuple[str, ...]:
    if not refused:
        return warnings
    return (*warnings, f"{launcher.PFS} cannot be shown: the job finds its files below $PFS_ROOT")


def _probe(scratch: Path | None, *, memory: bool, pfs: Path | None) -> str | None:
    """Isolate a process that does nothing; return why that was refused."""
    plan = make_plan([], {}, "/", scratch=scratch, memory=memory, pfs=pfs, isolate=True, probe=True)
    reading, writing = os.pipe()
    try:
        process = spawn_launcher(plan, writing, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(writing)
        writing = -1
        with open(reading, "rb", closefd=False) as status:
            line = status.readline()
        process.wait(_PROBE_SECONDS)
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    report = json.loads(line) if line else {"reason": "the launcher ended without a word"}
    return None if report.get("stage") == "ready" else str(report.get("reason"))


def make_plan(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    *,
    scratch: Path | None = None,
    memory: bool = False,
    pfs: Path | None = None,
    shared: Sequence[Path] = (),
    isolate: bool = False,
    probe: bool = False,
) -> bytes:
    """Encode a plan for the launcher."""
    plan = {
        "argv": [_latin(argument) for argument in argv],
        "env": {_latin(name): _latin(value) for name, value in env.items()},
        "cwd": _latin(cwd),
        "isolate": isolate,
        "scratch": None if scratch is None else _latin(str(scratch)),
        "memory": memory,
        "pfs": None if pfs is None else _latin(str(pfs)),
        "shared": [_latin(str(path)) for path in shared],
        "probe": probe,
        "descriptors": started_with,
    }
    return json.dumps(plan).encode()


def _latin(text: str) -> str:
    return os.fsencode(text).decode("latin-1")


def spawn_launcher(plan: bytes, status: int, **streams: Any) -> subprocess.Popen[bytes]:
    """Start the launcher in a session of its own; `streams` go to Popen."""
    with tempfile.TemporaryFile() as file:
        file.write(plan)
        file.seek(0)
        command = [sys.executable, "-I", "-S", launcher.__file__, str(file.fileno()), str(status)]
        return subprocess.Popen(
            command,
            env={},
            cwd="/",
            start_new_session=True,
            pass_fds=(file.fileno(), status),
            **streams,
        )


def remove_tree(directory: Path) -> None:
    """Remove a folder, also where a process took our rights away.

    Overlayfs leaves a folder without any mode bits, and jobs make read-only ones.
    """

    def retry(function: Callable[..., object], path: str, error: object) -> None:
        parent = os.path.dirname(path)
        for place in (parent, path):
            if os.path.isdir(place) and not os.path.islink(place):
                os.chmod(place, stat.S_IRWXU)
        if function in (os.rmdir, os.unlink):
            function(path)
        else:
            shutil.rmtree(path)

    if not directory.exists():
        return
    if sys.version_info >= (3, 12):
        shutil.rmtree(directory, onexc=retry)
    else:
        shutil.rmtree(directory, onerror=retry)
