"""A job's view: its input commits and `out`, and nothing else.

One session serves one attempt of one datum and is closed when that ends, so a
process that outlives its attempt reaches nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidegate.gateway.buckets import Bucket, CommitBucket, OutputBucket, hyphen_alias
from sidegate.gateway.namespace import no_such_bucket
from sidegate.gateway.traffic import Traffic
from sidegate.pfs.commits import Commit
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.s3.errors import S3Error

OUTPUT_NAME = "out"


class JobSession:
    """The namespace of a sidecar: fixed buckets, plus aliases that are not listed."""

    def __init__(
        self,
        store: Store,
        inputs: Mapping[str, Commit],
        output: Staging | None,
        *,
        pipeline: str,
        own_reads: bool = False,
    ) -> None:
        """`inputs` are the S3 inputs by bucket name; no `output`, no bucket `out`."""
        self.own_reads = own_reads
        self._buckets: dict[str, Bucket] = {
            name: CommitBucket.of(store, name, commit, _input_reason(name)) for name, commit in inputs.items()
        }
        aliases: dict[str, Bucket] = {}
        if output is not None:
            bucket = OutputBucket(OUTPUT_NAME, store.clock(), output, own_reads)
            self._buckets[OUTPUT_NAME] = bucket
            aliases[pipeline] = bucket
        for name, known in [*self._buckets.items(), *aliases.items()]:
            alias = hyphen_alias(name)
            if alias is not None and alias not in self._buckets:
                aliases.setdefault(alias, known)
        self._reachable: dict[str, Bucket] = aliases | self._buckets
        self.traffic = Traffic({name: bucket.name for name, bucket in self._reachable.items()})
        self._closed = False

    def close(self) -> None:
        """Refuse every request from now on."""
        self._closed = True

    def peek(self, name: str) -> Bucket | None:
        """Return a bucket, None when there is no such or the session is over."""
        return None if self._closed else self._reachable.get(name)

    def get(self, name: str) -> Bucket:
        """Return a bucket; raises S3Error NoSuchBucket, AccessDenied when closed."""
        self._check_open()
        bucket = self._reachable.get(name)
        if bucket is None:
            raise no_such_bucket(name)
        return bucket

    def list(self) -> list[tuple[str, int]]:
        """Return the inputs and `out` by name."""
        self._check_open()
        return [(name, bucket.created_us) for name, bucket in sorted(self._buckets.items())]

    def create(self, name: str) -> None:
        """Accept `out`, which clients make before they write; refuse all else."""
        self._check_open()
        if not isinstance(self._reachable.get(name), OutputBucket):
            raise S3Error(
                "AccessDenied",
                f"A job cannot make the bucket {name!r}: it has its inputs and {OUTPUT_NAME!r}.",
                remedy=f"write to s3://{OUTPUT_NAME}",
            )

    def delete(self, name: str) -> None:
        """Refuse: a job's buckets are fixed."""
        self.get(name)
        raise S3Error("AccessDenied", f"A job cannot delete the bucket {name!r}.")

    def _check_open(self) -> None:
        # Not 503: clients would retry that for minutes.
        if self._closed:
            raise S3Error("AccessDenied", "The job attempt that this endpoint served is over.")


def _input_reason(name: str) -> str:
    return f"The bucket {name!r} is an input of this job and read-only; write to s3://{OUTPUT_NAME} instead."
