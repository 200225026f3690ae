"""Writes one dataset well, then another of which a task fails."""

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(100).write.parquet("s3a://out/good")
bad = "CASE WHEN id = 7 THEN raise_error('row 7 is bad') ELSE id END AS id"
spark.range(10).selectExpr(bad).write.parquet("s3a://out/bad")
