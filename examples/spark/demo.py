"""Runs the Spark example on a fresh store, and the same job on local disk beside it.

Everything happens through the commands that a person would type; each is shown
before its output.  Started by `make demo-spark`, from the top folder of the
repository, with the programs of both environments on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path("examples/spark")
NOISE = (
    "WARNING: Using incubator",
    "Setting default log level",
    "To adjust logging",
    "Using Spark's default",
    "SLF4J",
)


class DemoFailed(Exception):
    """A command did not do what the demo promises; the text says which."""


def is_noise(line: str) -> bool:
    """Say whether Spark prints a line in every run: its greetings, warnings and bars of progress."""
    return line.startswith(NOISE) or " WARN " in line[:40] or line.startswith("\tat ") or "[Stage" in line


def show(environment: dict[str, str], *words: str | Path) -> float:
    """Run a command with its output indented; return the seconds it took."""
    command = [str(word) for word in words]
    print(f"\n  $ {shlex.join(command)}", flush=True)
    started = time.monotonic()
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() and not is_noise(line):
                print(f"    {line.rstrip()}", flush=True)
    if process.returncode:
        raise DemoFailed(f"{shlex.join(command)} ended with exit code {process.returncode}")
    return time.monotonic() - started


def rows_below(environment: dict[str, str], folder: Path) -> str:
    """Return what show_result.py prints of a folder, to compare."""
    command = ["python3", str(HERE / "show_result.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def run(directory: Path, rows: int) -> None:
    """Make data, run the job through a gateway and on local disk, and compare."""
    environment = {**os.environ, "SIDEGATE_STORE": str(directory / ".sidegate")}
    data, result, local = directory / "data", directory / "result", directory / "local"
    print("== 1. Lab results as CSV, ranges as Parquet, and a store that keeps their versions")
    show(environment, "sidegate", "doctor", "--spark")
    show(environment, "python3", HERE / "make_data.py", data, str(rows))
    show(environment, "sidegate", "init", directory)
    show(environment, "sidegate", "repo", "create", "labresults")
    show(environment, "sidegate", "file", "put", f"{data}/", "labresults@master")
    print("\n== 2. An unchanged PySpark job as a step of a pipeline, with no setting for S3")
    through = show(environment, "sidegate", "run", HERE / "pipeline.json")
    show(environment, "sidegate", "provenance", "exceedances@master")
    show(environment, "sidegate", "file", "get", "exceedances@master:/", result)
    show(environment, "python3", HERE / "show_result.py", result)
    print("\n== 3. The same job on local disk, without Sidegate")
    beside = show(environment, "python3", HERE / "exceedances.py", data, local)
    if rows_below(environment, result) != rows_below(environment, local):
        raise DemoFailed("the two results differ")
    listed = subprocess.run(
        ["sidegate", "file", "ls", "-r", "exceedances@master", "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    files = [entry for line in listed.stdout.splitlines() if (entry := json.loads(line))["type"] == "file"]
    size_mb = sum(int(entry["size"]) for entry in files) / 1e6
    print(f"""
  The results are equal: {len(files)} files, {size_mb:.1f} MB.
  Through the gateway, with the commit: {through:.1f} s; on local disk: {beside:.1f} s. Both start a Spark.
""")


def main() -> int:
    """Run the demo; exit code 1 says that something did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--directory", type=Path, default=Path("demo/spark"), help="made anew (default demo/spark)"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="lab results (default one million)")
    options = parser.parse_args()
    if options.directory.exists() and any(options.directory.iterdir()):
        if not (options.directory / ".sidegate").exists() and not (options.directory / "data").exists():
            print(f"{options.directory} is not empty and no demo's", file=sys.stderr)
            return 1
        shutil.rmtree(options.directory)
    options.directory.mkdir(parents=True, exist_ok=True)
    try:
        run(options.directory, options.rows)
    except (DemoFailed, subprocess.CalledProcessError) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
