"""Runs both examples on real data, twice, and shows what the store kept.

Everything happens through the `sidegate` command, as a person would type it;
each command is shown before its output.  Started by `make demo`, from the top
folder of the repository, with the environment's programs on PATH.
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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path("examples/labresults")
REPO = "labresults"
COPY = "s3_protocol_enabled_pipeline"
AGGREGATE = "labresults_aggregate"
MB = 1e6  # as the command prints sizes
SLACK_BYTES = 4 << 20  # the largest chunk
COPIED, COPIED_AGAIN, CHANGED = "copy by the aws CLI", "copy, again", "lab data, changed"


@dataclass(frozen=True, slots=True)
class Step:
    """One commit made by the demo: what it holds, and what it added to the store."""

    title: str
    size_bytes: int
    added_bytes: int
    seconds: float


class DemoFailed(Exception):
    """A command did not do what the demo promises; the text says which."""


class Demo:
    """A fresh folder with data and a store, and the commands run on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.store = directory / ".sidegate"
        self.environment = {**os.environ, "SIDEGATE_STORE": str(self.store)}
        self.steps: list[Step] = []

    def show(self, *arguments: str | Path) -> None:
        """Run a command, with its output indented; raises DemoFailed."""
        print(f"\n  $ {shlex.join(map(str, arguments))}", flush=True)
        with subprocess.Popen(
            [*map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            for line in last_states(process.stdout):
                print(f"    {line}", flush=True)
        if process.returncode:
            raise DemoFailed(f"{shlex.join(map(str, arguments))} ended with exit code {process.returncode}")

    def read(self, *arguments: str) -> list[dict[str, object]]:
        """Run `sidegate … --json` without showing it and return its objects."""
        command = ["sidegate", *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise DemoFailed(f"{shlex.join(command)}: {done.stderr.decode(errors='replace').strip()}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]

    def make_commit(self, title: str, repo: str, *arguments: str | Path) -> None:
        """Run a command that makes a commit, and note what the store grew by."""
        before, started = self.pack_bytes(), time.monotonic()
        self.show(*arguments)
        seconds = time.monotonic() - started
        entries = self.read("file", "ls", "-r", f"{repo}@master")
        size_bytes = sum(int(str(entry["size"])) for entry in entries if entry["type"] == "file")
        self.steps.append(Step(title, size_bytes, self.pack_bytes() - before, seconds))

    def pack_bytes(self) -> int:
        """Return the size of everything the store keeps of files and folders."""
        return sum(pack.stat().st_size for pack in (self.store / "packs").rglob("*") if pack.is_file())


def last_states(stream: Iterable[bytes]) -> Iterable[str]:
    """Yield lines as a terminal shows them in the end: progress overwrites itself."""
    for line in stream:
        states = [state for state in line.decode(errors="replace").rstrip("\n").split("\r") if state.strip()]
        yield states[-1].rstrip() if states else ""


def say(title: str) -> None:
    """Print a heading."""
    print(f"\n== {title}", flush=True)


def put_data(demo: Demo, size_mib: float) -> None:
    say("1. Lab data, and a store that keeps its versions")
    demo.show("python3", HERE / "make_data.py", demo.data, "--size-mib", f"{size_mib:g}")
    demo.show("sidegate", "init", demo.directory)
    demo.show("sidegate", "repo", "create", REPO)
    demo.make_commit("lab data", REPO, "sidegate", "file", "put", demo.data, f"{REPO}@master")
    demo.show("sidegate", "file", "ls", "-r", f"{REPO}@master")


def run_copy(demo: Demo) -> None:
    say("2. The documented S3 pipeline, unchanged: sh and the aws CLI, bucket to bucket")
    demo.make_commit(COPIED, COPY, "sidegate", "run", HERE / "pipeline.json")
    print("\n  The job succeeded, so its output is one commit, which names what it was made from:")
    demo.show("sidegate", "commit", "inspect", f"{COPY}@master")
    demo.show("sidegate", "provenance", f"{COPY}@master")
    print("\n  And it is the input, byte for byte:")
    demo.show("sidegate", "file", "diff", f"{REPO}@master", f"{COPY}@master")
    check_copy(demo)


def check_copy(demo: Demo) -> None:
    trees = [
        {(entry["path"], entry["hash"]) for entry in demo.read("file", "ls", "-r", f"{repo}@master")}
        for repo in (REPO, COPY)
    ]
    if trees[0] != trees[1] or not trees[0]:
        raise DemoFailed("the copy differs from the input")
    print(f"    the hashes of all {len(trees[0])} files are equal")


def run_aggregate(demo: Demo) -> None:
    say("3. A job that computes: pyarrow reads the CSVs and writes Parquet, all over S3")
    demo.make_commit("Parquet by pyarrow", AGGREGATE, "sidegate", "run", HERE / "aggregate.json")
    demo.show("sidegate", "file", "ls", "-r", f"{AGGREGATE}@master")
    result = demo.directory / "result"
    demo.show("sidegate", "file", "get", f"{AGGREGATE}@master:/", result)
    demo.show("python3", HERE / "show_result.py", result)


def change_and_run_again(demo: Demo) -> None:
    say("4. 500 rows arrive late, one reference range changes; both jobs run again")
    demo.show("python3", HERE / "make_data.py", demo.data, "--change")
    old = str(demo.read("commit", "inspect", f"{REPO}@master")[0]["commit"])
    demo.make_commit(CHANGED, REPO, "sidegate", "file", "put", demo.data, f"{REPO}@master")
    demo.show("sidegate", "file", "diff", f"{REPO}@{old}", f"{REPO}@master")
    demo.make_commit(COPIED_AGAIN, COPY, "sidegate", "run", HERE / "pipeline.json")
    check_copy(demo)
    demo.make_commit("Parquet, again", AGGREGATE, "sidegate", "run", HERE / "aggregate.json")
    demo.show("sidegate", "job", "list")


def give_back(demo: Demo) -> int:
    """Collect what no commit refers to; return how many bytes that was."""
    say("5. What no commit refers to is given back, and the rest is verified")
    before = demo.pack_bytes()
    # Two rounds, so that nothing is taken from under a job that has just begun.
    for _ in range(2):
        demo.show("sidegate", "gc", "--window", "0s")
    demo.show("sidegate", "fsck")
    return before - demo.pack_bytes()


def check_growth(demo: Demo) -> None:
    """Raise DemoFailed unless the store kept equal bytes once."""
    limits = {COPIED: 0.15, CHANGED: 0.15, COPIED_AGAIN: 0.15}
    for step in demo.steps:
        allowed = limits.get(step.title, 1) * step.size_bytes + SLACK_BYTES
        if step.added_bytes > allowed:
            raise DemoFailed(
                f"{step.title!r} added {step.added_bytes} bytes to the store, over {allowed:.0f}"
            )
    if demo.pack_bytes() > 1.2 * max(step.size_bytes for step in demo.steps) + SLACK_BYTES:
        raise DemoFailed(f"the store keeps {demo.pack_bytes()} bytes after collection")


def summarise(demo: Demo, given_back: int, seconds: float) -> None:
    say("What happened")
    print(f"\n  {'commit':<22}{'holds':>12}{'added to the store':>22}{'took':>10}")
    for step in demo.steps:
        holds, added = (f"{size / MB:.2f} MB" for size in (step.size_bytes, step.added_bytes))
        print(f"  {step.title:<22}{holds:>12}{added:>22}{step.seconds:>8.1f} s")
    held, kept = sum(step.size_bytes for step in demo.steps) / MB, demo.pack_bytes() / MB
    changed = next(step for step in demo.steps if step.title == CHANGED)
    large, extra = changed.size_bytes / MB, changed.added_bytes / MB
    print(f"""
  {len(demo.steps)} commits hold {held:.0f} MB; the store keeps {kept:.1f} MB.
  Rows in the middle of {large:.0f} MB cost {extra:.2f} MB: only the chunks around them are new.
  A copy adds the seams between the parts in which the aws CLI uploads, and refers to the input's
  own chunks once it is a commit: the collection gave {given_back / MB:.1f} MB back.
  Each output names the input commit it was made from, and all of it took {seconds:.0f} s.

  Try next (the environment is .venv, the store is {demo.directory}/.sidegate):
    . .venv/bin/activate && export SIDEGATE_STORE={demo.directory}/.sidegate
    sidegate job list                                            what ran, and when
    sidegate job logs JOB                                        what it printed
    sidegate provenance {AGGREGATE}@master              what the Parquet was made from
    sidegate file cat {REPO}@master:/reference/analytes.csv  a file of the newest version
    sidegate serve                                               the same data, for any S3 client
    sidegate run {HERE}/aggregate.json              edit aggregate.py first: a new version
""")


def make_empty(directory: Path) -> None:
    """Make the folder, or empty it when an earlier demo made it."""
    if directory.exists() and any(directory.iterdir()):
        if not (directory / ".sidegate").exists() and not (directory / "data").exists():
            raise DemoFailed(f"{directory} is not empty and no demo's: give another --directory")
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)


def require_programs(names: Iterable[str]) -> None:
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise DemoFailed(f"{', '.join(missing)} not found on PATH: start this with `make demo`")


def main() -> int:
    """Run the demo; exit code 1 says that something did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, default=Path("demo"), help="made anew (default demo/)")
    parser.add_argument("--size-mib", type=float, default=64, help="size of the large CSV (default 64)")
    options = parser.parse_args()
    started = time.monotonic()
    demo = Demo(options.directory)
    try:
        require_programs(("sidegate", "aws", "python3"))
        make_empty(options.directory)
        put_data(demo, options.size_mib)
        run_copy(demo)
        run_aggregate(demo)
        change_and_run_again(demo)
        given_back = give_back(demo)
        check_growth(demo)
        summarise(demo, given_back, time.monotonic() - started)
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
