"""The open gateway's namespace: every repo, branch and commit as a bucket.

A bucket name is `[[commit.]branch.]repo`; without a branch it is `master`.
Names of repos and branches have no dots, so there is one reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sidegate.errors import AlreadyExists, Conflict, Invalid, NotFound
from sidegate.gateway.buckets import BranchBucket, Bucket, CommitBucket, hyphen_alias
from sidegate.gateway.namespace import no_such_bucket
from sidegate.pfs.branches import DEFAULT_BRANCH, Branch
from sidegate.pfs.changes import is_settled
from sidegate.pfs.commits import Commit
from sidegate.pfs.ids import COMMIT_ID, CommitId, check_name
from sidegate.pfs.repos import Repo
from sidegate.pfs.store import Store
from sidegate.s3.errors import S3Error

MAX_KNOWN = 10_000
"""Names that are remembered; a store with more branches looks the others up each time."""


class GeneralNamespace:
    """All of a store.  History is never removed through it."""

    traffic = None

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cells = store.changes.cells
        # A bucket found before, its repo's cell and the number that it had then.
        self._known: dict[str, tuple[Bucket, int, int]] = {}

    def peek(self, name: str) -> Bucket | None:
        """Return a bucket that was looked up before, unless its repo has changed since."""
        known = self._known.get(name)
        if known is None:
            return None
        bucket, cell, number = known
        if self._cells[cell] == number:
            return bucket
        self._known.pop(name, None)
        return None

    def get(self, name: str) -> Bucket:
        """Return a bucket; raises S3Error NoSuchBucket."""
        cell = self._store.changes.cell_of(name.rpartition(".")[2])
        number = self._cells[cell]
        bucket, lasts = self._find(name)
        if lasts and is_settled(number) and len(self._known) < MAX_KNOWN:
            self._known[name] = bucket, cell, number
        return bucket

    def _find(self, name: str) -> tuple[Bucket, bool]:
        """Return a bucket, and whether its name means the same while its repo is there.

        A name with hyphens in the place of underscores does not: it may become
        another's own.  Whether a branch is there, its memory knows.
        """
        *qualifiers, repo_name = name.split(".")
        if len(qualifiers) > 2:
            raise no_such_bucket(name)
        repo = self._find_repo(name, repo_name)
        branch = qualifiers[-1] if qualifiers else DEFAULT_BRANCH
        if len(qualifiers) == 2:
            commit = self._find_commit(name, repo, branch, qualifiers[0])
            reason = f"The bucket {name!r} is a finished commit and read-only."
            lasts = repo.name == repo_name and commit.branch == branch
            return CommitBucket.of(self._store, name, commit, reason), lasts
        bucket = self._branch_bucket(name, repo, branch)
        return bucket, repo.name == repo_name and bucket.branch == branch

    def list(self) -> list[tuple[str, int]]:
        """Return each repo, and `branch.repo` for its other branches."""
        buckets: list[tuple[str, int]] = []
        for repo in self._store.repos.list():
            buckets.append((repo.name, repo.created_us))
            buckets += [
                (f"{branch.name}.{repo.name}", branch.created_us)
                for branch in self._store.branches.list(repo.name)
                if branch.name != DEFAULT_BRANCH
            ]
        return sorted(buckets)

    def create(self, name: str) -> None:
        """Make a repo with its branch, or a branch; a name that answers already is taken."""
        *qualifiers, repo_name = name.split(".")
        if len(qualifiers) > 1:
            raise S3Error("InvalidBucketName", f"A new bucket is named REPO or BRANCH.REPO, not {name!r}.")
        branch = qualifiers[0] if qualifiers else DEFAULT_BRANCH
        try:
            check_name("branch", branch)  # before its repo is made
            repo = self._repo_named(repo_name)
            if repo is None:
                repo = self._store.repos.create(repo_name)
            elif not qualifiers or self._branch_named(repo, branch) is not None:
                raise _owned_already(name)
            if repo.kind == "pipeline":
                raise S3Error("AccessDenied", f"Repo {repo.name!r} is a pipeline's: only its jobs write it.")
            self._store.branches.create(repo.name, branch)
        except AlreadyExists:
            raise _owned_already(name) from None
        except Invalid as error:
            raise S3Error("InvalidBucketName", str(error), fields={"BucketName": name}) from error

    def delete(self, name: str) -> None:
        """Remove a repo, or a branch, that is empty and none of whose commits ever held a file."""
        self.get(name).writable()
        *qualifiers, repo_name = name.split(".")
        repo = self._find_repo(name, repo_name)
        branch = self._branch_named(repo, qualifiers[-1]) if qualifiers else None
        try:
            if branch is not None:
                self._store.branches.delete_empty(repo.name, branch.name)
            else:
                self._store.repos.delete_empty(repo.name)
        except Conflict:
            raise S3Error(
                "BucketNotEmpty",
                f"The bucket {name!r} holds files or history, and history is never deleted through S3.",
                remedy=f"use `sidegate repo delete {repo.name}`",
            ) from None

    def _find_repo(self, bucket: str, name: str) -> Repo:
        repo = self._repo_named(name)
        if repo is None:
            raise no_such_bucket(bucket)
        return repo

    def _repo_named(self, name: str) -> Repo | None:
        try:
            return self._store.repos.get(name)
        except NotFound:
            return _named_with_hyphens(self._store.repos.list(), name)

    def _branch_named(self, repo: Repo, name: str) -> Branch | None:
        branches = self._store.branches.list(repo.name)
        exact = next((branch for branch in branches if branch.name == name), None)
        return exact or _named_with_hyphens(branches, name)

    def _branch_bucket(self, name: str, repo: Repo, branch_name: str) -> BranchBucket:
        branch = self._branch_named(repo, branch_name)
        if branch is None and branch_name != DEFAULT_BRANCH:
            raise no_such_bucket(name)
        known_as = branch.name if branch is not None else DEFAULT_BRANCH
        return BranchBucket(
            name,
            branch.created_us if branch is not None else repo.created_us,
            known_as,
            self._store.branch_view(repo.name, known_as),
            self._store.branch_memory(repo.name, known_as),
            pipeline=repo.name if repo.kind == "pipeline" else None,
        )

    def _find_commit(self, name: str, repo: Repo, branch_name: str, commit_id: str) -> Commit:
        if COMMIT_ID.fullmatch(commit_id) is None:
            raise no_such_bucket(name)
        try:
            commit = self._store.commits.get(CommitId(commit_id))
        except NotFound:
            raise no_such_bucket(name) from None
        if commit.repo != repo.name:
            raise no_such_bucket(name)
        if commit.branch != branch_name and self._branch_named(repo, branch_name) is None:
            raise no_such_bucket(name)
        return commit


_Named = TypeVar("_Named", Repo, Branch)


def _named_with_hyphens(known: Sequence[_Named], name: str) -> _Named | None:
    return next((one for one in known if hyphen_alias(one.name) == name), None)


def _owned_already(name: str) -> S3Error:
    return S3Error("BucketAlreadyOwnedByYou", fields={"BucketName": name})
