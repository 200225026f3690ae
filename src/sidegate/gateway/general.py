"""The open gateway's namespace: every repo, branch and commit as a bucket.

A bucket name is `[[commit.]branch.]repo`; without a branch it is `master`.
Names of repos and branches have no dots, so there is one reading.
"""

from __future__ import annotations

from sidegate.errors import AlreadyExists, Conflict, Invalid, NotFound
from sidegate.gateway.buckets import BranchBucket, Bucket, CommitBucket, hyphen_alias
from sidegate.gateway.namespace import no_such_bucket
from sidegate.pfs.branches import DEFAULT_BRANCH
from sidegate.pfs.ids import COMMIT_ID, CommitId
from sidegate.pfs.repos import Repo
from sidegate.pfs.store import Store
from sidegate.s3.errors import S3Error


class GeneralNamespace:
    """All of a store.  History is never removed through it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def peek(self, name: str) -> Bucket | None:
        """Return None: what a branch is may change at any time."""
        return None

    def get(self, name: str) -> Bucket:
        """Return a bucket; raises S3Error NoSuchBucket."""
        *qualifiers, repo_name = name.split(".")
        if len(qualifiers) > 2:
            raise no_such_bucket(name)
        repo = self._find_repo(name, repo_name)
        branch = qualifiers[-1] if qualifiers else DEFAULT_BRANCH
        if len(qualifiers) == 2:
            return self._commit_bucket(name, repo, qualifiers[0])
        return self._branch_bucket(name, repo, branch)

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
        """Make a repo with its branch, or a branch of a repo that is there."""
        *qualifiers, repo = name.split(".")
        if len(qualifiers) > 1:
            raise S3Error("InvalidBucketName", f"A new bucket is named REPO or BRANCH.REPO, not {name!r}.")
        branch = qualifiers[0] if qualifiers else DEFAULT_BRANCH
        try:
            if not any(known.name == repo for known in self._store.repos.list()):
                self._store.repos.create(repo)
            self._store.branches.create(repo, branch)
        except AlreadyExists:
            raise S3Error("BucketAlreadyOwnedByYou", fields={"BucketName": name}) from None
        except Invalid as error:
            raise S3Error("InvalidBucketName", str(error), fields={"BucketName": name}) from error

    def delete(self, name: str) -> None:
        """Remove a repo, or a branch, while none of its commits ever held a file."""
        bucket = self.get(name)
        bucket.writable()
        *qualifiers, repo = name.split(".")
        branches = {qualifiers[-1]} if qualifiers else {b.name for b in self._store.branches.list(repo)}
        commits = [c for c in self._store.commits.all(repo) if not qualifiers or c.branch in branches]
        pending = any(self._store.stagings.pending(repo, branch) for branch in branches)
        if pending or any(commit.file_count for commit in commits):
            raise S3Error(
                "BucketNotEmpty",
                f"The bucket {name!r} holds files or history, and history is never deleted through S3.",
                remedy=f"use `sidegate repo delete {repo}`",
            )
        try:
            if qualifiers:
                self._store.branches.delete(repo, qualifiers[-1])
            else:
                self._store.repos.delete(repo)
        except Conflict as error:
            raise S3Error("BucketNotEmpty", str(error)) from error

    def _find_repo(self, bucket: str, name: str) -> Repo:
        try:
            return self._store.repos.get(name)
        except NotFound:
            for repo in self._store.repos.list():
                if hyphen_alias(repo.name) == name:
                    return repo
        raise no_such_bucket(bucket)

    def _branch_bucket(self, name: str, repo: Repo, branch_name: str) -> Bucket:
        branches = {branch.name: branch for branch in self._store.branches.list(repo.name)}
        branch = branches.get(branch_name) or next(
            (known for known in branches.values() if hyphen_alias(known.name) == branch_name), None
        )
        if branch is None and branch_name != DEFAULT_BRANCH:
            raise no_such_bucket(name)
        view = self._store.branch_view(repo.name, branch.name if branch is not None else DEFAULT_BRANCH)
        created_us = branch.created_us if branch is not None else repo.created_us
        return BranchBucket(name, created_us, view, repo.name if repo.kind == "pipeline" else None)

    def _commit_bucket(self, name: str, repo: Repo, commit_id: str) -> Bucket:
        if COMMIT_ID.fullmatch(commit_id) is None:
            raise no_such_bucket(name)
        try:
            commit = self._store.commits.get(CommitId(commit_id))
        except NotFound:
            raise no_such_bucket(name) from None
        if commit.repo != repo.name:
            raise no_such_bucket(name)
        return CommitBucket.of(
            self._store, name, commit, f"The bucket {name!r} is a finished commit and read-only."
        )
