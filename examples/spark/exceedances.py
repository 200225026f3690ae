"""How often results lie above their reference range, per month and analyte.

An ordinary PySpark job: it reads CSV and Parquet, joins, aggregates and writes
partitioned Parquet.  Nothing in it is made for Sidegate; it runs as well with

    exceedances.py SOURCE TARGET      two folders on this machine
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

source, target = sys.argv[1:3]
spark = SparkSession.builder.appName("exceedances").getOrCreate()

results = (
    spark.read.option("header", True)
    .schema("patient BIGINT, day DATE, analyte STRING, value DOUBLE")
    .csv(f"{source}/results")
)
ranges = spark.read.parquet(f"{source}/ranges")

monthly = (
    results.join(f.broadcast(ranges), "analyte")
    .withColumn("month", f.date_format("day", "yyyy-MM"))
    .groupBy("month", "analyte")
    .agg(
        f.count("*").alias("results"),
        f.sum((f.col("value") > f.col("upper")).cast("bigint")).alias("above"),
        f.round(f.avg("value"), 3).alias("mean"),
    )
)
monthly.repartition("month").sortWithinPartitions("analyte").write.partitionBy("month").parquet(
    f"{target}/monthly"
)

# All results of patients who were above a range at least once, for whoever looks closer.
above = results.join(f.broadcast(ranges), "analyte").where("value > upper").select("patient").distinct()
followed = results.join(above, "patient").withColumn("month", f.date_format("day", "yyyy-MM"))
followed.write.partitionBy("month").parquet(f"{target}/followed")
spark.stop()
