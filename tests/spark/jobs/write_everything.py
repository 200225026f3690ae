"""Writes one dataset per way of writing; an ordinary PySpark job that knows no gateway.

write_everything.py SOURCE TARGET [CASE…]
"""

import sys

from pyspark.sql import DataFrame, SparkSession

SOURCE, TARGET = sys.argv[1:3]
spark = SparkSession.builder.appName("write-everything").getOrCreate()
csv = spark.read.option("header", True).schema("id BIGINT, day INT, value DOUBLE").csv(f"{SOURCE}/rows")
text = csv.selectExpr("concat_ws('|', id, day, value)")


def parquet() -> None:
    csv.repartitionByRange(2, "id").sortWithinPartitions("id").write.parquet(f"{TARGET}/parquet")


def partitioned() -> None:
    csv.write.partitionBy("day").parquet(f"{TARGET}/partitioned")


def append() -> None:
    for _ in range(2):
        csv.write.mode("append").parquet(f"{TARGET}/append")


def overwrite() -> None:
    text.write.text(f"{TARGET}/overwrite")
    csv.where("day = 1").write.mode("overwrite").parquet(f"{TARGET}/overwrite")


def dynamic() -> None:
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    csv.where("day < 3").write.partitionBy("day").parquet(f"{TARGET}/dynamic")
    new: DataFrame = csv.where("day = 2").selectExpr("id", "-value AS value", "day")
    new.write.mode("overwrite").partitionBy("day").parquet(f"{TARGET}/dynamic")
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "static")


def formats() -> None:
    csv.write.csv(f"{TARGET}/csv", header=True)
    csv.write.json(f"{TARGET}/json")
    csv.write.orc(f"{TARGET}/orc")
    text.write.text(f"{TARGET}/text", compression="gzip")


def root() -> None:
    """Into the bucket itself; Hadoop 3.3 takes a path without the slash for a relative one."""
    csv.write.mode("append").parquet(f"{TARGET}/")


def many() -> None:
    spark.range(2000).selectExpr("id", "id AS k").coalesce(2).write.partitionBy("k").json(f"{TARGET}/many")


def gibibyte() -> None:
    lines = spark.range(8_400_000).selectExpr("sha2(CAST(id AS STRING), 256) AS hash")
    lines.selectExpr("concat(hash, reverse(hash)) AS line").coalesce(1).write.text(f"{TARGET}/gibibyte")


CASES = (parquet, partitioned, append, overwrite, dynamic, formats)
for case in [globals()[name] for name in sys.argv[3:]] or CASES:
    case()
spark.stop()
