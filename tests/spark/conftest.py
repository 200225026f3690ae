"""Real Sparks, started as users start them: through `sidegate run`, with nothing set for S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from spark_bench import (
    JOBS,
    LINES,
    Bench,
    Contents,
    OnLocalDisk,
    RealSpark,
    Reference,
    environment_of,
    write_rows,
)

from sidegate.pps.spark.connectors import ConnectorCache, cache_root
from sidegate.pps.spark.installations import find_spark

REQUIRED = os.environ.get("SIDEGATE_SPARKS", "").split()
"""The lines that are to be there: one that is not fails its tests, instead of skipping them."""


def lacking(line: str, what: str) -> NoReturn:
    if line in REQUIRED:
        pytest.fail(f"Spark {line} is to be tested here: {what}")
    pytest.skip(what)


@pytest.fixture(scope="session", params=REQUIRED or LINES)
def real_spark(request: pytest.FixtureRequest) -> RealSpark:
    line = request.param
    programs = environment_of(line) / "bin"
    if not (programs / "spark-submit").exists():
        lacking(line, f"no Spark {line} in {programs.parent}: `make test-spark SPARKS={line}` puts it there")
    spark = find_spark({"PATH": str(programs)})
    assert spark.line == line
    if not ConnectorCache(cache_root(os.environ)).jars(spark):
        lacking(line, f"no S3A connector: `sidegate spark fetch --spark-home {spark.home}` gets it")
    return RealSpark(spark, programs)


@pytest.fixture(scope="session")
def reference(real_spark: RealSpark) -> Iterator[Reference]:
    with real_spark.reference() as session:
        yield session


@pytest.fixture
def bench(real_spark: RealSpark, reference: Reference, tmp_path: Path) -> Bench:
    made = Bench(real_spark, reference, tmp_path)
    write_rows(tmp_path / "labs" / "rows")
    for words in (
        ("init", tmp_path),
        ("repo", "create", "labs"),
        ("file", "put", f"{tmp_path / 'labs'}/", "labs@master"),
    ):
        done = made.sidegate(*words)
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="session")
def local(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> OnLocalDisk:
    """Run the same job on local disk; each set of cases once."""
    folder = tmp_path_factory.mktemp("local")
    write_rows(folder / "labs" / "rows")
    done: dict[tuple[str, ...], Contents] = {}

    def contents_of(*cases: str) -> Contents:
        if cases not in done:
            target = folder / f"out-{len(done)}"
            reference.submit(JOBS / "write_everything.py", folder / "labs", target, *cases)
            done[cases] = reference.contents(target)
        return done[cases]

    return contents_of
