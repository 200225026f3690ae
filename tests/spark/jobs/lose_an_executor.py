"""Writes text from two executors, one of which is killed with -9 in the middle of a file.

lose_an_executor.py TARGET     kills only where it is a job of a pipeline
"""

import os
import signal
import sys

from pyspark.sql import SparkSession

ROWS, TASKS = 400_000, 4
spark = SparkSession.builder.getOrCreate()
job = os.environ.get("PACH_JOB_ID")
mark = f"/tmp/executor-of-{job}-was-killed"


def kill_this_executor():
    """Once in this job: its Java is the parent of what forks the Python workers."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    with open(f"/proc/{os.getppid()}/stat") as file:
        java = int(file.read().rpartition(")")[2].split()[1])
    os.kill(java, signal.SIGKILL)


def rows(task, numbers):
    for number in numbers:
        # 12 of a task's 15 MB are written by then: two parts of its upload.
        if job and task == 1 and number % (ROWS // TASKS) == ROWS // TASKS * 4 // 5:
            kill_this_executor()
        yield (f"{number:0150d}",)


lines = spark.sparkContext.range(ROWS, numSlices=TASKS).mapPartitionsWithIndex(rows)
spark.createDataFrame(lines, "line STRING").write.text(f"{sys.argv[1]}/lines")
if job:
    os.unlink(mark)
    print("an executor was killed", flush=True)
spark.stop()
