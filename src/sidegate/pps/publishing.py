"""From the outputs of a job's datums to one commit.

Decides what happens when datums write the same path; how a commit becomes
visible at once is decided by the store.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sidegate.errors import Conflict
from sidegate.pfs.commits import Commit
from sidegate.pfs.files import FileRecord
from sidegate.pfs.ids import CommitId
from sidegate.pfs.publish import Publication
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.errors import OutputCollision
from sidegate.pps.inputs import PinnedInput

_MERGED_AT_ONCE = 64
"""Each staging being merged holds a page of rows in memory."""
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class DatumOutput:
    """What one datum wrote; `keep` is false for what is left out."""

    staging: Staging
    keep: Callable[[str], bool]
    datum_id: str = ""


def merge_outputs(
    store: Store, repo: str, branch: str, outputs: Sequence[DatumOutput], track: Callable[[str], None]
) -> DatumOutput:
    """Return one output with what all hold; drops what it was made from.

    `track` is told the id of every staging made here. Raises OutputCollision when two datums wrote
    different bytes to one path; equal bytes are fine.
    """
    merged = list(outputs)
    while len(merged) != 1:
        batch, merged = merged[:_MERGED_AT_ONCE], merged[_MERGED_AT_ONCE:]
        target = store.stagings.begin_attempt(repo, branch)
        track(target.id)
        _write_all(target, _merged_files(store, batch))
        for output in batch:
            store.stagings.drop(output.staging.id)
        merged.insert(0, DatumOutput(target, _keep_merged))
    return merged[0]


def _keep_merged(path: str) -> bool:
    return True  # what is left out was left out while merging


def _write_all(target: Staging, files: Iterator[tuple[str, FileRecord]]) -> None:
    rows: list[tuple[str, FileRecord]] = []
    for row in files:
        rows.append(row)
        if len(rows) == _ROWS_AT_ONCE:
            target.put_many(rows)
            rows.clear()
    target.put_many(rows)


def _merged_files(store: Store, outputs: Sequence[DatumOutput]) -> Iterator[tuple[str, FileRecord]]:
    streams = [_kept_files(store, output) for output in outputs]
    last_path, last_record, last_datum = None, None, ""
    # By bytes, as the store sorts them.
    for path, record, datum_id in heapq.merge(*streams, key=lambda file: file[0].encode()):
        if path != last_path or last_record is None:
            last_path, last_record, last_datum = path, record, datum_id
            yield path, record
        elif record.content_hash != last_record.content_hash:
            raise OutputCollision(
                f"two datums wrote different content to {path!r}",
                remedy="put something of the input's path into the name of the output",
                path=path,
                datums=[last_datum, datum_id],
            )


def _kept_files(store: Store, output: DatumOutput) -> Iterator[tuple[str, FileRecord, str]]:
    for path, record in output.staging.files():
        if output.keep(path):
            yield path, store.publisher.canonical(record), output.datum_id


def publish_output(
    store: Store,
    output: DatumOutput,
    pinned: Sequence[PinnedInput],
    *,
    job_id: str,
    commit_id: CommitId,
    description: str,
) -> Commit:
    """Make the job's output commit `commit_id`; it names every input commit.

    The commit set is the job's id. Raises Conflict when the staging is gone or the branch keeps
    moving.
    """
    info = next((info for info in store.stagings.all() if info.id == output.staging.id), None)
    if info is None:
        raise Conflict("the job's output was dropped while it ran", remedy="run it again", job=job_id)
    publication = Publication(
        description=description,
        commit_id=commit_id,
        commit_set=job_id,
        provenance=[one.provenance() for one in pinned],
        replace=True,
        keep=output.keep,
    )
    commit = store.publisher.publish(info, publication)
    if commit is None:
        raise RuntimeError("the store made no commit though it was not told to skip one")
    return commit


def find_published(store: Store, repo: str, job_id: str) -> Commit | None:
    """Return the commit that a job has made, if it came so far."""
    return next((commit for commit in store.commits.all(repo) if commit.commit_set == job_id), None)
