"""What running jobs work on stays until they end."""

from __future__ import annotations

import pytest

from pfs.samples import commit_files
from sidegate.errors import Conflict
from sidegate.pfs.jobs import JobRecord
from sidegate.pfs.store import Store


def start_job(store: Store, commit: str) -> JobRecord:
    given = {"name": "labs", "repo": "labs", "branch": "master", "commit": commit}
    now_us = store.clock()
    job = JobRecord(
        "0" * 32, "monthly", 1, "RUNNING", None, 0, [given], None, {}, False, now_us, now_us, None
    )
    return store.jobs.create(job)


def test_inputs_and_output_of_a_running_job_cannot_be_deleted(store: Store) -> None:
    commit = commit_files(store, "labs", {"a": b"1"})
    store.repos.create("monthly", kind="pipeline")
    job = start_job(store, commit.id)
    for delete in (
        lambda: store.commits.delete(commit.id),
        lambda: store.repos.delete("labs"),
        lambda: store.repos.delete("monthly"),
    ):
        with pytest.raises(Conflict, match=f"in use by job {job.id} of pipeline 'monthly'") as caught:
            delete()
        assert caught.value.remedy == f"wait for it, or run `sidegate job stop {job.id}`"
    store.jobs.update(job.id, state="FAILURE", finished_us=store.clock())
    store.repos.delete("monthly")
    store.commits.delete(commit.id)
    assert store.branches.get("labs", "master").head is None


def test_a_commit_that_another_branch_stands_on_stays(store: Store) -> None:
    commit = commit_files(store, "labs", {"a": b"1"})
    store.branches.create("labs", "second", commit.id)
    with pytest.raises(Conflict, match="is the head of branch labs@second too"):
        store.commits.delete(commit.id)
    store.branches.delete("labs", "second")
    store.stagings.open_commit("labs", "master")
    with pytest.raises(Conflict, match="has an open commit on top of"):
        store.commits.delete(commit.id)
