"""Times the job of examples/spark through a gateway and on local disk, in turn, with the Spark on PATH.

    PATH=$PWD/.venv-spark-4.0/bin:$PATH python3 bench/spark_example.py

Prints a table for docs/spark.md: the whole job, and each of its writes, as Spark's event log has them. Both
ways read the same files, from the input or from local disk, and start a Spark. CPU time is that of all
processes of the job, the gateway's among them; on a machine with other work, believe that.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "spark"
WRITTEN = ("monthly", "followed")
"""The datasets that the job writes, one execution of a query for each."""


@dataclass(frozen=True)
class Run:
    """What a run of the job took."""

    seconds: float
    cpu_seconds: float
    writes: tuple[float, ...]


def spend(folder: Path, command: list[str], environment: dict[str, str]) -> Run:
    """Run the job in a folder; return what it took, with the writes of its event log."""
    events = folder / "events"
    shutil.rmtree(events, ignore_errors=True)
    events.mkdir()
    began = time.monotonic()
    with open(folder / "log", "w") as log:
        wait_for_orphans()
        before = time_of_children()
        code = subprocess.call(command, cwd=folder, env=environment, stdout=log, stderr=log)
    seconds = time.monotonic() - began
    if code:
        raise SystemExit(f"{command} ended with {code}:\n{(folder / 'log').read_text()[-3000:]}")
    wait_for_orphans()
    return Run(seconds, time_of_children() - before, tuple(writes_of(events)))


def adopt_orphans() -> None:
    """Have all processes of a job as children in the end: PySpark does not wait for its Java."""
    set_child_subreaper = 36  # linux/prctl.h
    if ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def wait_for_orphans() -> None:
    """Wait until every process that was started has ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def time_of_children() -> float:
    """Return the CPU time of all processes that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def writes_of(events: Path) -> Iterable[float]:
    """Return the seconds of each write of the application whose event log is below a folder."""
    started: dict[int, float] = {}
    for path in sorted(path for path in events.rglob("*") if path.is_file() and path.stat().st_size):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            kind = event["Event"].rpartition(".")[2]
            if (
                kind == "SparkListenerSQLExecutionStart"
                and "InsertIntoHadoopFs" in event["physicalPlanDescription"]
            ):
                started[event["executionId"]] = event["time"]
            elif kind == "SparkListenerSQLExecutionEnd" and event["executionId"] in started:
                yield (event["time"] - started[event["executionId"]]) / 1000


def prepare(folder: Path, rows: int) -> dict[str, str]:
    """Make the data, a store with it, and a configuration of Spark that only adds an event log."""
    conf = folder / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.dir {(folder / 'events').as_uri()}\n"
        "spark.eventLog.compress false\nspark.eventLog.rolling.enabled false\n"
    )
    environment = {**os.environ, "SIDEGATE_STORE": str(folder / ".sidegate")}
    for command in (
        ["python3", EXAMPLE / "make_data.py", folder / "data", str(rows)],
        ["sidegate", "init", folder],
        ["sidegate", "repo", "create", "labresults"],
        ["sidegate", "file", "put", f"{folder / 'data'}/", "labresults@master"],
    ):
        subprocess.run([str(word) for word in command], env=environment, check=True, capture_output=True)
    return {**environment, "SPARK_CONF_DIR": str(conf)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="lab results (default one million)")
    parser.add_argument("--pairs", type=int, default=3, help="runs each way (default 3)")
    options = parser.parse_args()
    adopt_orphans()
    build = Path("build").absolute()  # not below /tmp, which a job has for itself
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR", build)) as name:
        folder = Path(name)
        environment = prepare(folder, options.rows)
        spec = json.loads((EXAMPLE / "pipeline.json").read_text())
        job = str(EXAMPLE / "exceedances.py")
        spec["transform"]["cmd"] = ["python3", job, "s3a://labresults", "s3a://out"]
        (folder / "spec.json").write_text(json.dumps(spec))
        taken: dict[str, list[Run]] = {"local disk": [], "sidecar": []}
        for number in range(options.pairs):
            local = folder / f"local-{number}"
            ways = {
                "local disk": ["python3", job, str(folder / "data"), str(local)],
                "sidecar": ["sidegate", "run", "spec.json"],
            }
            for way in ways if number % 2 else reversed(ways):
                taken[way].append(spend(folder, ways[way], environment))
                print(way, taken[way][-1], file=sys.stderr, flush=True)
            shutil.rmtree(local)
        report(taken)


def report(taken: dict[str, list[Run]]) -> None:
    """Print the medians."""
    rows = {
        "whole job": lambda run: run.seconds,
        "its CPU time": lambda run: run.cpu_seconds,
        **{f"write of `{name}`": lambda run, i=i: run.writes[i] for i, name in enumerate(WRITTEN)},
        "both writes": lambda run: sum(run.writes),
    }
    print("| | local disk | sidecar | ratio |\n|---|---:|---:|---:|")
    for name, of in rows.items():
        local, sidecar = (median(map(of, taken[way])) for way in ("local disk", "sidecar"))
        print(f"| {name} | {local:.2f} s | {sidecar:.2f} s | {sidecar / local:.2f} |")


if __name__ == "__main__":
    main()
