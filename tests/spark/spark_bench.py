"""A real Spark, a store beside it, and what its jobs wrote."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sidegate.pps.spark.installations import Spark

ROOT = Path(__file__).resolve().parent.parent.parent
JOBS = Path(__file__).resolve().parent / "jobs"
LINES = ("3.5", "4.0")
TASK_FILE = re.compile(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The id of a write, in the name of each file that it made."""

DIGESTS = "DIGESTS "


@dataclass(frozen=True)
class Contents:
    """What a folder of datasets holds, comparable between two runs of a job.

    `files` maps names without write ids to hashes; those of Parquet files are left out, because its
    writer orders the encodings in the footer at random. `rows` has counts and checksums instead.
    """

    files: dict[str, list[str]]
    rows: dict[str, list[object]]


OnLocalDisk = Callable[..., Contents]


@dataclass(frozen=True)
class RealSpark:
    """An environment with PySpark, and how to run things in it."""

    spark: Spark
    programs: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARK_"))}
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "SPARK_LOCAL_IP": "127.0.0.1", **more}

    def submit(self, *words: str | Path) -> str:
        """Run a job without Sidegate; return what it printed."""
        command = ["spark-submit", "--master", "local[2]", *map(str, words)]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def contents(self, folder: Path) -> Contents:
        """Say what a folder of datasets holds."""
        files = file_hashes(folder)
        if not any(name.endswith(".parquet") for name in files):
            return Contents(files, {})
        printed = self.submit(JOBS / "digest_rows.py", folder).splitlines()
        (line,) = (line for line in printed if line.startswith(DIGESTS))
        return Contents(files, json.loads(line.removeprefix(DIGESTS)))


def environment_of(line: str) -> Path:
    """Where `make test-spark` puts a Spark; SIDEGATE_SPARK_3_5 and _4_0 name others."""
    return Path(os.environ.get(f"SIDEGATE_SPARK_{line.replace('.', '_')}") or ROOT / f".venv-spark-{line}")


@dataclass
class Outcome:
    """How `sidegate run` ended."""

    code: int
    log: str
    job: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """A store with the repo `labs`, and a Spark to run jobs on it."""

    real: RealSpark
    folder: Path

    def sidegate(self, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sidegate", *map(str, words)]
        environment = self.real.environment(SIDEGATE_STORE=str(self.folder / ".sidegate"), **more)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)

    def run(self, *argv: str | Path, name: str = "result", **more: str) -> Outcome:
        """Run a job once; its Spark is `local[2]` unless the command says otherwise."""
        spec = {
            "pipeline": {"name": name},
            "input": {"pfs": {"repo": "labs", "glob": "/", "s3": True}},
            "transform": {"cmd": [str(word) for word in argv]},
            "s3_out": True,
            "datum_tries": 1,
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(spec))
        done = self.sidegate("run", path, "--json", **more)
        job = json.loads(done.stdout) if done.stdout else {}
        return Outcome(done.returncode, done.stderr, job)

    def output(self, name: str = "result") -> Contents:
        """What the head of a pipeline's output holds, taken out as a user takes it."""
        target = self.folder / "got" / name
        done = self.sidegate("file", "get", f"{name}@master:/", target)
        assert done.returncode == 0, done.stderr
        return self.real.contents(target)

    def has_commit(self, name: str = "result") -> bool:
        done = self.sidegate("commit", "list", name, "--json")
        return done.returncode == 0 and bool(done.stdout.strip())


def write_rows(folder: Path) -> None:
    """Two CSV files, so that reading and writing take two tasks."""
    folder.mkdir(parents=True)
    for part in range(2):
        with open(folder / f"{part}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("id", "day", "value"))
            rows.writerows((part * 1000 + i, i % 4, i / 8) for i in range(1000))


def file_hashes(folder: Path) -> dict[str, list[str]]:
    """Hash the files of datasets; marks and checksum files are not data."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(("_SUCCESS", "._SUCCESS")) and path.suffix != ".crc":
            name = TASK_FILE.sub("", path.relative_to(folder).as_posix())
            is_parquet = path.suffix == ".parquet"
            found.setdefault(name, []).append("" if is_parquet else sha256(path.read_bytes()).hexdigest())
    return {name: sorted(hashes) for name, hashes in found.items()}


def debris(paths: Iterable[str]) -> list[str]:
    """What a committer uses and a reader must never see."""
    return [path for path in paths if re.search(r"_temporary|__magic|\.spark-staging|\.pending", path)]
