"""The load generator's process: from the test, and from within.

    python generator.py CORE

takes pickled jobs on stdin and returns pickled outcomes on stdout.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

from load import Job, Outcome, run
from servers import HERE, STOP_SECONDS, Cores


class Generator:
    """A process of its own on the client's core; jobs run one at a time."""

    def __init__(self, cores: Cores) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "generator.py"), str(cores.client)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, job: Job) -> Outcome:
        """Have a job done and return its outcome."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the generator has no pipes")
        pickle.dump(job, self._process.stdin)
        self._process.stdin.flush()
        outcome = pickle.load(self._process.stdout)
        if not isinstance(outcome, Outcome):
            raise TypeError(f"the generator returned {outcome!r}")
        return outcome

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=STOP_SECONDS)


def main() -> None:
    """Do jobs until stdin ends."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(run(job), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
