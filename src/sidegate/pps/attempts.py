"""One datum of a job, tried until it succeeds or its tries are used up.

Each try has its own staging, session and folders, so that nothing of a failed
one is left. Decides what a failed try is; how a process runs is the runner's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from sidegate.pfs.files import FileRecord
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.datums import Datum
from sidegate.pps.errors import JobFailed, JobKilled, OutputRejected
from sidegate.pps.inputs import ItemReader, PinnedInput
from sidegate.pps.joblog import JobLog, LogEntry
from sidegate.pps.process import Ending, LogLine, ProcessResult
from sidegate.pps.publishing import DatumOutput
from sidegate.pps.run_folder import RunFolder
from sidegate.pps.runners.local import LocalAttempt, LocalJob
from sidegate.pps.sessions import OpenSession, Session, Verdict, keep_all
from sidegate.pps.spec import PipelineSpec, Transform
from sidegate.pps.traffic import JobTraffic

_COLLECTED_AT_ONCE = 200
_STOP_ASKED_SECONDS = 0.25
_REMEMBERED_FAILURES = 100


@dataclass(slots=True)
class StopWatch:
    """Says whether a job must end: asked to, or out of time.

    The catalog is asked at most every 0.25 s, however often this is.
    """

    asked_to_stop: Callable[[], bool]
    deadline: float | None = None
    _asked_at: float = field(default=float("-inf"))
    _stopped: bool = field(default=False)

    def is_stopped(self) -> bool:
        """Say whether somebody asked to stop the job."""
        now = time.monotonic()
        if not self._stopped and now - self._asked_at >= _STOP_ASKED_SECONDS:
            self._asked_at = now
            self._stopped = self.asked_to_stop()
        return self._stopped

    def remaining_seconds(self) -> float | None:
        """Return what the job's time-out leaves, None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise JobKilled if the job must end now."""
        if self.is_stopped():
            raise JobKilled("stopped on request")
        if self.remaining_seconds() == 0.0:
            raise JobKilled("its job_timeout is over")


@dataclass(slots=True)
class DatumRuns:
    """Runs the datums of one job, one after another.

    `attempts` counts the processes started, `failures` describes the first hundred failed tries.
    """

    store: Store
    spec: PipelineSpec
    pinned: Sequence[PinnedInput]
    local: LocalJob
    folder: RunFolder
    log: JobLog
    watch: StopWatch
    open_session: OpenSession
    out_policy: str
    on_attempt: Callable[[int], object]
    traffic: JobTraffic
    attempts: int = 0
    failures: list[dict[str, object]] = field(default_factory=list)

    def run(self, datum: Datum) -> DatumOutput:
        """Try a datum; return its output. Raises JobFailed, JobKilled."""
        last_reason = ""
        tries = self.spec.datum_tries
        for number in range(1, tries + 1):
            self.watch.check()
            try:
                return self._try(datum, number)
            except _TryFailed as failure:
                last_reason = failure.reason
            self.log.say(f"try {number} of {tries} failed: {last_reason}", datum.id, number)
            if len(self.failures) < _REMEMBERED_FAILURES:
                self.failures.append({"datum": datum.id, "attempt": number, "reason": last_reason})
        which = _describe(datum)
        raise JobFailed(f"{which} failed after {tries} {'try' if tries == 1 else 'tries'}: {last_reason}")

    def _try(self, datum: Datum, number: int) -> DatumOutput:
        self.attempts += 1
        self.on_attempt(self.attempts)
        staging = self.store.stagings.begin_attempt(self.spec.pipeline.name, self.spec.output_branch)
        self.folder.track_staging(staging.id)
        try:
            return DatumOutput(staging, self._produce(datum, number, staging).keep, datum.id)
        except BaseException:
            self.store.uploads.drop_scope(staging.scope)
            self.store.stagings.drop(staging.id)
            raise

    def _produce(self, datum: Datum, number: int, staging: Staging) -> Verdict:
        def say(text: str) -> None:
            self.log.say(text, datum.id, number)

        directory = self.folder.directory / f"{datum.id[:16]}-{number}"
        with ExitStack() as stack:
            session = self._open_session(stack, staging)
            if session is not None:
                stack.callback(self._end_traffic, session, say)
            attempt = stack.enter_context(LocalAttempt(self.local, directory, say, first=self.attempts == 1))
            result = self._run_process(attempt, datum, number, session)
            self._check_result(result, attempt.complaints())
            if session is not None and self.spec.s3_out:
                verdict = session.verdict()
                if verdict.refusal is not None:
                    raise _TryFailed(verdict.refusal)
                return verdict
            try:
                collect_files(self.store, attempt, staging)
            except OutputRejected as error:
                raise _TryFailed(str(error)) from None
            return Verdict(keep=keep_all)

    def _open_session(self, stack: ExitStack, staging: Staging) -> Session | None:
        buckets = {one.name: one.commit for one in self.pinned if one.given.s3}
        if not buckets and not self.spec.s3_out:
            return None
        output = staging if self.spec.s3_out else None
        alias = self.spec.pipeline.name
        return stack.enter_context(self.open_session(buckets, output, self.out_policy, alias))

    def _end_traffic(self, session: Session, say: Callable[[str], None]) -> None:
        self.traffic.end_session(session.traffic(), say)

    def _run_process(
        self, attempt: LocalAttempt, datum: Datum, number: int, session: Session | None
    ) -> ProcessResult:
        def sink(line: LogLine) -> None:
            self.log.write(LogEntry(line.time_seconds, line.stream, line.text, datum.id, number))

        def is_stopped() -> bool:
            if session is not None:
                self.traffic.look(session.traffic, lambda text: self.log.say(text, datum.id, number))
            return self.watch.is_stopped()

        limits = [self.spec.datum_timeout_seconds, self.watch.remaining_seconds()]
        given = [limit for limit in limits if limit is not None]
        return attempt.run(
            datum,
            ItemReader(self.store, self.pinned, self.watch.check),
            None if session is None else session.endpoint,
            sink,
            is_stopped,
            min(given) if given else None,
        )

    def _check_result(self, result: ProcessResult, complaints: Sequence[str]) -> None:
        if result.ending is Ending.STOPPED:
            raise JobKilled("stopped on request")
        if result.ending is Ending.TIMED_OUT:
            self.watch.check()
            raise _TryFailed(f"its datum_timeout is over ({result.describe()})")
        transform = self.spec.transform or Transform(())
        if result.exit_code != 0 and result.exit_code not in transform.accept_return_code:
            raise _TryFailed("; ".join([result.describe(), *complaints]))


class _TryFailed(Exception):
    """A try did not succeed; another may."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def collect_files(store: Store, attempt: LocalAttempt, staging: Staging) -> int:
    """Store what is in the output folder; return the count of files."""
    rows: list[tuple[str, FileRecord]] = []

    def write(path: str, blocks: Iterator[bytes]) -> None:
        cutter = store.cutter()
        for block in blocks:
            cutter.write(block)
        rows.append((path.removeprefix("/"), store.record(cutter.finish())))
        if len(rows) == _COLLECTED_AT_ONCE:
            staging.put_many(rows)
            rows.clear()

    count = attempt.workspace.collect(write)
    staging.put_many(rows)
    return count


def _describe(datum: Datum) -> str:
    files = [f"{part.input_name}:{part.item.path}" for part in datum.parts if part.item.path != "/"]
    return f"the datum {' x '.join(files)}" if files else "the datum"
