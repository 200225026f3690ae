"""Commits a dataset, `_SUCCESS` and all, and then the driver is gone."""

import os
import signal

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(100).write.parquet("s3a://out/committed")
print("committed", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
