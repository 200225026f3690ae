"""Makes the lab data of the example, or changes a little of it.

Real tables: Wisconsin breast cancer and diabetes, as scikit-learn ships them.
Generated: one large CSV of measurements, always the same for one seed and size.

    python3 examples/labresults/make_data.py DIR [--size-mib 64] [--seed 20]
    python3 examples/labresults/make_data.py DIR --change
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from sklearn.datasets import load_breast_cancer, load_diabetes

MEASUREMENTS = Path("measurements/2025.csv")
ANALYTES = Path("reference/analytes.csv")

MEASUREMENT_COLUMNS = "taken_at,patient,analyte,value,unit,laboratory"
ANALYTE_COLUMNS = ("analyte", "unit", "low", "high")
# Adult reference ranges as laboratories commonly print them; good enough for an example.
ANALYTE_ROWS = (
    ("glucose", "mmol/L", 3.9, 5.6),
    ("sodium", "mmol/L", 136.0, 145.0),
    ("potassium", "mmol/L", 3.5, 5.1),
    ("creatinine", "umol/L", 59.0, 104.0),
    ("hemoglobin", "g/L", 120.0, 175.0),
    ("leukocytes", "10^9/L", 4.0, 10.0),
    ("platelets", "10^9/L", 150.0, 400.0),
    ("ldl", "mmol/L", 1.6, 3.4),
    ("hba1c", "mmol/mol", 20.0, 42.0),
    ("crp", "mg/L", 0.0, 5.0),
)
LABORATORIES = ("north", "harbour", "campus")
PATIENTS = 40_000
YEAR_START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
YEAR_SECONDS = 365 * 24 * 3600
ROW_BYTES = 56  # a little under the mean, so that the rows end before the year does
ROWS_PER_BLOCK = 10_000
LATE_ROWS = 500


def measurement_rows(random: Random, times: Iterable[int]) -> Iterator[str]:
    """Yield one line of CSV per point in time."""
    draw, normal = random.random, random.gauss
    analytes = [(name, unit, (low + high) / 2, (high - low) / 3.2) for name, unit, low, high in ANALYTE_ROWS]
    for seconds in times:
        name, unit, middle, spread = analytes[int(draw() * len(analytes))]
        value = abs(normal(middle, spread))
        patient = int(draw() * PATIENTS)
        laboratory = LABORATORIES[patient % len(LABORATORIES)]
        taken_at = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
        yield f"{taken_at}Z,P{patient:06d},{name},{value:.2f},{unit},{laboratory}\n"


def write_measurements(path: Path, size_bytes: int, seed: int) -> int:
    """Write a year of measurements of at least `size_bytes`; return the number of rows."""
    random = Random(seed)
    row_count = max(1, size_bytes // ROW_BYTES)
    written_bytes = written_rows = 0
    with path.open("w", encoding="ascii", newline="") as file:
        written_bytes += file.write(MEASUREMENT_COLUMNS + "\n")
        while written_bytes < size_bytes:
            indexes = range(written_rows, written_rows + ROWS_PER_BLOCK)
            times = (YEAR_START + YEAR_SECONDS * index // row_count for index in indexes)
            written_bytes += file.write("".join(measurement_rows(random, times)))
            written_rows += ROWS_PER_BLOCK
    return written_rows


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write one table as CSV, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_breast_cancer(directory: Path) -> None:
    """Write the Wisconsin table, one file per diagnosis."""
    table = load_breast_cancer()
    columns = [name.replace(" ", "_") for name in table.feature_names]
    for label, diagnosis in enumerate(table.target_names):
        rows = table.data[table.target == label].tolist()
        write_table(directory / "breast-cancer" / f"{diagnosis}.csv", columns, rows)


def write_diabetes(directory: Path) -> None:
    """Write the diabetes table, one file per age group."""
    table = load_diabetes(scaled=False)
    columns = [*table.feature_names, "progression"]
    rows = [[*row, target] for row, target in zip(table.data.tolist(), table.target.tolist(), strict=True)]
    age = columns.index("age")
    for name, low, end in (("under-40", 0, 40), ("40-to-59", 40, 60), ("60-and-over", 60, 200)):
        chosen = [row for row in rows if low <= row[age] < end]
        write_table(directory / "diabetes" / f"age-{name}.csv", columns, chosen)


def make(directory: Path, size_bytes: int, seed: int) -> None:
    """Write all files anew."""
    write_breast_cancer(directory)
    write_diabetes(directory)
    write_table(directory / ANALYTES, ANALYTE_COLUMNS, ANALYTE_ROWS)
    path = directory / MEASUREMENTS
    path.parent.mkdir(parents=True, exist_ok=True)
    row_count = write_measurements(path, size_bytes, seed)
    files = [found for found in directory.rglob("*") if found.is_file()]
    total_bytes = sum(found.stat().st_size for found in files)
    print(f"{len(files)} files, {total_bytes / 2**20:.1f} MiB, {row_count:,} measurements in {MEASUREMENTS}")


def change(directory: Path, seed: int) -> None:
    """Insert late rows in the middle of the large file and change one small file."""
    insert_late_rows(directory / MEASUREMENTS, seed + 1)
    path = directory / ANALYTES
    before = path.read_text(encoding="utf-8")
    after = before.replace("glucose,mmol/L,3.9,5.6\n", "glucose,mmol/L,3.9,5.5\n")
    path.write_text(after, encoding="utf-8")
    print(f"inserted {LATE_ROWS} rows in the middle of {MEASUREMENTS}; narrowed one range in {ANALYTES}")


def insert_late_rows(path: Path, seed: int) -> None:
    """Insert rows of one day at the line that crosses the middle of the file."""
    middle = path.stat().st_size // 2
    times = range(YEAR_START + YEAR_SECONDS // 2, YEAR_START + YEAR_SECONDS // 2 + 60 * LATE_ROWS, 60)
    changed = path.with_suffix(".changed")
    with path.open("rb") as source, changed.open("wb") as target:
        target.write(source.read(middle))
        target.write(source.readline())
        target.writelines(row.encode("ascii") for row in measurement_rows(Random(seed), times))
        shutil.copyfileobj(source, target, 1 << 20)
    changed.replace(path)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size-mib", type=float, default=64, help="size of the large CSV (default 64)")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--change", action="store_true", help="change the data that is there")
    options = parser.parse_args()
    if options.change:
        change(options.directory, options.seed)
    else:
        make(options.directory, int(options.size_mib * 2**20), options.seed)


if __name__ == "__main__":
    main()
