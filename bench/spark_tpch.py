"""Times TPC-H-like read queries over a job's sidecar against local disk, with the Spark on PATH.

    PATH=$PWD/.venv-spark-4.0/bin:$PATH python3 bench/spark_tpch.py --scale 1

One Spark application reads the same Parquet from `s3a://` and from `file://`, each query in turn from
one and the other, and compares what they answer. Prints a table for docs/spark.md. `tpchgen-cli` makes
the data, once, in --directory. CPU time is told as well: on a machine with other work, believe that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
TIMES = "TIMES "
LOCAL, SIDECAR = "local disk", "sidecar"


def sidegate(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder of the store; what it says of a failure ends the program."""
    command = ["sidegate", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"sidegate {words[0]} ended with {done.returncode}: {done.stderr[-4000:]}")
    return done


def prepare(folder: Path, scale: str) -> Path:
    """Make the tables and a store that holds them, unless they are there; return where the tables are."""
    tables = folder / f"tables-{scale}"
    if not (folder / ".complete").exists():
        if shutil.which("tpchgen-cli") is None:
            raise SystemExit("tpchgen-cli is not on PATH: pip install tpchgen-cli")
        made = ["tpchgen-cli", "parquet", "-s", scale, "--output-dir", str(tables)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        sidegate(folder, "init", ".")
        sidegate(folder, "repo", "create", "tpch")
        sidegate(folder, "file", "put", f"{tables}/", "tpch@master")
        (folder / ".complete").touch()
    return tables


@dataclass(frozen=True)
class Measured:
    """By place and query the rounds, each with seconds, CPU-s of Java and CPU-s of the gateway."""

    rounds: dict[str, dict[str, list[list[float]]]]
    traffic: dict[str, str]

    def medians(self, place: str, query: str) -> list[float]:
        """Return seconds, CPU-s of Java and CPU-s of the gateway."""
        return [median(column) for column in zip(*self.rounds[place][query], strict=True)]

    def rows(self, place: str) -> list[tuple[str, list[float]]]:
        """Return the medians of each query, and their sums."""
        rows = [(query, self.medians(place, query)) for query in self.rounds[place]]
        return [*rows, ("all", [sum(column) for column in zip(*(row for _, row in rows), strict=True)])]

    def show(self, place: str) -> float:
        """Print a row per query and the sum; return the ratio of the sums of seconds."""
        print(f"\n| query | {LOCAL} | {place} | ratio | CPU-s {LOCAL} | {place} | gateway of it | ratio |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        ratio = 0.0
        for (query, local), (_, there) in zip(self.rows(LOCAL), self.rows(place), strict=True):
            cpu, ratio = there[1] + there[2], there[0] / local[0]
            print(
                f"| {query} | {local[0]:.2f} s | {there[0]:.2f} s | {ratio:.2f} "
                f"| {local[1]:.2f} | {cpu:.2f} | {there[2]:.2f} | {cpu / local[1]:.2f} |"
            )
        print(f"\nRequests of a round: {self.traffic[place]}", flush=True)
        return ratio


def measure(folder: Path, tables: Path, options: argparse.Namespace) -> Measured:
    """Run the queries in a job: over the sidecar, and over it with each variant of settings for S3A."""
    buckets = {SIDECAR: "tpch"}
    settings = list(options.conf)
    for number, variant in enumerate(options.variant):
        buckets[variant] = f"variant-{number}"
        for setting in variant.split(","):
            name = setting.removeprefix("fs.s3a.")
            settings.append(f"spark.hadoop.fs.s3a.bucket.variant-{number}.{name}")
    places = {LOCAL: tables.as_uri(), **{name: f"s3a://{bucket}" for name, bucket in buckets.items()}}
    submit = ["spark-submit", "--master", "local[2]", "--driver-memory", "4g"]
    submit += [f"--conf={setting}" for setting in settings]
    job = [str(HERE / "spark_tpch_job.py"), json.dumps(places), str(options.rounds), *options.queries]
    inputs = [
        {"pfs": {"repo": "tpch", "name": bucket, "glob": "/", "s3": True}} for bucket in buckets.values()
    ]
    spec = {
        "pipeline": {"name": "queries"},
        "input": {"cross": inputs} if options.variant else inputs[0],
        "transform": {"cmd": [*submit, *job]},
        "s3_out": True,
        "datum_tries": 1,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    done = sidegate(folder, "run", "spec.json", "--json")
    lines = [line for line in done.stderr.splitlines() if TIMES in line]
    if len(lines) != 1:
        raise SystemExit(f"the job told no times: {done.stderr[-4000:]}")
    told = {one["name"]: one for one in json.loads(done.stdout)["details"]["traffic"]}
    traffic = {name: describe(told[bucket], options.rounds + 1) for name, bucket in buckets.items()}
    return Measured(json.loads(lines[0].partition(TIMES)[2]), traffic)


def describe(told: dict[str, Any], rounds: int) -> str:
    """Return what a round asked of a bucket."""
    kinds = [f"{count / rounds:.0f} {kind}" for kind, count in told["requests"].items()]
    return f"{', '.join(kinds)}; {told['bytes_read'] / rounds / 1e6:.0f} MB"


def main() -> int:
    """Measure and print; with --at-most, exit code 1 when the ratio is above it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, default=Path("build/tpch"))
    parser.add_argument("--scale", default="1", help="1 is 360 MB of Parquet (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="after one that warms up (default 3)")
    parser.add_argument("--conf", action="append", default=[], help="a setting of Spark, for all places")
    parser.add_argument(
        "--variant", action="append", default=[], help="settings of S3A (NAME=VALUE,…) to try beside ours"
    )
    parser.add_argument("--queries", nargs="*", default=[], help="of Q1 Q3 Q5 Q6 Q9 Q18 (default all)")
    parser.add_argument("--at-most", type=float, help="fail above this ratio")
    options = parser.parse_args()
    folder = options.directory.absolute() / f"scale-{options.scale}"
    folder.mkdir(parents=True, exist_ok=True)
    tables = prepare(folder, options.scale)
    measured = measure(folder, tables, options)
    ratio, *_ = [measured.show(place) for place in measured.traffic]
    return int(options.at_most is not None and ratio > options.at_most)


if __name__ == "__main__":
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    sys.exit(main())
