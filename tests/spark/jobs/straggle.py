"""Writes text; the first attempt of one task waits in the middle until a speculative one has begun.

straggle.py TARGET     waits only where it is a job of a pipeline
"""

import os
import sys
import time

from pyspark import TaskContext
from pyspark.sql import SparkSession

ROWS, TASKS, PATIENCE_SECONDS = 400_000, 4, 240
spark = SparkSession.builder.getOrCreate()
job = os.environ.get("PACH_JOB_ID")
mark = f"/tmp/second-attempt-of-{job}"


def wait_for_the_second_attempt():
    began = time.monotonic()
    while not os.path.exists(mark):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise RuntimeError("Spark began no speculative attempt")
        time.sleep(0.05)


def rows(task, numbers):
    attempt = TaskContext.get().attemptNumber()
    if job and task == 0 and attempt > 0:
        open(mark, "w").close()
    for number in numbers:
        if job and task == 0 and attempt == 0 and number == ROWS // TASKS * 4 // 5:
            wait_for_the_second_attempt()
        yield (f"{number:0150d}",)


lines = spark.sparkContext.range(ROWS, numSlices=TASKS).mapPartitionsWithIndex(rows)
spark.createDataFrame(lines, "line STRING").write.text(f"{sys.argv[1]}/lines")
if job:
    os.unlink(mark)
    print("a task had two attempts", flush=True)
spark.stop()
