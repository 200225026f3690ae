"""Counts the requests and seconds of a 2-task Parquet write, per committer, of the Spark on PATH.

    PATH=$PWD/.venv-spark-4.0/bin:$PATH python3 bench/spark_committers.py

Prints a table for docs/spark.md. Each application writes to `out` and to local disk in turn; its first
two rounds warm up Java and its connections, the medians of those after them count. CPU time is told as
well: on a machine with other work, believe that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

PATH_OUTPUT = "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol"
BINDING = "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter"
JOB = Path(__file__).resolve().parent / "spark_committers_job.py"
ROWS, ROUNDS, WARM_UP = 1_000_000, 8, 2
COSTS = "COSTS "


def committers() -> dict[str, list[str]]:
    """Return the settings that a user gives for each committer."""
    algorithm = "--conf=spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version="
    cloud = [
        f"--conf=spark.sql.sources.commitProtocolClass={PATH_OUTPUT}",
        f"--conf=spark.sql.parquet.output.committer.class={BINDING}",
    ]
    named = {
        name: [f"--conf=spark.hadoop.fs.s3a.committer.name={name}", *cloud] for name in ("directory", "magic")
    }
    return {"file, algorithm 1 (default)": [], "file, algorithm 2": [f"{algorithm}2"], **named}


def costs(printed: str) -> list[list[float]]:
    """Return, for local disk and for the sidecar, seconds and CPU-s of Java and of the gateway."""
    lines = [line for line in printed.splitlines() if COSTS in line]
    if len(lines) != 1:
        raise SystemExit(f"the job did not write: {printed[-3000:]}")
    told: list[list[list[float]]] = json.loads(lines[0].partition(COSTS)[2])
    return [[median(column) for column in zip(*writes[WARM_UP:], strict=True)] for writes in told]


def measure(folder: Path, options: list[str]) -> tuple[list[list[float]], dict[str, int]]:
    """Run the job through a gateway; return its costs, and its requests to `out`, per write."""
    submit = ["spark-submit", "--master", "local[2]", *options]
    local = folder / "local"
    job = [str(JOB), local.as_uri(), "s3a://out", str(ROWS), str(ROUNDS)]
    spec = {
        "pipeline": {"name": "written"},
        "input": {"pfs": {"repo": "labs", "glob": "/", "s3": True}},
        "transform": {"cmd": [*submit, *job]},
        "s3_out": True,
        "datum_tries": 1,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    done = sidegate(folder, "run", "spec.json", "--json")
    took = costs(done.stderr)
    shutil.rmtree(local)
    places = json.loads(done.stdout)["details"]["traffic"]
    (out,) = (place for place in places if place["name"] == "out")
    return took, {name: round(count / ROUNDS) for name, count in out["requests"].items()}


def sidegate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder of the store."""
    return subprocess.run(["sidegate", *words], cwd=folder, capture_output=True, text=True, check=False)


def main() -> None:
    """Measure and print."""
    build = Path("build").absolute()  # not below /tmp, which a job has for itself
    build.mkdir(exist_ok=True)
    print("| committer | requests | local disk | sidecar | CPU-s local disk | sidecar | gateway of it | |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR", build)) as name:
        folder = Path(name)
        (folder / "a").write_text("a")
        for words in (("init", "."), ("repo", "create", "labs"), ("file", "put", "a", "labs@master")):
            sidegate(folder, *words)
        for committer, options in committers().items():
            (local, out), requests = measure(folder, options)
            kinds = ", ".join(
                f"{count} {kind}" for kind, count in sorted(requests.items(), key=lambda x: -x[1])
            )
            print(
                f"| {committer} | {sum(requests.values())} | {local[0]:.2f} s | {out[0]:.2f} s "
                f"| {local[1]:.2f} | {out[1] + out[2]:.2f} | {out[2]:.2f} | {kinds} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
