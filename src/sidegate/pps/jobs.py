"""Runs one job: from the heads of its inputs to one output commit, or none.

Walks the job through its states and records what happened. How a datum is run
is decided by `attempts`, what is published by `publishing`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sidegate.errors import Conflict, Denied, SidegateError
from sidegate.pfs.commits import Commit
from sidegate.pfs.ids import new_commit_id
from sidegate.pfs.jobs import JobRecord
from sidegate.pfs.store import Store
from sidegate.pps.attempts import DatumRuns, StopWatch
from sidegate.pps.environment import Contributor
from sidegate.pps.errors import InputNotReady, JobKilled, SpecError
from sidegate.pps.inputs import PinnedInput, check_repos, list_datums, open_writes, pin_inputs
from sidegate.pps.isolation import Isolation, probe_isolation
from sidegate.pps.joblog import JobLog, LogCallback, log_path
from sidegate.pps.process import GRACE_SECONDS
from sidegate.pps.publishing import find_published, merge_outputs, publish_output
from sidegate.pps.recorded import record_run
from sidegate.pps.rules import OUT_POLICIES, check_spec, out_policy
from sidegate.pps.run_folder import RunFolder
from sidegate.pps.runners.local import LocalJob
from sidegate.pps.sessions import OpenSession
from sidegate.pps.spec import PipelineSpec, Transform
from sidegate.pps.states import JobState, check_transition
from sidegate.pps.traffic import JobTraffic, TrafficCallback, ignore_traffic

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class RunSetting:
    """Where and how a job runs.

    `environment` is the caller's; `out_policy` overrides the spec's annotation; `scratch_bases` are
    places outside /tmp for what a process writes to its private /tmp, after the store's own folder.
    """

    working_directory: Path
    environment: Mapping[str, str]
    out_policy: str | None = None
    scratch_bases: Sequence[Path] = (Path("/var/tmp"),)
    grace_seconds: float = GRACE_SECONDS
    configuration_exists: bool = False
    contributors: Sequence[Contributor] = ()
    detect_isolation: Callable[..., Isolation] = field(default=probe_isolation)


def run_job(
    store: Store,
    spec: PipelineSpec,
    setting: RunSetting,
    open_session: OpenSession,
    on_log: LogCallback,
    on_traffic: TrafficCallback = ignore_traffic,
) -> JobRecord:
    """Run one job on the heads of the spec's inputs; return its record.

    `on_log` and `on_traffic` are called in this thread, the latter some times per second while a
    process runs.

    Raises SpecError for a spec that is refused, before anything is made. After that every end is a
    state: SUCCESS with one new commit, or FAILURE, KILLED, UNRUNNABLE without a trace in PFS. Ctrl-C
    (KeyboardInterrupt) is a stop, and the record says so. Not to be called on an event loop.
    """
    warnings = [str(warning) for warning in check_spec(spec)]
    policy = setting.out_policy or out_policy(spec)
    if policy not in OUT_POLICIES:
        raise SpecError(
            "--out-policy",
            policy,
            "there is no such policy",
            remedy=f"write one of {', '.join(OUT_POLICIES)}",
        )
    check_repos(store, spec)
    _ensure_output_repo(store, spec)
    job = _Job(store, spec, setting, open_session, policy, JobTraffic(on_traffic))
    log_file = log_path(store.directory, job.id)
    with JobLog(log_file, on_log, lambda: store.clock() / _MICROSECONDS) as log:
        for warning in warnings:
            log.say(warning)
        job.details["warnings"] = warnings
        return job.run(log)


def request_stop(store: Store, job_id: str) -> JobRecord:
    """Ask a job's runner to stop; raises NotFound, Conflict when it has ended.

    The runner, in whichever process, sees it within half a second.
    """
    job = store.jobs.get(job_id)
    if JobState(job.state).is_final:
        raise Conflict(f"job {job.id} has ended: {job.state}", job=job.id, state=job.state)
    return store.jobs.update(job.id, stop_requested=True)


def _ensure_output_repo(store: Store, spec: PipelineSpec) -> None:
    try:
        store.repos.ensure(spec.pipeline.name, kind="pipeline")
    except Denied:
        raise SpecError(
            spec.written("pipeline.name"),
            spec.pipeline.name,
            "a repo of this name is a user's, and a pipeline's output repo has its name",
            remedy="rename the pipeline",
        ) from None


class _Job:
    """One job on its way through its states."""

    def __init__(
        self,
        store: Store,
        spec: PipelineSpec,
        setting: RunSetting,
        open_session: OpenSession,
        policy: str,
        traffic: JobTraffic,
    ) -> None:
        self.store = store
        self.spec = spec
        self.setting = setting
        self.open_session = open_session
        self.policy = policy
        self.traffic = traffic
        self.id = secrets.token_hex(16)
        self.output_commit_id = new_commit_id()
        self.state = JobState.CREATED
        self.details: dict[str, Any] = {"out_policy": policy}
        self.created = False
        self.commit: Commit | None = None

    def run(self, log: JobLog) -> JobRecord:
        """Create the job and run it to its end."""
        with RunFolder(self.store, self.id) as folder:
            try:
                self._create()
                pinned = self._start(log)
                self.commit = self._produce(pinned, folder, log)
            except KeyboardInterrupt:
                if not self.created:
                    raise
                # It may have come while the store was making the commit visible.
                self.commit = self.commit or find_published(self.store, self.spec.pipeline.name, self.id)
                return self._end(log, JobState.KILLED, "interrupted")
            except InputNotReady as error:
                return self._end(log, JobState.UNRUNNABLE, str(error))
            except JobKilled as killed:
                return self._end(log, JobState.KILLED, killed.message)
            except SidegateError as error:
                return self._end(log, JobState.FAILURE, str(error))
            except OSError as error:
                return self._end(log, JobState.FAILURE, f"the system refused: {error}")
            except BaseException as error:
                self._end(log, JobState.FAILURE, f"internal error: {error!r}")
                raise
            return self._end(log, JobState.SUCCESS, None)

    def _create(self) -> None:
        version = self.store.jobs.register_pipeline(self.spec.pipeline.name, dict(self.spec.document))
        self.store.jobs.create(
            JobRecord(
                id=self.id,
                pipeline=version.name,
                pipeline_version=version.version,
                state=self.state.value,
                reason=None,
                attempts=0,
                inputs=[],
                output=None,
                details=self.details,
                stop_requested=False,
                created_us=self.store.clock(),
                started_us=None,
                finished_us=None,
            )
        )
        self.created = True

    def _move(self, state: JobState, **values: Any) -> JobRecord:
        check_transition(self.state, state)
        self.state = state
        return self.store.jobs.update(self.id, state=state.value, details=self.details, **values)

    def _end(self, log: JobLog, state: JobState, reason: str | None) -> JobRecord:
        """Record the end; once it has published, a job is a success."""
        output = None
        if self.commit is not None:
            state, reason = JobState.SUCCESS, None
            output = {"repo": self.commit.repo, "branch": self.commit.branch, "commit": self.commit.id}
        try:
            log.say(f"job {self.id}: {state.value}" + (f": {reason}" if reason else ""))
        finally:  # also when the disk is full
            job = self._move(state, reason=reason, output=output, finished_us=self.store.clock())
        return job

    def _start(self, log: JobLog) -> list[PinnedInput]:
        pinned = pin_inputs(self.store, self.spec)
        self._move(
            JobState.STARTING, inputs=[one.as_document() for one in pinned], started_us=self.store.clock()
        )
        for place in open_writes(self.store, pinned):
            log.say(f"{place} has newer writes that are not finished: this job does not see them")
        return pinned

    def _produce(self, pinned: Sequence[PinnedInput], folder: RunFolder, log: JobLog) -> Commit:
        """Run every datum, then publish; nothing is visible before the end."""
        datums = list(list_datums(self.store, pinned))
        self.details["datums"] = len(datums)
        outputs = []
        if datums:
            runs = self._prepare_runs(pinned, folder, log)
            self._move(JobState.RUNNING)
            try:
                outputs = [runs.run(datum) for datum in datums]
            finally:
                self.details["failed_attempts"] = runs.failures
                self.details["traffic"] = self.traffic.as_document()
            runs.watch.check()
        else:
            log.say("the inputs match no datum: there is nothing to run, and the output is empty")
        self._move(JobState.FINISHING)
        repo, branch = self.spec.pipeline.name, self.spec.output_branch
        output = merge_outputs(self.store, repo, branch, outputs, folder.track_staging)
        return publish_output(
            self.store,
            output,
            pinned,
            job_id=self.id,
            commit_id=self.output_commit_id,
            description=self.spec.description,
        )

    def _prepare_runs(self, pinned: Sequence[PinnedInput], folder: RunFolder, log: JobLog) -> DatumRuns:
        transform = self.spec.transform or Transform(())
        cwd = self.setting.working_directory.absolute() / (transform.working_dir or "")
        environment = {**self.setting.environment, **(transform.env or {})}
        recorded = record_run(transform.cmd, transform.stdin_bytes(), cwd, transform.image, environment)
        self.details["run"] = recorded.as_document()
        limit = self.spec.job_timeout_seconds
        watch = StopWatch(
            lambda: self.store.jobs.stop_requested(self.id),
            deadline=None if limit is None else time.monotonic() + limit,
        )
        local = LocalJob(
            id=self.id,
            transform=transform,
            working_directory=cwd,
            environment=self.setting.environment,
            configuration_exists=self.setting.configuration_exists,
            commit_ids={one.name: one.commit.id for one in pinned},
            output_commit_id=self.output_commit_id,
            output_files=not self.spec.s3_out,
            isolation=self._isolate(pinned, folder, log),
            grace_seconds=self.setting.grace_seconds,
            contributors=self.setting.contributors,
        )
        return DatumRuns(
            store=self.store,
            spec=self.spec,
            pinned=pinned,
            local=local,
            folder=folder,
            log=log,
            watch=watch,
            open_session=self.open_session,
            out_policy=self.policy,
            on_attempt=lambda count: self.store.jobs.update(self.id, attempts=count),
            traffic=self.traffic,
        )

    def _isolate(self, pinned: Sequence[PinnedInput], folder: RunFolder, log: JobLog) -> Isolation:
        needs_files = not self.spec.s3_out or any(not one.given.s3 for one in pinned)
        bases = (folder.directory, *self.setting.scratch_bases)
        isolation = self.setting.detect_isolation(bases, pfs=needs_files)
        for warning in isolation.warnings:
            log.say(warning)
        self.details["isolation"] = {
            "private_tmp": isolation.private_tmp,
            "pfs_mounted": isolation.pfs_mounted,
            "warnings": list(isolation.warnings),
        }
        if isolation.scratch_base is None:
            return isolation
        return replace(isolation, scratch_base=folder.make_place(isolation.scratch_base))
