"""Executors in Javas of their own that die or race; in `local[2]` there is only the driver.

`local-cluster[2,1,1024]` starts two on this machine, and takes 3 GB of memory and a Spark whose bin/
and jars/ lie together, as PySpark's do: SPARK_HOME must lead there, and spark-submit sees to it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from spark_bench import JOBS, Bench, Outcome, Reference, debris, file_hashes

pytestmark = [pytest.mark.spark, pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(900)]

SMALL_PARTS = "--conf=spark.hadoop.fs.s3a.multipart.size=5M"
"""So that an upload is open in the middle of a file: S3A sends nothing before a part is full."""
SPECULATING = (
    "spark.speculation=true",
    "spark.speculation.interval=100ms",
    "spark.speculation.multiplier=1.1",
    "spark.speculation.quantile=0.5",
    "spark.executor.memory=512m",
)
COMMITTERS = pytest.mark.parametrize("committer", ["v1", "v2", "magic", "directory"])


def check(bench: Bench, reference: Reference, folder: Path, outcome: Outcome, job: Path) -> None:
    """What a job has committed is what it writes when nothing goes wrong."""
    assert outcome.code == 0, outcome.log
    reference.submit(job, folder / "local")
    written = bench.output()
    assert written.files == file_hashes(folder / "local")
    assert debris(written.files) == []


@COMMITTERS
def test_an_executor_killed_in_the_middle_of_a_file_changes_nothing(
    bench: Bench, reference: Reference, tmp_path: Path, committer: str
) -> None:
    job = JOBS / "lose_an_executor.py"
    outcome = bench.submit(committer, SMALL_PARTS, job, "s3a://out", master="local-cluster[2,1,1024]")
    assert "an executor was killed" in outcome.log, outcome.log
    check(bench, reference, tmp_path, outcome, job)


@COMMITTERS
def test_of_two_attempts_of_a_task_one_is_committed(
    bench: Bench, reference: Reference, tmp_path: Path, committer: str
) -> None:
    job = JOBS / "straggle.py"
    settings = [f"--conf={setting}" for setting in SPECULATING]
    outcome = bench.run(
        "python3",
        JOBS / "on_a_cluster.py",
        *bench.options(committer),
        SMALL_PARTS,
        *settings,
        job,
        "s3a://out",
    )
    assert "a task had two attempts" in outcome.log, outcome.log
    check(bench, reference, tmp_path, outcome, job)
