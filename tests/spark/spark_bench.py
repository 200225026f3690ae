"""A real Spark, a store beside it, and what its jobs wrote."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from reference_session import ENDED

from sidegate.pps.spark.installations import Spark

ROOT = Path(__file__).resolve().parent.parent.parent
JOBS = Path(__file__).resolve().parent / "jobs"
LINES = ("3.5", "4.0", "4.1")
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.ui.enabled=false"
"""For Javas that live for seconds: half the CPU time (31 and 16 s for write_everything.py, 4.0, 2026-11)."""

TASK_FILE = re.compile(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The id of a write, in the name of each file that it made."""

DIGESTS = "DIGESTS "

_ALGORITHM = "--conf=spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version="
_CLOUD = (
    "--conf=spark.sql.sources.commitProtocolClass=org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "--conf=spark.sql.parquet.output.committer.class="
    "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
)
_FILE = (
    "--conf=spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a="
    "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory",
    "--conf=spark.sql.sources.commitProtocolClass="
    "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol",
    "--conf=spark.sql.parquet.output.committer.class=org.apache.parquet.hadoop.ParquetOutputCommitter",
)
"""What Spark has by itself before 4.1."""
COMMITTERS = {
    "default": (),
    "v1": (*_FILE, f"{_ALGORITHM}1"),
    "v2": (*_FILE, f"{_ALGORITHM}2"),
    "magic": ("--conf=spark.hadoop.fs.s3a.committer.name=magic", *_CLOUD),
    "directory": ("--conf=spark.hadoop.fs.s3a.committer.name=directory", *_CLOUD),
    "partitioned": ("--conf=spark.hadoop.fs.s3a.committer.name=partitioned", *_CLOUD),
}
"""How users choose a committer: options of spark-submit."""


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
        own = {"PATH": path, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_SUBMIT_OPTS": SHORT_LIVED}
        return {**kept, **own, **more}

    @contextmanager
    def reference(self) -> Iterator[Reference]:
        """Start a Spark without Sidegate, to compare with."""
        environment = self.environment(PYSPARK_SUBMIT_ARGS="--master local[2] pyspark-shell")
        command = [str(self.programs / "python"), str(JOBS.parent / "reference_session.py")]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
            yield Reference(process)
            process.communicate()


class Reference:
    """A Spark that stays: its jobs work on local disk, and it says what datasets hold."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._requests, self._printed = process.stdin, process.stdout

    def submit(self, *words: str | Path) -> str:
        """Run a job; return what it printed."""
        print(json.dumps([str(word) for word in words]), file=self._requests, flush=True)
        lines: list[str] = []
        for line in self._printed:
            if line.startswith(ENDED):
                assert json.loads(line.removeprefix(ENDED)) == "", words
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"the reference ended: {lines}")

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
    reference: Reference
    folder: Path

    def sidegate(self, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sidegate", *map(str, words)]
        environment = self.real.environment(SIDEGATE_STORE=str(self.folder / ".sidegate"), **more)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800)

    def options(self, committer: str) -> tuple[str, ...]:
        """Return what a user gives spark-submit for a committer; nothing that this Spark does by itself."""
        if committer == "v1" and self.real.spark.line < "4.1":
            return ()
        options = COMMITTERS[committer]
        return tuple(one for one in options if one not in _FILE or self.real.spark.line >= "4.1")

    def submit(self, committer: str, *argv: str | Path, master: str = "local[2]") -> Outcome:
        return self.run("spark-submit", "--master", master, *self.options(committer), *argv)

    def run(self, *argv: str | Path, name: str = "result", repo: str = "labs", **more: str) -> Outcome:
        """Run a job once."""
        spec = {
            "pipeline": {"name": name},
            "input": {"pfs": {"repo": repo, "glob": "/", "s3": True}},
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
        return self.reference.contents(target)

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
