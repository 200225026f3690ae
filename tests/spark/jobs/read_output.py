"""Reads what it wrote, which `out` does not allow."""

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(100).write.parquet("s3a://out/rows")
print(spark.read.schema("id BIGINT").parquet("s3a://out/rows").count())
