"""Latencies as a histogram: adding, percentiles, and the form they are kept in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidegate.native.exchange import BUCKETS, floor_of


def added(histograms: Iterable[list[int]]) -> list[int]:
    """Return one histogram of all."""
    return [sum(counts) for counts in zip(*histograms, strict=True)] or [0] * BUCKETS


def percentile(histogram: list[int], share: float) -> float | None:
    """Return the latency in seconds below which a share of the answers came, None without any.

    It is the middle of a bucket, at most 1.6 % off.
    """
    total = sum(histogram)
    if not total:
        return None
    wanted, seen = share * total, 0
    for bucket, count in enumerate(histogram):
        seen += count
        if count and seen >= wanted:
            return (floor_of(bucket) + floor_of(bucket + 1)) / 2e9
    return floor_of(BUCKETS) / 1e9


def compact(histogram: list[int]) -> dict[str, int]:
    """Return the buckets that are not empty, by their smallest latency in nanoseconds."""
    return {str(floor_of(bucket)): count for bucket, count in enumerate(histogram) if count}


def cumulative(compacted: Mapping[str, int]) -> list[tuple[float, float]]:
    """Return (seconds, share of answers that came within) for each bucket of the kept form."""
    total, seen, points = sum(compacted.values()), 0, []
    for nanoseconds, count in sorted((int(name), count) for name, count in compacted.items()):
        seen += count
        points.append((nanoseconds / 1e9, seen / total))
    return points
