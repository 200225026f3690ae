"""Makes the lab results that the Spark example reads: CSV, and a table of ranges in Parquet.

    make_data.py FOLDER ROWS

Uses Spark for the Parquet, so that the example needs nothing else.
"""

import sys

from pyspark.sql import SparkSession

folder, rows = sys.argv[1], int(sys.argv[2])
spark = SparkSession.builder.appName("make-data").getOrCreate()
analytes = [
    ("glucose", 3.9, 5.6),
    ("sodium", 135.0, 145.0),
    ("potassium", 3.5, 5.1),
    ("creatinine", 45.0, 104.0),
]
spark.createDataFrame(analytes, "analyte STRING, lower DOUBLE, upper DOUBLE").coalesce(1).write.parquet(
    f"{folder}/ranges"
)
names = ", ".join(f"'{name}'" for name, _, _ in analytes)
lowest = ", ".join(str(lower) for _, lower, _ in analytes)
highest = ", ".join(str(upper) for _, _, upper in analytes)
value = f"array({lowest})[kind] + (array({highest})[kind] - array({lowest})[kind]) * chance * 1.05"
# xxhash64 instead of rand(): the same rows on every machine, however many tasks there are.
spark.range(0, rows, 1, 8).selectExpr(
    "id", "pmod(xxhash64(id), 1000) / 1000 AS chance", "id % 4 AS kind"
).selectExpr(
    "pmod(xxhash64(id, 1), 20000) AS patient",
    "date_add(DATE'2026-01-01', CAST(pmod(xxhash64(id, 2), 365) AS INT)) AS day",
    f"array({names})[kind] AS analyte",
    f"round({value}, 2) AS value",
).write.csv(f"{folder}/results", header=True)
spark.stop()
