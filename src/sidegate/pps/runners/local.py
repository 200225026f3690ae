"""Runs an attempt as a process of this machine.

Makes the attempt's folders, its environment and its isolation, and removes
them afterwards. Knows nothing of staging and publishing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sidegate.pps.datums import Datum
from sidegate.pps.environment import (
    COMPLAINTS,
    Contributor,
    InputVariable,
    JobEnvironment,
    build_environment,
)
from sidegate.pps.isolation import Isolation, Scratch, remove_tree
from sidegate.pps.launcher import PFS
from sidegate.pps.process import Command, LogSink, ProcessResult, run_process
from sidegate.pps.spec import Transform
from sidegate.pps.workspace import OpenItem, Workspace


@dataclass(frozen=True, slots=True)
class LocalJob:
    """What all attempts of a job share.

    `environment` is the caller's; `commit_ids` maps an input's name to its commit. `output_files`
    says that the output is collected from a folder.
    """

    id: str
    transform: Transform
    working_directory: Path
    environment: Mapping[str, str]
    configuration_exists: bool
    commit_ids: Mapping[str, str]
    output_commit_id: str
    output_files: bool
    isolation: Isolation
    grace_seconds: float
    contributors: Sequence[Contributor] = ()


class LocalAttempt:
    """One try of one datum: a context that leaves no files behind.

    `directory` must not exist; `say` takes what the user should know. The `first` attempt of a job
    says what became of the user's variables.
    """

    def __init__(self, job: LocalJob, directory: Path, say: Callable[[str], None], *, first: bool) -> None:
        self.first = first
        self.job = job
        self.directory = directory
        self.say = say
        self.scratch: Scratch | None = None
        root = directory / "pfs"
        self.workspace = Workspace(root, PFS if job.isolation.pfs_mounted else str(root))

    def __enter__(self) -> LocalAttempt:
        self.directory.mkdir(parents=True, mode=0o700)
        if self.job.isolation.scratch_base is not None:
            self.scratch = Scratch.create(self.job.isolation.scratch_base)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.scratch is not None:
            self.scratch.remove()
        remove_tree(self.directory)

    def run(
        self,
        datum: Datum,
        open_item: OpenItem,
        endpoint: str | None,
        sink: LogSink,
        should_stop: Callable[[], bool],
        timeout_seconds: float | None,
    ) -> ProcessResult:
        """Lay out the datum's files, run the process, return how it ended."""
        paths = self.workspace.lay_out(datum, open_item, output=self.job.output_files)
        environment = self._environment(datum, paths, endpoint)
        isolation = self.job.isolation
        command = Command(
            argv=self.job.transform.cmd,
            env=environment,
            cwd=self.job.working_directory,
            stdin=self.job.transform.stdin_bytes(),
            timeout_seconds=timeout_seconds,
            grace_seconds=self.job.grace_seconds,
            scratch=None if self.scratch is None else self.scratch.directory,
            memory=isolation.memory,
            pfs=self.workspace.root if isolation.pfs_mounted else None,
            shared=(self.workspace.root,) if isolation.private_tmp else (),
        )
        result = run_process(command, sink, should_stop)
        self._report(result)
        return result

    def complaints(self) -> list[str]:
        """Return what the process was told that it lacks, each sentence once."""
        path = self.directory / COMPLAINTS
        if not path.is_file():
            return []
        return list(dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").splitlines()))

    def _environment(self, datum: Datum, paths: Mapping[str, str], endpoint: str | None) -> Mapping[str, str]:
        inputs = [
            InputVariable(name, commit_id, paths.get(name)) for name, commit_id in self.job.commit_ids.items()
        ]
        built = build_environment(
            JobEnvironment(
                job_id=self.job.id,
                datum_id=datum.id,
                output_commit_id=self.job.output_commit_id,
                endpoint=endpoint,
                access_key=self.job.id,
                pfs_root=self.workspace.seen_as,
                inputs=inputs,
                contributors=self.job.contributors,
                folder=self.directory,
            ),
            self.job.environment,
            self.job.transform.env or {},
            configuration_exists=self.job.configuration_exists,
        )
        for text in built.describe() if self.first else ():
            self.say(text)
        return built.variables

    def _report(self, result: ProcessResult) -> None:
        if result.left_behind:
            self.say(f"{result.left_behind} background processes outlived the command and were ended")
        directory = self.job.working_directory
        if self.scratch is not None and self.scratch.written_below(directory):
            self.say(
                f"what was written below {directory} was private to this attempt, as all of /tmp: it is gone"
            )
