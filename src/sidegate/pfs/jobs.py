"""Records of pipelines and jobs: what was run, on what, with what outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from sidegate.errors import NotFound
from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.schema import JOBS, PIPELINES


@dataclass(frozen=True, slots=True)
class PipelineVersion:
    """One version of a pipeline's specification, as JSON data."""

    name: str
    version: int
    spec: dict[str, Any]
    created_us: int


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job.  `inputs` and `output` name commits; `details` say what was run."""

    id: str
    pipeline: str
    pipeline_version: int
    state: str
    reason: str | None
    attempts: int
    inputs: list[dict[str, Any]]
    output: dict[str, Any] | None
    details: dict[str, Any]
    stop_requested: bool
    created_us: int
    started_us: int | None
    finished_us: int | None


class JobRecords:
    """The jobs and pipeline versions of one store."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def register_pipeline(self, name: str, spec: dict[str, Any]) -> PipelineVersion:
        """Return the newest version if it has this spec, else a new version."""

        def operation(connection: Connection) -> PipelineVersion:
            query = select(PIPELINES).where(PIPELINES.c.name == name).order_by(PIPELINES.c.version.desc())
            row = connection.execute(query.limit(1)).first()
            if row is not None and row.spec == spec:
                return PipelineVersion(*row)
            version = PipelineVersion(name, row.version + 1 if row is not None else 1, spec, self._clock())
            values = {field: getattr(version, field) for field in PipelineVersion.__slots__}
            connection.execute(insert(PIPELINES).values(**values))
            return version

        return self._database.write(operation)

    def pipeline(self, name: str, version: int | None = None) -> PipelineVersion:
        """Return a version of a pipeline, the newest by default; raises NotFound."""
        query = select(PIPELINES).where(PIPELINES.c.name == name).order_by(PIPELINES.c.version.desc())
        if version is not None:
            query = query.where(PIPELINES.c.version == version)
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        if row is None:
            raise NotFound(f"there is no pipeline {name!r}", pipeline=name)
        return PipelineVersion(*row)

    def create(self, job: JobRecord) -> JobRecord:
        """Add a job."""
        values = {field: getattr(job, field) for field in JobRecord.__slots__}
        self._database.write(lambda connection: connection.execute(insert(JOBS).values(**values)))
        return job

    def update(self, job: str, **values: Any) -> JobRecord:
        """Set fields of a job; returns it as it is then.  Raises NotFound."""

        def operation(connection: Connection) -> JobRecord:
            connection.execute(update(JOBS).where(JOBS.c.id == job).values(**values))
            return _select(connection, job)

        return self._database.write(operation)

    def get(self, job: str) -> JobRecord:
        """Return a job by id or a unique prefix of at least 4 digits; raises NotFound."""
        with self._database.read() as connection:
            if len(job) < 32 and len(job) >= 4:
                query = select(JOBS.c.id).where(JOBS.c.id.startswith(job, autoescape=True)).limit(2)
                found = connection.execute(query).scalars().all()
                job = found[0] if len(found) == 1 else job
            return _select(connection, job)

    def list(self, pipeline: str | None = None) -> list[JobRecord]:
        """Return jobs, newest first."""
        query = select(JOBS).order_by(JOBS.c.created_us.desc(), JOBS.c.id)
        if pipeline is not None:
            query = query.where(JOBS.c.pipeline == pipeline)
        with self._database.read() as connection:
            return [JobRecord(*row) for row in connection.execute(query)]

    def stop_requested(self, job: str) -> bool:
        """Whether someone asked to stop the job."""
        with self._database.read() as connection:
            return bool(connection.execute(select(JOBS.c.stop_requested).where(JOBS.c.id == job)).scalar())


def _select(connection: Connection, job: str) -> JobRecord:
    row = connection.execute(select(JOBS).where(JOBS.c.id == job)).first()
    if row is None:
        raise NotFound(f"there is no job {job!r}", remedy="see `sidegate job list`", job=job)
    return JobRecord(*row)
