"""Prints, for each folder of Parquet below FOLDER, its row count and a checksum of its rows."""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

FOLDER = Path(sys.argv[1])
spark = SparkSession.builder.getOrCreate()
files = sorted(FOLDER.rglob("*.parquet"))
# A dataset is what lies above its partitions, `name=value`.
folders = [[part for part in path.relative_to(FOLDER).parts[:-1] if "=" not in part] for path in files]
datasets = {"/".join(parts) or "." for parts in folders}
digests = {}
for name in sorted(datasets):
    rows = spark.read.parquet(str(FOLDER / name))
    row_hash = f"CAST(xxhash64({', '.join(sorted(rows.columns))}) AS DECIMAL(38))"
    count, checksum = rows.selectExpr("count(*)", f"sum({row_hash})").first()
    digests[name] = [count, str(checksum)]
print("DIGESTS", json.dumps(digests))
spark.stop()
