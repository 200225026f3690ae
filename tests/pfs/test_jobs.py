from __future__ import annotations

from dataclasses import replace

import pytest

from sidegate.errors import NotFound
from sidegate.pfs.jobs import JobRecord
from sidegate.pfs.store import Store

JOB = JobRecord(
    id="ab" * 16,
    pipeline="wash",
    pipeline_version=1,
    state="CREATED",
    reason=None,
    attempts=0,
    inputs=[{"name": "labs", "commit": "c" * 32}],
    output=None,
    details={"argv": ["sh"]},
    stop_requested=False,
    created_us=1,
    started_us=None,
    finished_us=None,
)


def test_a_changed_spec_is_a_new_version(store: Store) -> None:
    first = store.jobs.register_pipeline("wash", {"cmd": ["a"]})
    assert store.jobs.register_pipeline("wash", {"cmd": ["a"]}) == first
    second = store.jobs.register_pipeline("wash", {"cmd": ["b"]})
    assert (first.version, second.version) == (1, 2)
    assert store.jobs.register_pipeline("wash", {"cmd": ["a"]}).version == 3
    assert store.jobs.pipeline("wash", 2) == second
    assert store.jobs.pipeline("wash").version == 3
    for name, version in (("none", None), ("wash", 9)):
        with pytest.raises(NotFound, match=f"no pipeline '{name}'"):
            store.jobs.pipeline(name, version)


def test_jobs_are_kept_updated_and_listed(store: Store) -> None:
    store.jobs.create(JOB)
    other = store.jobs.create(replace(JOB, id="cd" * 16, pipeline="dry", created_us=2))
    assert store.jobs.get(JOB.id) == JOB
    updated = store.jobs.update(JOB.id, state="SUCCESS", output={"commit": "d" * 32}, finished_us=9)
    assert updated == replace(JOB, state="SUCCESS", output={"commit": "d" * 32}, finished_us=9)
    assert store.jobs.list() == [other, updated]
    assert store.jobs.list("wash") == [updated]
    assert not store.jobs.stop_requested(JOB.id)
    store.jobs.update(JOB.id, stop_requested=True)
    assert store.jobs.stop_requested(JOB.id)


def test_a_job_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    store.jobs.create(JOB)
    assert store.jobs.get("abab") == JOB
    store.jobs.create(replace(JOB, id="abab" + "0" * 28))
    assert store.jobs.get("ababab") == JOB
    for job in ("abab", "aba", "none", "%%%%", "ab" * 15 + "00"):
        with pytest.raises(NotFound, match=f"no job '{job}'") as caught:
            store.jobs.get(job)
        assert caught.value.remedy == "see `sidegate job list`"
    with pytest.raises(NotFound):
        store.jobs.update("none", state="FAILURE")
