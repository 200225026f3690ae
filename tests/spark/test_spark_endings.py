"""How jobs that run Spark end, and what is published then: all of it, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from spark_bench import JOBS, Bench, OnLocalDisk, debris

pytestmark = [pytest.mark.spark, pytest.mark.client, pytest.mark.timeout(900)]

WRITE = JOBS / "write_everything.py"


def test_a_failing_task_leaves_no_commit_and_is_named(bench: Bench) -> None:
    outcome = bench.run("python3", JOBS / "fail_in_a_task.py")
    assert outcome.code == 1
    assert "row 7 is bad" in outcome.log
    assert not bench.has_commit()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("committer", "published"),
    [("v1", {"good"}), ("magic", {"good"}), ("directory", {"good"}), ("v2", {"bad", "good"})],
)
def test_of_a_write_that_failed_nothing_is_published_when_the_job_goes_on(
    bench: Bench, committer: str, published: set[str]
) -> None:
    """Except by algorithm 2, which commits tasks for good: a reason why it is nobody's default here."""
    outcome = bench.submit(committer, JOBS / "survive_a_failure.py", master="local[1]")
    assert outcome.code == 0, outcome.log
    assert "went on after" in outcome.log
    assert {path.partition("/")[0] for path in bench.output().files} == published


@pytest.mark.slow
def test_a_driver_that_dies_after_success_leaves_no_commit(bench: Bench) -> None:
    outcome = bench.run("python3", JOBS / "die_after_success.py")
    assert outcome.code == 1
    assert "committed" in outcome.log
    assert "SIGKILL" in outcome.log
    assert not bench.has_commit()


@pytest.mark.slow
def test_rows_left_under_temporary_fail_the_job(bench: Bench) -> None:
    outcome = bench.run("python3", JOBS / "leave_rows.py")
    assert outcome.code == 1
    assert "_temporary" in outcome.log
    assert not bench.has_commit()


@pytest.mark.slow
def test_reading_what_was_written_is_refused_with_the_remedy(bench: Bench) -> None:
    outcome = bench.run("python3", JOBS / "read_output.py")
    assert outcome.code == 1
    assert "write-only" in outcome.log
    assert not bench.has_commit()


@pytest.mark.slow
def test_several_applications_in_one_job(bench: Bench, local: OnLocalDisk) -> None:
    outcome = bench.run("sh", JOBS / "several_applications.sh", WRITE)
    assert outcome.code == 0, outcome.log
    written = bench.output()
    assert written.files == {
        **{f"first/{path}": hashes for path, hashes in local("parquet").files.items()},
        **{f"second/{path}": hashes for path, hashes in local("formats").files.items()},
    }
    assert written.rows == {"first/parquet": local("parquet").rows["parquet"]}
    assert debris(written.files) == []


@pytest.mark.slow
def test_configuration_of_the_user_is_kept_and_wins(bench: Bench, tmp_path: Path) -> None:
    hadoop, spark = tmp_path / "user-hadoop", tmp_path / "user & spark"
    for folder in (hadoop, spark):
        folder.mkdir()
    site = "<configuration><property><name>{}</name><value>{}</value></property></configuration>"
    (hadoop / "core-site.xml").write_text(site.format("fs.s3a.directory.marker.retention", "delete"))
    (spark / "core-site.xml").write_text(site.format("of.spark", "kept"))
    (spark / "spark-defaults.conf").write_text("spark.app.name mine\nspark.hadoop.from.defaults yes\n")
    (spark / "spark-env.sh").write_text("FROM_SPARK_ENV=1\n")
    job = tmp_path / "job.py"
    job.write_text(SHOW)
    variables = {"HADOOP_CONF_DIR": str(hadoop), "SPARK_CONF_DIR": str(spark)}
    outcome = bench.run("python3", job, **variables)
    assert outcome.code == 0, outcome.log
    shown = json.loads(next(line for line in outcome.log.splitlines() if line.startswith('{"app"')))
    assert shown == {
        "app": "mine",
        "markers": "delete",
        "of.spark": "kept",
        "from.defaults": "yes",
        "environment": "1",
        "rows": 2000,
    }
    assert str(hadoop) in outcome.log
    assert str(spark) in outcome.log


SHOW = """
import json
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
hadoop = spark._jsc.hadoopConfiguration()
print(json.dumps({
    "app": spark.conf.get("spark.app.name"),
    "markers": hadoop.get("fs.s3a.directory.marker.retention"),
    "of.spark": hadoop.get("of.spark"),
    "from.defaults": hadoop.get("from.defaults"),
    "environment": spark._jvm.System.getenv("FROM_SPARK_ENV"),
    "rows": spark.read.option("header", True).csv("s3a://labs/rows").count(),
}))
spark.range(1).write.parquet("s3a://out/one")
"""
