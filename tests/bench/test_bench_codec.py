"""The codec beside servers: a ceiling with rounds of its own."""

from __future__ import annotations

import os

from sidegate.bench.cells import choose
from sidegate.bench.codec import codec_of
from sidegate.bench.corpus import scale_named
from sidegate.bench.goals import CODEC
from sidegate.bench.rounds import Settings, measure

SETTINGS = Settings(scale_named("smoke"), duration_seconds=0.01, rounds=3)


def test_it_takes_part_where_bodies_compress() -> None:
    before = os.sched_getaffinity(0)
    cells = choose(["head", "csv-*"])
    results = measure(cells, [], SETTINGS, lambda _: None, ceiling=codec_of(SETTINGS, min(before)))
    assert [(result.cell.name, result.label) for result in results] == [
        ("csv-put-64m", CODEC),
        ("csv-get-64m", CODEC),
    ]
    for result in results:
        assert len(result.samples) == SETTINGS.rounds
        assert result.value is not None
        assert result.value > 0
        assert result.cpu_seconds is not None
        assert result.failures == 0
    assert os.sched_getaffinity(0) == before
