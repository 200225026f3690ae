"""Which commits running jobs work on: they must not go while a job reads them."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select

from sidegate.errors import Conflict
from sidegate.pfs.catalog.schema import JOBS


def require_no_running_job(
    connection: Connection, what: str, uses: Callable[[str, str | None], bool]
) -> None:
    """Raise Conflict while a job runs on `what`; `uses` is asked per (repo, commit) of a job.

    A pipeline's output repo is used too, with no commit yet.
    """
    running = select(JOBS.c.id, JOBS.c.pipeline, JOBS.c.inputs).where(JOBS.c.finished_us.is_(None))
    for job, pipeline, inputs in connection.execute(running):
        used = [(str(given["repo"]), str(given["commit"])) for given in inputs]
        if uses(pipeline, None) or any(uses(repo, commit) for repo, commit in used):
            raise Conflict(
                f"{what} is in use by job {job} of pipeline {pipeline!r}",
                remedy=f"wait for it, or run `sidegate job stop {job}`",
                job=job,
            )
