"""Aggregates the lab data, straight from one bucket into the other.

Reads CSVs from s3://labresults and writes Parquet to s3://out. There is no
endpoint, region or key in here: the job's environment has them, and any client
that reads the AWS_* variables finds the gateway.  pyarrow reads them when it is
given a URI; its class S3FileSystem alone knows no AWS_ENDPOINT_URL (Arrow 26).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem

SOURCE = "labresults"
TARGET = "out"


def read_table(s3: FileSystem, path: str) -> pa.Table:
    """Read one CSV whole."""
    with s3.open_input_stream(path) as stream:
        return pa_csv.read_csv(stream)


def monthly_statistics(measurements: pa.Table, analytes: pa.Table) -> pa.Table:
    """Return count, mean, extremes and share outside the reference range, per analyte and month."""
    joined = measurements.join(analytes.drop_columns(["unit"]), "analyte")
    outside = pc.or_(pc.less(joined["value"], joined["low"]), pc.greater(joined["value"], joined["high"]))
    joined = joined.append_column("month", pc.strftime(joined["taken_at"], format="%Y-%m"))
    joined = joined.append_column("outside_range", outside.cast(pa.float64()))
    measures = [("value", "count"), ("value", "mean"), ("value", "min"), ("value", "max")]
    grouped = joined.group_by(["analyte", "month"]).aggregate([*measures, ("outside_range", "mean")])
    return grouped.sort_by([("analyte", "ascending"), ("month", "ascending")])


def cohorts(s3: FileSystem) -> pa.Table:
    """Return number of rows and the mean of each column, per file of patients."""
    rows = []
    for folder in ("breast-cancer", "diabetes"):
        for info in s3.get_file_info(FileSelector(f"{SOURCE}/{folder}")):
            table = read_table(s3, info.path)
            name = info.base_name.removesuffix(".csv")
            for column in table.column_names:
                mean = pc.mean(table[column]).as_py()
                rows.append({"study": folder, "group": name, "rows": len(table), "of": column, "mean": mean})
    return pa.Table.from_pylist(rows).sort_by([("study", "ascending"), ("group", "ascending")])


def main() -> None:
    """Read, aggregate, write."""
    s3, _ = FileSystem.from_uri(f"s3://{SOURCE}")
    measurements = read_table(s3, f"{SOURCE}/measurements/2025.csv")
    print(f"read {len(measurements):,} measurements from s3://{SOURCE}")
    statistics = monthly_statistics(measurements, read_table(s3, f"{SOURCE}/reference/analytes.csv"))
    partitioning = ds.partitioning(pa.schema([("analyte", pa.string())]), flavor="hive")
    ds.write_dataset(
        statistics, f"{TARGET}/monthly", filesystem=s3, format="parquet", partitioning=partitioning
    )
    print(f"wrote {len(statistics)} rows to s3://{TARGET}/monthly, one folder per analyte")
    patients = cohorts(s3)
    pq.write_table(patients, f"{TARGET}/cohorts.parquet", filesystem=s3)
    print(f"wrote {len(patients)} rows to s3://{TARGET}/cohorts.parquet")


if __name__ == "__main__":
    main()
