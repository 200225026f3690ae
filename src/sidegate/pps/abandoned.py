"""Settles jobs whose runner was killed before it could."""

from __future__ import annotations

from sidegate.errors import NotFound
from sidegate.pfs.jobs import JobRecord
from sidegate.pfs.store import Store
from sidegate.pps.publishing import find_published
from sidegate.pps.run_folder import abandoned_folders
from sidegate.pps.states import JobState


def settle_abandoned(store: Store) -> list[JobRecord]:
    """End every job whose runner is gone, and remove what it left.

    A job that had published its output is a SUCCESS, any other KILLED. Returns the jobs that were
    settled; safe to call at any time and from several processes.
    """
    settled = []
    for folder in abandoned_folders(store):
        try:
            job = store.jobs.get(folder.directory.name)
        except NotFound:
            continue  # killed before it was recorded; the folder is removed
        if not JobState(job.state).is_final:
            settled.append(_settle(store, job))
    return settled


def _settle(store: Store, job: JobRecord) -> JobRecord:
    # The states between are skipped: the runner that would have walked them is gone.
    commit = find_published(store, job.pipeline, job.id)
    if commit is None:
        return store.jobs.update(
            job.id,
            state=JobState.KILLED.value,
            reason="its runner was killed",
            finished_us=store.clock(),
        )
    output = {"repo": commit.repo, "branch": commit.branch, "commit": commit.id}
    return store.jobs.update(
        job.id, state=JobState.SUCCESS.value, output=output, finished_us=commit.finished_us
    )
