"""Prints the first rows and the sums of what the Spark example wrote.

show_result.py FOLDER
"""

import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("show-result").getOrCreate()
monthly = spark.read.parquet(f"{sys.argv[1]}/monthly")
monthly.orderBy("month", "analyte").show(8, truncate=False)
monthly.selectExpr("count(*) AS rows", "sum(results) AS results", "sum(above) AS above").show()
spark.stop()
