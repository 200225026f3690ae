"""Writes the same rows to two places in turn, as a Spark job, and tells what each write cost.

spark_committers_job.py LOCAL SIDECAR ROWS ROUNDS
"""

import json
import sys

from pyspark.sql import SparkSession

from spark_clock import Clock

places, (row_count, rounds) = sys.argv[1:3], map(int, sys.argv[3:])
spark = SparkSession.builder.appName("committers").getOrCreate()
clock = Clock(spark)
rows = spark.range(0, row_count, 1, 2).selectExpr("id", "xxhash64(id) AS hash")
costs = {place: [] for place in places}
for number in range(rounds):
    # Whoever is later finds Java warmer: they take turns.
    for place in places if number % 2 else reversed(places):
        began = clock.read()
        rows.write.parquet(f"{place}/{number}")
        costs[place].append([after - before for before, after in zip(began, clock.read(), strict=True)])
print("COSTS", json.dumps(list(costs.values())), flush=True)
spark.stop()
