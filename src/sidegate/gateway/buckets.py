"""Buckets: what a bucket name stands for, and what may be done with it.

Each kind answers three questions: which files are in it, where writes go, and
why a request is refused.  Bucket names are resolved by a namespace (`session`
for a job's sidecar, `general` for the open gateway).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from sidegate.gateway.resolved import ResolvedCache, ResolvedObject
from sidegate.pfs.branch_memory import BranchMemory
from sidegate.pfs.commits import Commit
from sidegate.pfs.files import FileRecord
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pfs.tree import Tree
from sidegate.pfs.views import FileView, WritableView
from sidegate.s3.errors import S3Error

_CONTROL_FILE = re.compile(r"(^|/)__magic(_job-[^/]+)?/.*\.(pending|pendingset)$").search
"""What Hadoop's magic committer writes and must read back (clients study 7.1)."""


class Bucket(Protocol):
    """One bucket of a namespace."""

    @property
    def name(self) -> str:
        """The name by which it was asked for."""

    @property
    def created_us(self) -> int:
        """When it came into being, in microseconds since the epoch."""

    @property
    def files(self) -> FileView:
        """The files in it, as S3 requests see them."""

    @property
    def tree(self) -> Tree | None:
        """The immutable tree behind it, None where it may change."""

    def recall(self, resolved: ResolvedCache, key: str) -> ResolvedObject | None:
        """Return an object whose data may be read, if memory knows what it is right now.

        Called on the event loop: no I/O, no waiting.  None means "ask `files`".
        """

    def find(self, key: str) -> tuple[FileRecord, bytes | None] | None:
        """Return the file of a key and what its resolved object is kept under, None for nothing."""

    def writable(self) -> WritableView:
        """Return where writes go; raises S3Error AccessDenied if nowhere."""

    def check_read(self, key: str) -> None:
        """Raise S3Error AccessDenied unless the data of `key`, which exists, may be read."""

    @property
    def upload_scope(self) -> str | None:
        """The scope of its uploads, None where there can be none."""


@dataclass(frozen=True, slots=True)
class CommitBucket:
    """A finished commit, read-only; `reason` says why it cannot be written."""

    name: str
    created_us: int
    tree: Tree
    reason: str
    upload_scope: str | None = None

    @classmethod
    def of(cls, store: Store, name: str, commit: Commit, reason: str) -> CommitBucket:
        """Return the bucket of a commit."""
        return cls(name, commit.finished_us, store.tree(commit), reason)

    @property
    def files(self) -> FileView:
        """The commit's files."""
        return self.tree

    def recall(self, resolved: ResolvedCache, key: str) -> ResolvedObject | None:
        """Return what was resolved before: a commit never changes."""
        return resolved.get(self.tree.root, key)

    def find(self, key: str) -> tuple[FileRecord, bytes | None] | None:
        """Look into the tree."""
        record = self.tree.get(key)
        return (record, self.tree.root) if record is not None else None

    def writable(self) -> WritableView:
        """Refuse: a commit is immutable."""
        raise S3Error("AccessDenied", self.reason)

    def check_read(self, key: str) -> None:
        """Everything in a commit may be read."""


@dataclass(frozen=True, slots=True)
class OutputBucket:
    """A job's output: what this attempt wrote, and nothing else.

    Metadata is visible, because committers rename and check what they wrote;
    data is not, unless `own_reads`, so that no job reads what an earlier one
    left.
    """

    name: str
    created_us: int
    staging: Staging
    own_reads: bool
    tree: Tree | None = None

    @property
    def files(self) -> FileView:
        """What this attempt wrote."""
        return self.staging

    def recall(self, resolved: ResolvedCache, key: str) -> ResolvedObject | None:
        """Return None: what may be read is for `check_read` to say."""
        return None

    def find(self, key: str) -> tuple[FileRecord, bytes | None] | None:
        """Look into the staging; what is written next may replace it."""
        record = self.staging.get(key)
        return (record, None) if record is not None else None

    @property
    def upload_scope(self) -> str | None:
        """Uploads live and die with the attempt."""
        return self.staging.id

    def writable(self) -> WritableView:
        """Return the attempt's staging."""
        return self.staging

    def check_read(self, key: str) -> None:
        """Refuse data, except under own-reads and of a committer's control files."""
        if not self.own_reads and _CONTROL_FILE(key) is None:
            raise S3Error(
                "AccessDenied",
                f"The output bucket {self.name!r} is write-only, so {key!r} cannot be read back.",
                remedy='set the annotation "sidegate/out": "own-reads" in the spec\'s metadata, '
                "or run with --out-policy own-reads",
            )


@dataclass(frozen=True, slots=True)
class BranchBucket:
    """A branch with its open commit: read and write, or read for a pipeline's output."""

    name: str
    created_us: int
    branch: str
    view: WritableView
    memory: BranchMemory
    pipeline: str | None
    tree: Tree | None = None

    @property
    def files(self) -> FileView:
        """The branch's files with its open writes."""
        return self.view

    def recall(self, resolved: ResolvedCache, key: str) -> ResolvedObject | None:
        """Return what was resolved before, if that is still what the branch holds."""
        source = self.memory.source(key)
        return resolved.get(source, key) if source is not None else None

    def find(self, key: str) -> tuple[FileRecord, bytes | None] | None:
        """Look into the branch's open writes, then into its head."""
        return self.memory.find(key)

    @property
    def upload_scope(self) -> str | None:
        """Uploads belong to the branch, whichever commit is open."""
        return self.view.scope

    def writable(self) -> WritableView:
        """Return the branch's open commit; refuse for a pipeline's output."""
        if self.pipeline is not None:
            raise S3Error(
                "AccessDenied",
                f"The bucket {self.name!r} is pipeline {self.pipeline!r}'s output: only its jobs write it.",
                remedy="write to a repo of your own",
            )
        return self.view

    def check_read(self, key: str) -> None:
        """Everything in a branch may be read."""


def hyphen_alias(name: str) -> str | None:
    """Return the name that Java's URI parser can hold, None if `name` is one already.

    `java.net.URI.getHost()` is null for a host with an underscore, which makes
    S3A refuse the bucket.
    """
    return name.replace("_", "-") if "_" in name else None
