"""Every protocol by which Spark commits, against the same job on local disk."""

from __future__ import annotations

import pytest
from spark_bench import JOBS, Bench, OnLocalDisk, debris

pytestmark = [pytest.mark.spark, pytest.mark.client, pytest.mark.timeout(900)]

WRITE = JOBS / "write_everything.py"
ALL = ("parquet", "partitioned", "append", "overwrite", "dynamic", "formats")
WITHOUT_DYNAMIC = tuple(case for case in ALL if case != "dynamic")
EACH_TIME = {"v1": ALL, "v2": ("parquet", "partitioned"), "magic": ("parquet", "partitioned")}
REST = {"v2": ALL, "magic": WITHOUT_DYNAMIC, "directory": WITHOUT_DYNAMIC, "partitioned": WITHOUT_DYNAMIC}
S3A_COMMITTERS = ("magic", "directory", "partitioned")
DYNAMIC_REFUSED = "PathOutputCommitter does not support dynamicPartitionOverwrite"


def run(bench: Bench, committer: str, *cases: str) -> None:
    outcome = bench.submit(committer, WRITE, "s3a://labs", "s3a://out", *cases)
    assert outcome.code == 0, outcome.log


@pytest.mark.parametrize(
    ("committer", "cases"),
    [
        *(pytest.param(name, cases, id=name) for name, cases in EACH_TIME.items()),
        *(pytest.param(name, REST[name], id=f"{name}-all", marks=pytest.mark.slow) for name in REST),
    ],
)
def test_what_is_committed_is_what_local_disk_gets(
    bench: Bench, local: OnLocalDisk, committer: str, cases: tuple[str, ...]
) -> None:
    run(bench, committer, *cases)
    written = bench.output()
    assert written == local(*cases)
    assert debris(written.files) == []


@pytest.mark.slow
def test_the_default_committer_does_all_that_it_can(bench: Bench, local: OnLocalDisk) -> None:
    """Which one that is differs: since 4.1 it is the magic committer."""
    cases = ALL if bench.real.spark.line < "4.1" else WITHOUT_DYNAMIC
    run(bench, "default", *cases)
    written = bench.output()
    assert written == local(*cases)
    assert debris(written.files) == []


@pytest.mark.slow
@pytest.mark.parametrize("committer", S3A_COMMITTERS)
def test_not_applicable_dynamic_overwrite_is_refused_by_spark_with_s3a_committers(
    bench: Bench, committer: str
) -> None:
    outcome = bench.submit(committer, WRITE, "s3a://labs", "s3a://out", "dynamic")
    assert outcome.code == 1
    assert DYNAMIC_REFUSED in outcome.log
    assert not bench.has_commit()


@pytest.mark.slow
@pytest.mark.parametrize("committer", ["v1", "v2", "magic"])
def test_the_bucket_itself_can_be_written_to(bench: Bench, local: OnLocalDisk, committer: str) -> None:
    run(bench, committer, "root")
    written = bench.output()
    assert written == local("root")
    assert debris(written.files) == []


@pytest.mark.slow
@pytest.mark.parametrize("committer", ["directory", "partitioned"])
def test_not_applicable_staging_committers_cannot_write_to_the_bucket_itself(
    bench: Bench, committer: str
) -> None:
    """They compute an empty key; the answer names it, and nothing is committed."""
    outcome = bench.submit(committer, WRITE, "s3a://labs", "s3a://out", "root")
    assert outcome.code == 1
    assert not bench.has_commit()
