"""Counts the requests and seconds of a 2-task Parquet write, per committer, of the Spark on PATH.

    PATH=$PWD/.venv-spark-4.0/bin:$PATH python3 bench/spark_committers.py

Prints a table for docs/spark.md. The first write of each application warms up Java and its
connections; the median of those after it counts. `local disk` is the same without a gateway.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from statistics import median

PATH_OUTPUT = "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol"
BINDING = "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter"
ROWS, WRITES = 4_000_000, 4
JOB = f"""
import sys, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rows = spark.range(0, {ROWS}, 1, 2).selectExpr("id", "xxhash64(id) AS hash")
for number in range({WRITES}):
    began = time.perf_counter()
    rows.write.parquet(f"{{sys.argv[1]}}/{{number}}")
    print("SECONDS", time.perf_counter() - began, flush=True)
"""


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


def seconds(printed: str) -> float:
    """Return the median of the writes after the first."""
    took = [float(line.split()[1]) for line in printed.splitlines() if line.startswith("SECONDS")]
    if len(took) != WRITES:
        raise SystemExit(f"the job did not write: {printed[-3000:]}")
    return median(took[1:])


def measure(folder: Path, options: list[str]) -> tuple[float, dict[str, int]]:
    """Run the job through a gateway; return its seconds and its requests to `out`, per write."""
    spec = {
        "pipeline": {"name": "written"},
        "input": {"pfs": {"repo": "labs", "glob": "/", "s3": True}},
        "transform": {"cmd": ["spark-submit", "--master", "local[2]", *options, "job.py", "s3a://out"]},
        "s3_out": True,
        "datum_tries": 1,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    done = sidegate(folder, "run", "spec.json", "--json")
    took = seconds(done.stderr)
    places = json.loads(done.stdout)["details"]["traffic"]
    (out,) = (place for place in places if place["name"] == "out")
    return took, {name: round(count / WRITES) for name, count in out["requests"].items()}


def sidegate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder of the store."""
    return subprocess.run(["sidegate", *words], cwd=folder, capture_output=True, text=True, check=False)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        (folder / "job.py").write_text(JOB)
        (folder / "a").write_text("a")
        for words in (("init", "."), ("repo", "create", "labs"), ("file", "put", "a", "labs@master")):
            sidegate(folder, *words)
        local = subprocess.run(
            ["spark-submit", "--master", "local[2]", "job.py", str(folder / "local")],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"| local disk | - | {seconds(local.stdout):.2f} | |")
        for committer, options in committers().items():
            took, requests = measure(folder, options)
            kinds = ", ".join(
                f"{count} {kind}" for kind, count in sorted(requests.items(), key=lambda x: -x[1])
            )
            print(f"| {committer} | {sum(requests.values())} | {took:.2f} | {kinds} |", flush=True)


if __name__ == "__main__":
    main()
