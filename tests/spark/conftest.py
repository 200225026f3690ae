"""Real Sparks, started as users start them: through `sidegate run`, with nothing set for S3."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from spark_bench import JOBS, LINES, Bench, Contents, OnLocalDisk, RealSpark, environment_of, write_rows

from sidegate.pps.spark.connectors import ConnectorCache, cache_root
from sidegate.pps.spark.installations import find_spark


@pytest.fixture(scope="session", params=LINES)
def real_spark(request: pytest.FixtureRequest) -> RealSpark:
    programs = environment_of(request.param) / "bin"
    if not (programs / "spark-submit").exists():
        pytest.skip(f"no Spark {request.param} in {programs.parent}: `make test-spark` puts it there")
    spark = find_spark({"PATH": str(programs)})
    assert spark.line == request.param
    if not ConnectorCache(cache_root(os.environ)).jars(spark):
        pytest.skip(f"no S3A connector: `sidegate spark fetch --spark-home {spark.home}` gets it")
    return RealSpark(spark, programs)


@pytest.fixture
def bench(real_spark: RealSpark, tmp_path: Path) -> Bench:
    made = Bench(real_spark, tmp_path)
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
def local(real_spark: RealSpark, tmp_path_factory: pytest.TempPathFactory) -> OnLocalDisk:
    """Run the same job on local disk; each set of cases once."""
    folder = tmp_path_factory.mktemp("local")
    write_rows(folder / "labs" / "rows")
    done: dict[tuple[str, ...], Contents] = {}

    def contents_of(*cases: str) -> Contents:
        if cases not in done:
            target = folder / f"out-{len(done)}"
            real_spark.submit(JOBS / "write_everything.py", folder / "labs", target, *cases)
            done[cases] = real_spark.contents(target)
        return done[cases]

    return contents_of
