"""Loses a write, of which the first task has committed and the second fails, and goes on with another.

In `local[1]` the tasks run one after the other.
"""

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
bad = "CASE WHEN id = 7 THEN raise_error('row 7 is bad') ELSE id END AS id"
try:
    spark.range(0, 10, 1, 2).selectExpr(bad).write.parquet("s3a://out/bad")
except (Py4JJavaError, PySparkException) as error:
    print("went on after", type(error).__name__, flush=True)
spark.range(100).write.parquet("s3a://out/good")
spark.stop()
