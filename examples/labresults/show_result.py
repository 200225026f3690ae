"""Prints a corner of the Parquet that aggregate.py wrote, for a person."""

from __future__ import annotations

import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq

SHOWN = ("glucose", "hba1c", "ldl")


def main(directory: str) -> None:
    """Print one line per analyte, over the year."""
    monthly = pq.read_table(f"{directory}/monthly")
    print(f"{'analyte':<10}{'months':>8}{'measured':>10}{'mean':>8}{'outside the range':>20}")
    for analyte in SHOWN:
        rows = monthly.filter(pc.equal(monthly["analyte"].cast("string"), analyte))
        counts = rows["value_count"]
        total = pc.sum(counts).as_py()
        mean = pc.sum(pc.multiply(rows["value_mean"], counts)).as_py() / total
        outside = pc.sum(pc.multiply(rows["outside_range_mean"], counts)).as_py() / total
        print(f"{analyte:<10}{len(rows):>8}{total:>10,}{mean:>8.2f}{outside:>19.1%}")


if __name__ == "__main__":
    main(sys.argv[1])
