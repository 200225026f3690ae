"""Every protocol by which Spark commits, against the same job on local disk."""

from __future__ import annotations

import pytest
from spark_bench import JOBS, Bench, OnLocalDisk, debris

pytestmark = [pytest.mark.spark, pytest.mark.client, pytest.mark.timeout(600)]

WRITE = JOBS / "write_everything.py"
CLOUD = (
    "--conf=spark.sql.sources.commitProtocolClass=org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "--conf=spark.sql.parquet.output.committer.class="
    "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
)
COMMITTERS = {
    "default": (),
    "v2": ("--conf=spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version=2",),
    "magic": ("--conf=spark.hadoop.fs.s3a.committer.name=magic", *CLOUD),
    "directory": ("--conf=spark.hadoop.fs.s3a.committer.name=directory", *CLOUD),
    "partitioned": ("--conf=spark.hadoop.fs.s3a.committer.name=partitioned", *CLOUD),
}
EACH_TIME = ("default", "v2", "magic")
RENAMING = ("default", "v2")
ALL = ("parquet", "partitioned", "append", "overwrite", "dynamic", "formats")
WITHOUT_DYNAMIC = tuple(case for case in ALL if case != "dynamic")
DYNAMIC_REFUSED = "PathOutputCommitter does not support dynamicPartitionOverwrite"


def run(bench: Bench, committer: str, *cases: str) -> None:
    submit = ("spark-submit", "--master", "local[2]", *COMMITTERS[committer])
    outcome = bench.run(*submit, WRITE, "s3a://labs", "s3a://out", *cases)
    assert outcome.code == 0, outcome.log


@pytest.mark.parametrize("committer", [*EACH_TIME, pytest.param("directory", marks=pytest.mark.slow)])
def test_what_is_committed_is_what_local_disk_gets(bench: Bench, local: OnLocalDisk, committer: str) -> None:
    cases = ALL if committer in RENAMING else WITHOUT_DYNAMIC
    run(bench, committer, *cases)
    written = bench.output()
    assert written == local(*cases)
    assert debris(written.files) == []


@pytest.mark.slow
def test_the_partitioned_committer_writes_partitions(bench: Bench, local: OnLocalDisk) -> None:
    run(bench, "partitioned", "partitioned")
    assert bench.output() == local("partitioned")


@pytest.mark.slow
@pytest.mark.parametrize("committer", ["magic", "directory"])
def test_dynamic_overwrite_is_refused_by_spark_with_s3a_committers(bench: Bench, committer: str) -> None:
    submit = ("spark-submit", "--master", "local[2]", *COMMITTERS[committer])
    outcome = bench.run(*submit, WRITE, "s3a://labs", "s3a://out", "dynamic")
    assert outcome.code == 1
    assert DYNAMIC_REFUSED in outcome.log
    assert not bench.has_commit()


@pytest.mark.slow
@pytest.mark.parametrize("committer", EACH_TIME)
def test_the_bucket_itself_can_be_written_to(bench: Bench, local: OnLocalDisk, committer: str) -> None:
    run(bench, committer, "root")
    assert bench.output() == local("root")


@pytest.mark.slow
def test_two_thousand_small_files(bench: Bench, local: OnLocalDisk) -> None:
    run(bench, "default", "many")
    written = bench.output()
    assert len(written.files) == 2000
    assert written == local("many")
