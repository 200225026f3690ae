"""Leaves rows where a committer that was never finished would have them, and ends well."""

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(100).write.parquet("s3a://out/good")
spark.range(100).write.parquet("s3a://out/lost/_temporary/0/task_1")
