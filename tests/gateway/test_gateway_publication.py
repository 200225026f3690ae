"""What of an attempt's output is published, and what forbids it."""

from __future__ import annotations

import pytest
from gateway_harness import Job

from sidegate.gateway.publication import judge_output
from sidegate.pfs.publish import Publication

KEPT = [
    "part-0.parquet",
    "_SUCCESS",
    "orders.pending",
    "orders.pendingset",
    "_temporary",
    "not_temporary/k",
    "_temporary_data/k",
    "a/__magic.txt",
    "x.spark-staging-1/k",
    "_delta_log/00000000000000000000.json",
    "empty-file",
]
DEBRIS = [
    "_temporary/0/",
    "d/_temporary/0/_temporary/attempt_1/",
    "d/__magic/job-1/tasks/t/part.pending",
    "d/__magic_job-1/job-1/00/x.pendingset",
    "__magic/marker",
    "t/.spark-staging-123/p=1/part-0",
    ".spark-staging-1/x",
]
MARKERS = ["dir/", "a/b/"]


def test_debris_and_markers_are_left_out_and_nothing_else(job: Job) -> None:
    for key in [*KEPT, *DEBRIS, *MARKERS]:
        job.client.put(f"/out/{key}", b"" if key.endswith("/") or key == "empty-file" else b"data")
    verdict = judge_output(job.store, job.staging)
    assert verdict.refusal is None
    kept = [path for path, _ in job.staging.files() if verdict.keep(path)]
    assert kept == sorted(KEPT)
    info = next(info for info in job.store.stagings.all() if info.id == job.staging.id)
    commit = job.store.publisher.publish(info, Publication(keep=verdict.keep, replace=True))
    assert commit is not None
    assert [path for path, _ in job.store.tree(commit).files()] == sorted(KEPT)


def test_a_file_named_like_a_folder_is_published(job: Job) -> None:
    job.client.put("/out/odd/", b"data")
    assert judge_output(job.store, job.staging).keep("odd/")


@pytest.mark.parametrize(
    "key", ["_temporary/0/task_1/part-0", "table/_temporary/0/_temporary/attempt_1/part-0.parquet"]
)
def test_rows_left_under_temporary_fail_the_job(job: Job, key: str) -> None:
    """Headline 1: a committer that silently moved nothing."""
    job.client.put("/out/_SUCCESS")
    job.client.put(f"/out/{key}", b"rows")
    refusal = judge_output(job.store, job.staging).refusal
    assert refusal is not None
    assert key in refusal


def test_an_open_upload_is_lost_data(job: Job) -> None:
    upload = job.client.create_upload("/out/part-0")
    job.client.put_part("/out/part-0", upload, 1, b"rows")
    refusal = judge_output(job.store, job.staging).refusal
    assert refusal is not None
    assert "part-0" in refusal


def test_open_uploads_that_a_killed_executor_leaves_are_dropped(job: Job) -> None:
    """Of a key that another attempt wrote, or below a committer's folder."""
    job.client.create_upload("/out/part-0")
    job.client.put("/out/part-0", b"rows")
    job.client.create_upload("/out/d/_temporary/0/part-1")
    job.client.create_upload("/out/d/__magic_job-1/x")
    assert judge_output(job.store, job.staging).refusal is None


def test_completed_and_aborted_uploads_are_no_obstacle(job: Job) -> None:
    job.client.upload("/out/a", {1: b"rows"})
    job.client.delete("/out/a")
    upload = job.client.create_upload("/out/b")
    job.client.delete(f"/out/b?uploadId={upload}")
    assert judge_output(job.store, job.staging).refusal is None


def test_an_empty_output_is_fine(job: Job) -> None:
    assert judge_output(job.store, job.staging).refusal is None


def test_a_published_output_has_the_etags_of_the_uploads(job: Job) -> None:
    etag = job.client.put("/out/k", b"data").etag
    info = next(info for info in job.store.stagings.all() if info.id == job.staging.id)
    commit = job.store.publisher.publish(info, Publication(replace=True))
    assert commit is not None
    record = job.store.tree(commit).get("k")
    assert record is not None
    assert f'"{record.tag}"' == etag
