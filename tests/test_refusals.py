"""What a job does that it must not: the answer it gets, its outcome, and what its log says.

Real processes with boto3 against the job's real gateway.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sidegate.app import SidecarSettings, session_opener
from sidegate.pfs.jobs import JobRecord
from sidegate.pfs.store import Store
from sidegate.pps.isolation import Isolation
from sidegate.pps.joblog import read_log
from sidegate.pps.jobs import RunSetting, run_job
from sidegate.pps.spec import parse_spec

pytestmark = pytest.mark.client

PRELUDE = """
import boto3
from botocore.exceptions import ClientError
s3 = boto3.client("s3")
def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.response
        print(error.response["Error"]["Code"], error.response["Error"]["Message"])
    else:
        raise SystemExit("was not refused")
"""
OUT_IS_WRITE_ONLY = (
    "the job read s3://out/x: the output bucket 'out' is write-only, so 'x' cannot be read back; "
    'set the annotation "sidegate/out": "own-reads" in the spec\'s metadata, '
    "or run with --out-policy own-reads"
)


class Jobs:
    """Runs Python programs as jobs on a repo `labs` with one file."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.directory = directory

    def run(self, program: str, *, tries: int = 1, **fields: Any) -> JobRecord:
        spec = {
            "pipeline": {"name": "made"},
            "input": {"pfs": {"repo": "labs", "glob": "/", "s3": True}},
            "transform": {"cmd": [sys.executable, "-"], "stdin": (PRELUDE + program).splitlines()},
            "s3_out": True,
            "datum_tries": tries,
        }
        setting = RunSetting(
            self.directory,
            {"PATH": os.environ["PATH"]},
            detect_isolation=lambda bases, pfs: Isolation(),
            **fields,
        )
        opener = session_opener(self.store, SidecarSettings())
        return run_job(self.store, parse_spec(as_json(spec)), setting, opener, lambda entry: None)

    def log(self, job: JobRecord, stream: str = "sidegate") -> list[str]:
        return [entry.text for entry in read_log(self.store.directory, job.id) if entry.stream == stream]

    def files(self, repo: str) -> list[str]:
        commit = self.store.commits.all(repo)[0]
        return [path for path, _ in self.store.tree(commit).files()]

    def traffic(self, job: JobRecord, name: str) -> dict[str, Any]:
        (place,) = [place for place in job.details["traffic"] if place["name"] == name]
        return dict(place)


def as_json(document: object) -> str:
    return json.dumps(document)


@pytest.fixture
def jobs(tmp_path: Path):
    (tmp_path / "cwd").mkdir()
    Store.create(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        store.repos.create("labs")
        cutter = store.cutter()
        cutter.write(b"id,value\n1,2\n")
        store.stagings.write_open("labs", "master", [("a.csv", store.record(cutter.finish()))])
        store.finish_open("labs", "master")
        yield Jobs(store, tmp_path / "cwd")


def assert_no_output(jobs: Jobs, job: JobRecord) -> None:
    assert (job.state, job.output) == ("FAILURE", None)
    assert jobs.store.commits.all("made") == []
    assert jobs.store.stagings.all() == []


def test_a_job_that_writes_to_an_input_is_told_where_to_write(jobs: Jobs) -> None:
    job = jobs.run('s3.put_object(Bucket="labs", Key="y", Body=b"row")', tries=2)
    assert_no_output(jobs, job)
    assert job.reason == "the datum failed after 2 tries: exit code 1"
    sentence = (
        "the job wrote to s3://labs/y: the bucket 'labs' is an input of this job and read-only; "
        "write to s3://out instead"
    )
    log = jobs.log(job)
    assert [text for text in log if text.startswith("the job ")] == [sentence]
    assert log.index(sentence) < log.index("try 1 of 2 failed: exit code 1")
    assert "AccessDenied" in jobs.log(job, "stderr")[-1]
    assert jobs.files("labs") == ["a.csv"]
    assert jobs.traffic(job, "labs")["refusals"] == {"AccessDenied": 2}


def test_every_way_to_change_an_input_is_refused_and_told_once(jobs: Jobs) -> None:
    job = jobs.run(
        """
refused(s3.put_object, Bucket="labs", Key="y", Body=b"1")
refused(s3.put_object, Bucket="labs", Key="z", Body=b"1")
refused(s3.create_multipart_upload, Bucket="labs", Key="y")
refused(s3.copy_object, Bucket="labs", Key="y", CopySource="labs/a.csv")
refused(s3.delete_object, Bucket="labs", Key="a.csv")
refused(s3.delete_objects, Bucket="labs", Delete={"Objects": [{"Key": "a.csv"}]})
refused(s3.delete_bucket, Bucket="labs")
s3.copy_object(Bucket="out", Key="b.csv", CopySource="labs/a.csv")
"""
    )
    assert (job.state, jobs.files("made"), jobs.files("labs")) == ("SUCCESS", ["b.csv"], ["a.csv"])
    told = [text.partition(": ")[0] for text in jobs.log(job) if text.startswith("the job ")]
    assert sorted(told) == [
        "the job asked for DeleteBucket of s3://labs",
        "the job copied to s3://labs/y",
        "the job deleted s3://labs/a.csv",
        "the job wrote to s3://labs/y",
    ]
    assert all("write to s3://out" in text for text in jobs.log(job, "stdout")[:6])


def test_a_job_that_reads_out_is_told_how_to_get_reads(jobs: Jobs) -> None:
    program = """
s3.put_object(Bucket="out", Key="x", Body=b"rows")
assert s3.head_object(Bucket="out", Key="x")["ContentLength"] == 4
refused(s3.get_object, Bucket="out", Key="x")
refused(s3.get_object, Bucket="out", Key="x", Range="bytes=0-1")
"""
    job = jobs.run(program)
    assert (job.state, jobs.files("made")) == ("SUCCESS", ["x"])
    assert [text for text in jobs.log(job) if text.startswith("the job ")] == [OUT_IS_WRITE_ONLY]
    assert "AccessDenied The output bucket 'out' is write-only" in jobs.log(job, "stdout")[0]
    assert jobs.traffic(job, "out")["refusals"] == {"AccessDenied": 2}


def test_a_job_that_dies_of_reading_out_leaves_nothing(jobs: Jobs) -> None:
    job = jobs.run('s3.put_object(Bucket="out", Key="x", Body=b"1"); s3.get_object(Bucket="out", Key="x")')
    assert_no_output(jobs, job)
    assert OUT_IS_WRITE_ONLY in jobs.log(job)


def test_under_own_reads_out_is_read_and_nothing_of_an_earlier_job(jobs: Jobs) -> None:
    program = """
try:
    s3.get_object(Bucket="out", Key="x")
except s3.exceptions.NoSuchKey:
    s3.put_object(Bucket="out", Key="x", Body=b"rows")
assert s3.get_object(Bucket="out", Key="x")["Body"].read() == b"rows"
s3.put_object(Bucket="out", Key="made", Body=b"")
"""
    for _ in range(2):
        job = jobs.run(program, out_policy="own-reads")
        assert (job.state, job.reason, jobs.files("made")) == ("SUCCESS", None, ["made", "x"])
        assert not [text for text in jobs.log(job) if text.startswith("the job ")]
        assert jobs.traffic(job, "out")["bytes_read"] == 4


def test_a_job_that_makes_a_bucket_is_told_what_it_has(jobs: Jobs) -> None:
    job = jobs.run(
        """
s3.create_bucket(Bucket="out")
refused(s3.create_bucket, Bucket="mine")
refused(s3.create_bucket, Bucket="mine-too")
refused(s3.delete_bucket, Bucket="out")
assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["labs", "out"]
"""
    )
    assert (job.state, jobs.files("made")) == ("SUCCESS", [])
    told = [text for text in jobs.log(job) if text.startswith("the job asked")]
    assert told == [
        "the job asked for CreateBucket of s3://mine: a job cannot make the bucket 'mine': "
        "it has its inputs and 'out'; write to s3://out",
        "the job asked for DeleteBucket of s3://out: a job cannot delete the bucket 'out'",
    ]
    assert sorted(repo.name for repo in jobs.store.repos.list()) == ["labs", "made"]


def test_an_upload_left_open_fails_the_job_and_names_its_key(jobs: Jobs) -> None:
    job = jobs.run(
        """
s3.put_object(Bucket="out", Key="done", Body=b"1")
upload = s3.create_multipart_upload(Bucket="out", Key="big.parquet")["UploadId"]
s3.upload_part(Bucket="out", Key="big.parquet", UploadId=upload, PartNumber=1, Body=b"lost rows")
"""
    )
    assert_no_output(jobs, job)
    assert job.reason == (
        "the datum failed after 1 try: the multipart upload of 'big.parquet' was never completed, "
        "so its data would be lost; complete or abort every upload before the job ends"
    )
    assert jobs.log(job)[-1] == f"job {job.id}: FAILURE: {job.reason}"


def test_uploads_that_lose_nothing_are_dropped(jobs: Jobs) -> None:
    job = jobs.run(
        """
for key in ("part-0", "_temporary/0/part-0"):
    s3.create_multipart_upload(Bucket="out", Key=key)
s3.put_object(Bucket="out", Key="part-0", Body=b"written in the end")
upload = s3.create_multipart_upload(Bucket="out", Key="given-up")["UploadId"]
s3.abort_multipart_upload(Bucket="out", Key="given-up", UploadId=upload)
"""
    )
    assert (job.state, jobs.files("made")) == ("SUCCESS", ["part-0"])


def test_rows_left_under_temporary_fail_the_job(jobs: Jobs) -> None:
    job = jobs.run(
        """
s3.put_object(Bucket="out", Key="t/_temporary/0/task_1/part-00000.parquet", Body=b"rows")
s3.put_object(Bucket="out", Key="t/_SUCCESS", Body=b"")
"""
    )
    assert_no_output(jobs, job)
    assert job.reason is not None
    assert "rows were left under _temporary ('t/_temporary/0/task_1/part-00000.parquet')" in job.reason
    assert "the output would be incomplete" in job.reason


def test_a_committer_that_renames_is_no_reader_of_out(jobs: Jobs) -> None:
    job = jobs.run(
        """
s3.put_object(Bucket="out", Key="t/_temporary/", Body=b"")
s3.put_object(Bucket="out", Key="t/_temporary/0/part-0", Body=b"rows")
s3.copy_object(Bucket="out", Key="t/part-0", CopySource="out/t/_temporary/0/part-0")
s3.delete_object(Bucket="out", Key="t/_temporary/0/part-0")
s3.put_object(Bucket="out", Key="t/_SUCCESS", Body=b"")
"""
    )
    assert (job.state, jobs.files("made")) == ("SUCCESS", ["t/_SUCCESS", "t/part-0"])
    assert not [text for text in jobs.log(job) if text.startswith("the job ")]


def test_a_process_that_outlives_its_attempt_reaches_nothing(jobs: Jobs) -> None:
    """It is ended with the attempt, so what it would have written later is nowhere."""
    job = jobs.run(
        """
import os, time
s3.put_object(Bucket="out", Key="first", Body=b"1")
if os.fork() == 0:
    time.sleep(60)
    s3.put_object(Bucket="out", Key="second", Body=b"2")
""",
        grace_seconds=0.2,
    )
    assert (job.state, jobs.files("made")) == ("SUCCESS", ["first"])
