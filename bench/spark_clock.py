"""What a stretch of a Spark job costs: seconds, and CPU time of Java and of the job's gateway."""

import os
import sys
import time
from pathlib import Path


def cpu_seconds(process):
    """Return the CPU time that a process has used; of one that is hidden or none, 0."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, TypeError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gateway_process():
    """Return the id of the nearest ancestor that is `sidegate`, which the gateway is part of."""
    process = os.getppid()
    while process > 1:
        stat, words = Path(f"/proc/{process}/stat").read_text(), Path(f"/proc/{process}/cmdline").read_text()
        if any(word.endswith("/sidegate") for word in words.split("\0")):
            return process
        process = int(stat.rpartition(")")[2].split()[1])
    sys.exit("this is no job of `sidegate run`")


class Clock:
    """Seconds that pass, and those of CPU time that Java and the gateway use."""

    def __init__(self, spark):
        self.processes = [spark._jvm.java.lang.ProcessHandle.current().pid(), gateway_process()]

    def read(self):
        return [time.perf_counter(), *map(cpu_seconds, self.processes)]
